"""Every kind of file decodes to its own pixels, upright; a damaged one never does worse than a refusal."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from native import kernels
from service.errors import CorruptImage, ImageError, UnsupportedImage
from service.imaging.decode import apply_orientation, decode, reduction_for, region_of
from service.imaging.header import ImageHeader
from service.imaging.probe import probe
from tests.picture_corpus import Picture, by_format, corpus
from tests.picture_writers import write_tiff
from tests.pictures import HEIGHT, WIDTH, encoded, exif_block, flips, oriented, scene, truncations, upright

Pixels = npt.NDArray[np.uint8]

DAMAGED = [
    "jpeg-baseline",
    "jpeg-progressive",
    "jpeg-cmyk",
    "png-rgb",
    "png-rgb-interlaced",
    "png-palette-4",
    "webp-lossy",
    "webp-lossless",
    "webp-lossy-alpha",
    "webp-extended",
    "bmp-24",
    "bmp-8-rle",
    "bmp-core",
    "tiff-rgb-strips",
    "tiff-rgb-tiles",
    "tiff-tiff_lzw",
    "tiff-jpeg",
    "tiff-bilevel-group4",
    "tiff-big",
]


def _rgb(image: Pixels) -> Pixels:
    return image[..., [2, 1, 0, 3][: image.shape[2]]]


def _difference(left: Pixels, right: Pixels) -> int:
    assert left.shape == right.shape
    return int(np.abs(left.astype(int) - right).max())


@pytest.mark.parametrize("picture", corpus(), ids=lambda picture: picture.name)
def test_pixels(picture: Picture) -> None:
    header = probe(picture.data)
    plain = decode(picture.data, header)
    full = decode(picture.data, header, keep_alpha=True)
    for image in (plain, full):
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
    assert _difference(_rgb(plain), picture.pixels[..., :3]) <= picture.tolerance
    assert _difference(_rgb(full), picture.pixels) <= picture.tolerance
    # Detection sees the colours that masking sees.
    assert np.array_equal(plain, full[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff"])
def test_upright(image_format: str, orientation: int) -> None:
    data = oriented(image_format, orientation)
    header = probe(data)
    decoded = decode(data, header)
    assert decoded.flags.c_contiguous
    image = _rgb(decoded)
    assert image.shape == (header.upright_height, header.upright_width, 3)
    with Image.open(io.BytesIO(data)) as opened:
        referee = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), np.uint8)
    assert _difference(image, referee) <= (2 if image_format == "jpeg" else 0)
    if image_format != "jpeg":
        assert np.array_equal(image, upright(scene(), orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("layout", ["tiles", "16 bits", "alpha", "deflate", "planes"])
def test_upright_tiffs(layout: str, orientation: int) -> None:
    pixels = scene()
    stored: npt.NDArray[np.generic] = pixels
    if layout == "16 bits":
        stored = pixels.astype(np.uint16) << 8
    elif layout == "alpha":
        stored = pixels = np.dstack([pixels, pixels[..., 1]])
    data = write_tiff(
        stored,
        photometric=2,
        orientation=orientation,
        bits=16 if layout == "16 bits" else 8,
        tile=(32, 32) if layout == "tiles" else None,
        deflate=layout == "deflate",
        planes=layout == "planes",
        extra=2 if layout == "alpha" else None,
    )
    image = decode(data, probe(data), keep_alpha=True)
    assert np.array_equal(_rgb(image), upright(pixels, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [3, 4])
def test_apply_orientation(orientation: int, channels: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (7, 5, channels), np.uint8)
    assert np.array_equal(apply_orientation(pixels, orientation), upright(pixels, orientation))


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("name", ["baseline", "progressive", "gray", "cmyk", "cmyk-progressive", "restarts"])
def test_reduced(name: str, reduction: int) -> None:
    picture = next(picture for picture in corpus() if picture.name == f"jpeg-{name}")
    header = probe(picture.data)
    image = decode(picture.data, header, reduction=reduction)
    assert image.shape == (-(-HEIGHT // reduction), -(-WIDTH // reduction), 3)
    edges = ((0, -HEIGHT % reduction), (0, -WIDTH % reduction), (0, 0))
    blocks = np.pad(picture.pixels, edges, mode="edge").reshape(
        image.shape[0], reduction, image.shape[1], reduction, 3
    )
    # Loose, since the scene has hard edges; a wrong colour space is off by far more.
    assert np.abs(_rgb(image) - blocks.mean(axis=(1, 3))).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_and_upright(orientation: int) -> None:
    data = encoded(scene(64, 40), "JPEG", exif=b"Exif\0\0" + exif_block(orientation))
    plain = encoded(scene(64, 40), "JPEG")
    image = decode(data, probe(data), reduction=2)
    assert np.array_equal(image, upright(decode(plain, probe(plain), reduction=2), orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("width", "height", "side"), [(241, 179, 56), (241, 178, 56), (403, 301, 40), (64, 48, 80)]
)
def test_a_reduced_picture_shows_a_detector_the_same(
    orientation: int, width: int, height: int, side: int
) -> None:
    """Waves, which half a pixel more or less would move by ten levels, seen with and without the reduction."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin(2 * np.pi * along / (width / 6)) for along in (x, y, x + y)]
    picture = np.stack([(127.5 + 110 * wave).round().astype(np.uint8) for wave in waves], -1)
    data = encoded(picture, "JPEG", quality=98, subsampling=0, exif=b"Exif\0\0" + exif_block(orientation))
    header = probe(data)
    reduction = reduction_for(header, side)
    pixels, region = decode(data, header, reduction=reduction), region_of(header, reduction)
    scale = side / max(width, height)
    inner = round(header.upright_width * scale), round(header.upright_height * scale)
    seen = [np.zeros((3, inner[1], inner[0]), np.float32) for _ in range(2)]
    kernels.letterbox(pixels, seen[0], *inner, 0.0, 1.0, region)
    kernels.letterbox(decode(data, header), seen[1], *inner, 0.0, 1.0)
    assert np.abs(seen[0] - seen[1]).mean() < 2


