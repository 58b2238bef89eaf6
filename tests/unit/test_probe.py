"""Headers are read right, and what cannot be used is refused with a reason."""

import struct
from typing import Any

import cv2
import numpy as np
import pytest

from service.errors import (
    AnimatedImage,
    CorruptImage,
    ImageError,
    ImageTooLarge,
    ImageTooSmall,
    UnsupportedImage,
)
from service.imaging.probe import check_limits, probe
from tests.picture_corpus import Picture, by_format, corpus
from tests.picture_writers import write_bmp, write_png, write_tiff
from tests.pictures import (
    FOREIGN,
    HEIGHT,
    WIDTH,
    encoded,
    exif_block,
    flips,
    oriented,
    png_bomb,
    scene,
    truncations,
)


@pytest.mark.parametrize("picture", corpus(), ids=lambda picture: picture.name)
def test_header_facts(picture: Picture) -> None:
    header = probe(picture.data)
    assert (header.format, header.width, header.height) == (picture.format, WIDTH, HEIGHT)
    assert (header.channels, header.bit_depth) == (picture.channels, picture.bit_depth)
    assert header.has_alpha == picture.has_alpha
    assert header.orientation == 1
    assert header.media_type == f"image/{picture.format}"


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: memoryview(b"xx" + data)[2:]])
@pytest.mark.parametrize("picture", by_format().values(), ids=lambda picture: picture.name)
def test_any_buffer_will_do(picture: Picture, wrap: Any) -> None:
    assert probe(wrap(picture.data)) == probe(picture.data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff"])
def test_orientation(image_format: str, orientation: int, order: str) -> None:
    header = probe(oriented(image_format, orientation, order))
    assert header.orientation == orientation
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    turned = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    assert (header.upright_width, header.upright_height) == turned


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_invalid_orientation_means_none(image_format: str, orientation: int) -> None:
    assert probe(oriented(image_format, orientation)).orientation == 1


@pytest.mark.parametrize("length", range(0, 27, 2))
def test_damaged_exif_is_no_error(length: int) -> None:
    block = exif_block(6)[:length]
    png = write_png(scene(), colour=2, before=[(b"eXIf", block)])
    jpeg = encoded(scene(), "JPEG", exif=b"Exif\0\0" + block)
    assert probe(png).orientation in (1, 6)
    assert probe(jpeg).orientation in (1, 6)


def test_exif_behind_the_pixels_of_a_png() -> None:
    assert probe(write_png(scene(), colour=2, after=[(b"eXIf", exif_block(8))])).orientation == 8


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_formats_are_named(name: str) -> None:
    word, data = FOREIGN[name]
    with pytest.raises(UnsupportedImage, match=word) as caught:
        probe(data)
    assert "JPEG, PNG, WebP, BMP or TIFF" in caught.value.detail


def test_empty() -> None:
    with pytest.raises(CorruptImage, match="the image is empty"):
        probe(b"")


def test_animations() -> None:
    still, other = scene(), scene(seed=1)
    apng = write_png(still, colour=2, before=[(b"acTL", struct.pack(">II", 3, 0))])
    with pytest.raises(AnimatedImage, match="animated PNG with 3 frames"):
        probe(apng)
    from PIL import Image

    webp = encoded(still, "WEBP", save_all=True, append_images=[Image.fromarray(other)])
    with pytest.raises(AnimatedImage, match="animated WebP"):
        probe(webp)


@pytest.mark.parametrize("picture", by_format().values(), ids=lambda picture: picture.name)
def test_truncated(picture: Picture) -> None:
    for cut in truncations(picture.data):
        with pytest.raises(ImageError):
            probe(cut)


def test_each_refusal_has_its_own_message() -> None:
    pixels = scene()
    jpeg, png, tiff = encoded(pixels, "JPEG"), write_png(pixels, colour=2), write_tiff(pixels, photometric=2)
    bmp, webp = write_bmp(pixels, depth=24), encoded(pixels, "WEBP")
    refused = [
        jpeg[:-50],
        jpeg[:30],
        png[:-20],
        png[:20],
        webp[:-9],
        webp[:20],
        bmp[:-1],
        bmp[:20],
        tiff[:-9],
    ]
    refused += [
        jpeg[:3] + b"\xd9" * 30,
        b"RIFF\0\0\0\0WEBP" + bytes(30),
        b"BM" + bytes(60),
        b"II*\0" + bytes(60),
    ]
    messages = []
    for data in refused:
        with pytest.raises(CorruptImage) as caught:
            probe(data)
        messages.append(caught.value.detail)
    assert len(set(messages)) == len(messages)
    assert all(message.startswith(("truncated ", "corrupt ")) for message in messages)


@pytest.mark.parametrize("wanted", ["jpeg", "png", "webp", "bmp", "tiff"])
def test_zero_sides(wanted: str) -> None:
    places = {"png": (16, 4), "bmp": (18, 4), "tiff": (None, 0), "jpeg": (None, 0), "webp": (None, 0)}
    data = bytearray(by_format()[wanted].data)
    place, size = places[wanted]
    if wanted == "jpeg":
        place, size = data.index(b"\xff\xc0") + 5, 2
    elif wanted == "webp":
        place, size = 26, 2
    elif wanted == "tiff":
        # The directory's first entry is the width.
        place, size = struct.unpack_from("<I", data, 4)[0] + 2 + 8, 4
    assert place is not None
    data[place : place + size] = bytes(size)
    with pytest.raises(CorruptImage, match="its header declares"):
        probe(data)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tags": [(339, 3, [3, 3, 3])]}, "floating-point"),
        ({"tags": [(339, 3, [2, 2, 2])]}, "signed"),
        ({"tags": [(258, 3, [32, 32, 32])]}, "32 bits"),
        ({"tags": [(258, 3, [8, 8, 16])]}, "samples of"),
        ({"tags": [(259, 3, [34712])]}, "compression 34712"),
        ({"tags": [(262, 3, [8])]}, "photometric interpretation 8"),
        ({"tags": [(50706, 1, [1, 4, 0, 0])]}, "DNG"),
    ],
)
def test_unsupported_tiffs(options: dict[str, Any], word: str) -> None:
    with pytest.raises(UnsupportedImage, match=word):
        probe(write_tiff(scene(), photometric=2, **options))


