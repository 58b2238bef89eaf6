"""ICC profiles: found in every format, converted to sRGB, dropped where they are of no use."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from service.imaging.colour import read_profile, to_srgb
from service.imaging.decode import decode
from service.imaging.probe import probe
from tests.pictures import encoded, flips, other_profile, scene

PROFILE = other_profile()


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_embedded_profile(image_format: str) -> None:
    data = encoded(scene(), image_format, icc_profile=PROFILE)
    assert read_profile(data, probe(data)) == PROFILE
    data = encoded(scene(), image_format)
    assert read_profile(data, probe(data)) is None


def test_profile_in_several_segments() -> None:
    long = PROFILE + bytes(150_000)
    data = encoded(scene(), "JPEG", icc_profile=long)
    header = probe(data)
    assert len(header.icc_spans) == 3
    assert read_profile(data, header) == long


def test_bomb_in_a_png_profile() -> None:
    data = encoded(scene(), "PNG", icc_profile=bytes(20 << 20))
    assert len(data) < 200_000
    assert read_profile(data, probe(data)) is None


def test_conversion() -> None:
    data = encoded(scene(), "PNG", icc_profile=PROFILE)
    header = probe(data)
    image = decode(data, header)
    before = image.copy()
    converted = to_srgb(image, read_profile(data, header))
    # The profile is sRGB with red and green swapped.
    assert np.abs(converted[..., [0, 2, 1]].astype(int) - image).max() <= 3
    assert np.array_equal(image, before)
    with Image.open(io.BytesIO(data)) as opened:
        referee = ImageCms.profileToProfile(
            opened, ImageCms.ImageCmsProfile(io.BytesIO(PROFILE)), ImageCms.createProfile("sRGB")
        )
    assert np.array_equal(converted[..., ::-1], np.asarray(referee))


def test_alpha_stays() -> None:
    image = np.dstack([scene(), scene()[..., 0]])
    converted = to_srgb(image, PROFILE)
    assert np.array_equal(converted[..., 3], image[..., 3])
    assert np.array_equal(converted[..., :3], to_srgb(np.ascontiguousarray(image[..., :3]), PROFILE))


def test_gray_profile() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    converted = to_srgb(ramp, other_profile("GRAY"))
    assert converted.shape == ramp.shape
    # Linear light to sRGB brightens the middle: 55 of 255 becomes about 128.
    assert abs(int(converted[0, 55, 0]) - 128) <= 2
    assert np.array_equal(converted[..., 0], converted[..., 2])
    colour = scene()
    assert to_srgb(colour, other_profile("GRAY")) is colour


def test_nothing_to_convert() -> None:
    image = scene()
    cmyk = bytearray(PROFILE)
    cmyk[16:20] = b"CMYK"
    for profile in (None, b"", b"no profile", _srgb(), bytes(cmyk), PROFILE[:200], bytes(4000)):
        assert to_srgb(image, profile) is image


def test_broken_profiles_are_no_error() -> None:
    image = scene(16, 16)
    for profile in flips(PROFILE, 300, seed=5):
        assert to_srgb(image, profile).shape == image.shape
