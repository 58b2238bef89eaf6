"""Pictures are written as asked, and with nothing but pixels in them."""

import io
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from service.errors import RequestError
from service.imaging.decode import decode
from service.imaging.encode import MAX_SIDE, check_encodable, encode, media_type
from service.imaging.probe import probe
from service.schemas.parameters import ImageFormat
from tests.pictures import jpeg_with_everything, scene

FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)


def _bgr(width: int = 120, height: int = 80) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.ascontiguousarray(scene(width, height)[..., ::-1])


@pytest.mark.parametrize("output_format", FORMATS)
def test_round_trip(output_format: ImageFormat) -> None:
    image = _bgr()
    data = encode(image, output_format, 95)
    header = probe(data)
    assert header.media_type == media_type(output_format)
    assert (header.width, header.height, header.channels) == (120, 80, 3)
    again = decode(data, header)
    if output_format == "png":
        assert np.array_equal(again, image)
    else:
        assert np.abs(again.astype(int) - image).mean() < 12


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_alpha_is_kept(output_format: ImageFormat) -> None:
    alpha = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (80, 1))
    image = np.dstack([_bgr(), alpha])
    data = encode(image, output_format, 90)
    again = decode(data, probe(data), keep_alpha=True)
    assert np.array_equal(again[..., 3], alpha)
    if output_format == "png":
        assert np.array_equal(again, image)


def test_jpeg_flattens_on_white() -> None:
    image = np.zeros((32, 32, 4), np.uint8)
    image[:, 16:] = (0, 0, 0, 255)
    image[:16, :, 3] //= 2
    data = encode(image, "jpeg", 100)
    again = decode(data, probe(data)).astype(int)
    assert again[24, 4].min() > 250
    assert again[24, 28].max() < 5
    assert np.abs(again[8, 28] - 128).max() < 5


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_quality_matters(output_format: ImageFormat) -> None:
    sizes = [len(encode(_bgr(), output_format, quality)) for quality in (1, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2


@pytest.mark.parametrize("output_format", FORMATS)
def test_longest_sides(output_format: ImageFormat) -> None:
    limit = MAX_SIDE[output_format]
    for width, height in ((limit, 1), (1, limit)):
        data = encode(np.zeros((height, width, 3), np.uint8), output_format, 80)
        header = probe(data)
        assert (header.width, header.height) == (width, height)
    with pytest.raises(
        RequestError, match=rf"^format: {output_format} holds at most {limit} pixels"
    ) as caught:
        check_encodable(output_format, 20, limit + 1)
    assert f"20x{limit + 1}" in caught.value.detail
    with pytest.raises(RequestError):
        encode(np.zeros((1, limit + 1, 3), np.uint8), output_format, 80)


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_metadata(output_format: ImageFormat) -> None:
    source = jpeg_with_everything(scene(120, 80), orientation=6)
    assert b"SECRETTHUMBNAIL" in source
    data = encode(decode(source, probe(source)), output_format, 90)
    for trace in (
        b"SECRET",
        b"Exif",
        b"eXIf",
        b"EXIF",
        b"xmp",
        b"XMP ",
        b"ICC",
        b"iCCP",
        b"tEXt",
        b"iTXt",
        b"zTXt",
    ):
        assert trace not in data
    assert data.count(b"\xff\xd8\xff") == (1 if output_format == "jpeg" else 0)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (80, 120)
        assert not picture.getexif()
        # What Pillow always says of a JPEG or a WebP.
        assert set(picture.info) <= {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "loop",
            "background",
        }


def test_views_are_encoded_too() -> None:
    image = _bgr()
    for output_format in FORMATS:
        assert encode(image[::2, ::2], output_format, 90) == encode(image[::2, ::2].copy(), output_format, 90)
