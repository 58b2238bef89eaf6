"""Bytes to upright pixels."""

import cv2
import numpy as np
import numpy.typing as npt

from service.errors import CorruptImage
from service.imaging.header import Buffer, ImageHeader

__all__ = ["REDUCTIONS", "PixelRegion", "apply_orientation", "decode", "reduction_for", "region_of"]

Pixels = npt.NDArray[np.uint8]
PixelRegion = tuple[float, float, float, float]
"""x1, y1, x2, y2 in px and fractions of them."""

REDUCTIONS = (8, 4, 2)

_COLOUR_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decode(data: Buffer, header: ImageHeader, *, keep_alpha: bool = False, reduction: int = 1) -> Pixels:
    """Decode a picture and turn it upright.

    The colours are the same with and without alpha. Samples of 16 bits lose their low byte.

    Args:
        data: The whole file.
        header: What `probe` said about it.
        keep_alpha: Whether to return the alpha, if the file has one.
        reduction: 1, or 2, 4 or 8 to decode a JPEG at that fraction of its sides, rounded up.

    Returns:
        C-contiguous (height, width, 3) BGR, or (height, width, 4) BGRA.

    Raises:
        CorruptImage: The decoder fails, or finds another size than the header declares.
    """
    if reduction not in _COLOUR_FLAGS or (reduction > 1 and header.format != "jpeg"):
        raise ValueError(f"reduction {reduction} for {header.format}")
    with_alpha = keep_alpha and header.has_alpha
    if header.format == "tiff":
        # It brings Pillow, whose import takes time at the start of every process.
        from service.imaging.tiff_pixels import decode_tiff

        pixels = decode_tiff(data, header)
        _check_shape(pixels, header, header.upright_width, header.upright_height)
        return _to_colour(pixels, with_alpha=with_alpha)
    flags = cv2.IMREAD_UNCHANGED if with_alpha else _COLOUR_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    stored = _imdecode(data, flags, header)
    _check_shape(stored, header, -(-header.width // reduction), -(-header.height // reduction))
    pixels = _to_colour(_to_8_bits(stored), with_alpha=with_alpha)
    return np.ascontiguousarray(apply_orientation(pixels, header.orientation))


def reduction_for(header: ImageHeader, detector_side: int) -> int:
    """The strongest reduction that leaves both sides at least twice as long as in the detector's input.

    At less than twice, small faces move or get lost.

    Args:
        header: What `probe` said about the file.
        detector_side: The square's side that the picture is letterboxed into, in pixels.

    Returns:
        1 for anything but a JPEG, else 1, 2, 4 or 8.
    """
    if header.format != "jpeg":
        return 1
    scale = min(detector_side / header.width, detector_side / header.height)
    for reduction in REDUCTIONS:
        if all(-(-side // reduction) >= 2 * round(side * scale) for side in (header.width, header.height)):
            return reduction
    return 1


def region_of(header: ImageHeader, reduction: int) -> PixelRegion:
    """Which part of the pixels that `decode` gives is the picture.

    A side that the reduction does not divide ends within the last pixel; an orientation may make that the first one.

    Args:
        header: What `probe` said about the file.
        reduction: What `decode` was given.
    """
    beyond_x, beyond_y = (-side % reduction / reduction for side in (header.width, header.height))
    # Right and lower edge as stored become upper or left edges of the upright picture, by orientation.
    left, top, right, bottom = {
        2: (beyond_x, 0.0, 0.0, beyond_y),
        3: (beyond_x, beyond_y, 0.0, 0.0),
        4: (0.0, beyond_y, beyond_x, 0.0),
        5: (0.0, 0.0, beyond_y, beyond_x),
        6: (beyond_y, 0.0, 0.0, beyond_x),
        7: (beyond_y, beyond_x, 0.0, 0.0),
        8: (0.0, beyond_x, beyond_y, 0.0),
    }.get(header.orientation, (0.0, 0.0, beyond_x, beyond_y))
    width, height = (-(-side // reduction) for side in (header.upright_width, header.upright_height))
    return left, top, width - right, height - bottom


def apply_orientation(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror stored pixels so that they are upright.

    Args:
        pixels: (height, width, channels) as stored.
        orientation: EXIF orientation, 1 to 8.
    """
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return turned  # type: ignore[return-value]  # OpenCV's stubs know no dtypes


def _imdecode(data: Buffer, flags: int, header: ImageHeader) -> npt.NDArray[np.generic]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise _undecodable(header) from error
    if pixels is None:
        raise _undecodable(header)
    return pixels


def _check_shape(pixels: npt.NDArray[np.generic], header: ImageHeader, width: int, height: int) -> None:
    if pixels.shape[:2] != (height, width):
        raise CorruptImage(
            f"corrupt {header.format.upper()}: {width}x{height} pixels were declared, "
            f"{pixels.shape[1]}x{pixels.shape[0]} decoded"
        )


def _to_8_bits(pixels: npt.NDArray[np.generic]) -> Pixels:
    if pixels.dtype == np.uint16:
        return (pixels.astype(np.uint16, copy=False) >> 8).astype(np.uint8)
    return pixels.astype(np.uint8, copy=False)


def _to_colour(pixels: Pixels, *, with_alpha: bool) -> Pixels:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    wanted = 4 if with_alpha else 3
    if channels == wanted:
        return pixels
    code = {
        (1, 3): cv2.COLOR_GRAY2BGR,
        (1, 4): cv2.COLOR_GRAY2BGRA,
        (3, 4): cv2.COLOR_BGR2BGRA,
        (4, 3): cv2.COLOR_BGRA2BGR,
    }[channels, wanted]
    return cv2.cvtColor(pixels, code)  # type: ignore[return-value]  # OpenCV's stubs know no dtypes


def _undecodable(header: ImageHeader) -> CorruptImage:
    return CorruptImage(f"corrupt {header.format.upper()}: its pixels cannot be decoded")