def test_enormous_tiles() -> None:
    """A tile is a buffer in the decoder, however small the picture is."""
    tags = [(322, 4, [60_000]), (323, 4, [60_000])]
    with pytest.raises(CorruptImage, match="tiles of 60000x60000"):
        probe(write_tiff(scene(), photometric=2, tile=(80, 64), tags=tags))


def test_float_tiff_of_another_writer() -> None:
    from PIL import Image

    with pytest.raises(UnsupportedImage, match="floating-point"):
        probe(encoded(Image.fromarray(scene()).convert("F"), "TIFF"))


def test_limits() -> None:
    header = probe(oriented("jpeg", 6))
    check_limits(header, max_pixels=WIDTH * HEIGHT)
    with pytest.raises(ImageTooLarge) as too_large:
        check_limits(header, max_pixels=WIDTH * HEIGHT - 1)
    assert too_large.value.status == 413
    assert too_large.value.detail == "image is 52x75 = 3900 pixels; the maximum is 3899 pixels"
    small = probe(encoded(scene(5, 8), "PNG"))
    with pytest.raises(ImageTooSmall, match=r"^image is 5x8 pixels; the minimum is 10x10$"):
        check_limits(small, max_pixels=None)
    check_limits(probe(encoded(scene(10, 10), "PNG")), max_pixels=100)


def test_bomb_is_refused_by_its_first_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        pytest.fail("a pixel was decoded")

    monkeypatch.setattr(cv2, "imdecode", fail)
    bomb = png_bomb()
    assert len(bomb) < 41_000
    with pytest.raises(ImageTooLarge, match="50000x50000 = 2500000000 pixels; the maximum is 50000000"):
        probe(bomb, max_pixels=50_000_000)
    # Nothing behind the header was looked at: without it the refusal is the same.
    with pytest.raises(ImageTooLarge):
        probe(bomb[:33], max_pixels=50_000_000)
    with pytest.raises(ImageTooSmall):
        probe(write_png(scene(5, 8), colour=2)[:33], min_side=10)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xfe\0\2" * 100_000,
        b"\xff\xd8" + b"\xff" * 400_000,
        b"\xff\xd8\xff\0" + bytes(400_000),
        write_png(scene(), colour=2)[:33] + bytes(12) * 100_000,
        b"RIFF\xff\xff\x0f\0WEBP" + b"VP8X\x0a\0\0\0" + bytes(10) + b"JUNK\0\0\0\0" * 50_000,
        b"II*\0\x08\0\0\0\xff\xff" + bytes(500_000),
    ],
    ids=["jpeg segments", "jpeg fill", "jpeg no marker", "png chunks", "webp chunks", "tiff entries"],
)
def test_endless_headers_are_given_up(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        probe(data)


@pytest.mark.parametrize("picture", by_format().values(), ids=lambda picture: picture.name)
def test_mutated_headers(picture: Picture) -> None:
    for data in flips(picture.data, 400, seed=1):
        try:
            header = probe(data, max_pixels=10**8, min_side=10)
        except ImageError:
            continue
        assert 1 <= header.orientation <= 8
        assert header.width * header.height <= 10**8


def test_random_bytes() -> None:
    random = np.random.default_rng(2)
    starts = [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"RIFF\x40\0\0\0WEBPVP8 ",
        b"BM",
        b"II*\0\x08\0\0\0",
    ]
    for index in range(500):
        with pytest.raises(ImageError):
            probe(starts[index % len(starts)] + random.bytes(80), max_pixels=10**8)
