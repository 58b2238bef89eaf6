"""ICC profiles: other colour spaces to sRGB."""

import io
import zlib

import numpy as np
import numpy.typing as npt

from service.imaging.header import Buffer, ImageHeader

__all__ = ["read_profile", "to_srgb"]

Pixels = npt.NDArray[np.uint8]

# Profiles of displays and cameras have some kilobytes, the largest of printers a few megabytes.
_MAX_PROFILE = 4 << 20


def read_profile(data: Buffer, header: ImageHeader) -> bytes | None:
    """The ICC profile embedded in a picture, None if there is none or it cannot be read."""
    if not header.icc_spans or sum(end - start for start, end in header.icc_spans) > _MAX_PROFILE:
        return None
    view = memoryview(data)
    profile = b"".join(view[start:end] for start, end in header.icc_spans)
    if header.format != "png":
        return profile
    try:
        inflater = zlib.decompressobj()
        profile = inflater.decompress(profile, _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def to_srgb(image: Pixels, profile: bytes | None) -> Pixels:
    """Convert pixels from the colour space of their ICC profile to sRGB.

    Args:
        image: (height, width, 3) BGR or (height, width, 4) BGRA; an alpha is kept.
        profile: The profile. None, an sRGB, a CMYK (the decoder has left CMYK already) or a broken one change
            nothing: a picture is never refused for its profile.
    """
    if profile is None or profile[36:40] != b"acsp" or profile[16:20] not in (b"RGB ", b"GRAY"):
        return image
    # Little CMS is needed by few pictures; importing Pillow takes time at the start of every process.
    from PIL import Image, ImageCms

    gray = profile[16:20] == b"GRAY"
    if gray and not np.array_equal(image[..., 0], image[..., 2]):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        samples = np.ascontiguousarray(image[..., 0] if gray else image[..., 2::-1])
        converted = ImageCms.profileToProfile(
            Image.fromarray(samples), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    result = image.copy()
    result[..., :3] = np.asarray(converted)[..., ::-1]
    return result
