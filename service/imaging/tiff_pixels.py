"""TIFF pixels, decoded by Pillow.

OpenCV's reader turns mirrored tiles wrongly, multiplies the colours with the alpha, does not invert
16-bit min-is-white samples, and refuses small tiles and gray of 2 or 4 bits.
"""

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from service.errors import CorruptImage, UnsupportedImage
from service.imaging.header import Buffer, ImageHeader

__all__ = ["decode_tiff"]

_MIN_IS_WHITE = 0
_PHOTOMETRIC = 262


def decode_tiff(data: Buffer, header: ImageHeader) -> npt.NDArray[np.uint8]:
    """Decode the first page.

    Args:
        data: The whole file.
        header: What `probe` said about it.

    Returns:
        (height, width, 3) BGR or, if the file has an alpha, (height, width, 4) BGRA; upright, as Pillow
        applies a TIFF's orientation by itself.

    Raises:
        UnsupportedImage: The samples are arranged in a way that Pillow does not know.
        CorruptImage: The pixels cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as picture:
            return _read(picture, header)
    except CorruptImage:
        raise
    except UnidentifiedImageError as error:
        raise UnsupportedImage(
            f"unsupported TIFF: {header.channels} channels of {header.bit_depth} bits in this layout"
        ) from error
    except Exception as error:
        # Pillow's readers raise whatever a damaged file makes them stumble over.
        raise CorruptImage("corrupt TIFF: its pixels cannot be decoded") from error


def _read(picture: Image.Image, header: ImageHeader) -> npt.NDArray[np.uint8]:
    # Before a pixel is decoded: out of a damaged directory Pillow may read another size than `probe` did.
    if sorted(picture.size) != sorted((header.width, header.height)):
        raise CorruptImage("corrupt TIFF: its size is ambiguous")
    if picture.mode.startswith("I;16"):
        tags = picture.tag_v2  # type: ignore[attr-defined]  # what is opened as a TIFF has it
        gray = (np.asarray(picture) >> 8).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
            gray = ~gray
        return _as_uint8(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    pixels = np.asarray(picture.convert("RGBA" if header.has_alpha else "RGB"))
    return _as_uint8(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if header.has_alpha else cv2.COLOR_RGB2BGR))


def _as_uint8(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Tell the type checker what OpenCV's stubs do not."""
    return pixels.astype(np.uint8, copy=False)