def test_reduction_is_for_jpeg_only() -> None:
    png = by_format()["png"].data
    with pytest.raises(ValueError, match="reduction 2 for png"):
        decode(png, probe(png), reduction=2)
    jpeg = by_format()["jpeg"].data
    with pytest.raises(ValueError, match="reduction 3"):
        decode(jpeg, probe(jpeg), reduction=3)


@pytest.mark.parametrize(
    ("width", "height", "side", "reduction"),
    [
        (4032, 3024, 640, 2),
        (3024, 4032, 640, 2),
        (2560, 1440, 640, 2),
        (2559, 1440, 640, 2),
        (2558, 1440, 640, 1),
        (5120, 2880, 640, 4),
        (5100, 2880, 640, 2),
        (10240, 5760, 640, 8),
        (1920, 1080, 640, 1),
        (300, 200, 640, 1),
        (1600, 898, 320, 2),
        (4000, 11, 640, 2),
    ],
)
def test_reduction_never_goes_below_twice_the_input(
    width: int, height: int, side: int, reduction: int
) -> None:
    header = ImageHeader(format="jpeg", width=width, height=height, channels=3)
    assert reduction_for(header, side) == reduction
    scale = min(side / width, side / height)
    if reduction > 1:
        assert -(-width // reduction) >= 2 * round(width * scale)
        assert -(-height // reduction) >= 2 * round(height * scale)
    assert reduction_for(ImageHeader(format="png", width=width, height=height, channels=3), side) == 1


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("picture", by_format().values(), ids=lambda picture: picture.name)
def test_any_buffer_will_do(picture: Picture, wrap: type[bytes]) -> None:
    data = wrap(picture.data)
    assert np.array_equal(decode(data, probe(data)), decode(picture.data, probe(picture.data)))


@pytest.mark.parametrize("picture", by_format().values(), ids=lambda picture: picture.name)
def test_another_size_than_declared_is_refused(picture: Picture) -> None:
    header = probe(picture.data)
    lying = ImageHeader(
        format=header.format, width=header.width, height=header.height + 1, channels=header.channels
    )
    with pytest.raises(CorruptImage):
        decode(picture.data, lying)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name: str) -> None:
    """Cut or mutated, a file decodes to a valid picture or is refused, and nothing else happens."""
    picture = next(picture for picture in corpus() if picture.name == name)
    for data in (*truncations(picture.data), *flips(picture.data, 250, seed=4)):
        try:
            header = probe(data, max_pixels=1_000_000)
            image = decode(data, header, keep_alpha=True)
        except ImageError:
            continue
        assert image.dtype == np.uint8
        assert image.shape[:2] == (header.upright_height, header.upright_width)
        assert image.shape[2] in (3, 4)


@pytest.mark.parametrize("picture", corpus(), ids=lambda picture: picture.name)
def test_no_truncated_file_is_half_decoded(picture: Picture) -> None:
    """What is cut from a file and still decodes is a tail behind the picture or padding."""
    whole = decode(picture.data, probe(picture.data))
    for data in truncations(picture.data, 12):
        try:
            image = decode(data, probe(data))
        except ImageError:
            continue
        assert np.array_equal(image, whole)


@pytest.mark.parametrize(
    ("channels", "bits", "photometric"), [(2, 16, 1), (1, 16, 3)], ids=["gray and alpha", "palette"]
)
def test_unreadable_tiff_layouts_are_called_unsupported(channels: int, bits: int, photometric: int) -> None:
    samples = np.zeros((20, 20, channels), np.uint16)
    data = write_tiff(samples, photometric=photometric, bits=bits, extra=2 if channels == 2 else None)
    with pytest.raises(UnsupportedImage, match="unsupported TIFF"):
        decode(data, probe(data))
