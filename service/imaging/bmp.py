"""BMP header: the file header and the device-independent header after it."""

import struct

from service.errors import CorruptImage, UnsupportedImage
from service.imaging.header import AdmitSize, ImageHeader

__all__ = ["read_header"]

_RGB, _RLE8, _RLE4, _BITFIELDS, _JPEG, _PNG, _ALPHABITFIELDS = 0, 1, 2, 3, 4, 5, 6
_DEPTHS = {
    _RGB: (1, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _BITFIELDS: (16, 32),
    _ALPHABITFIELDS: (16, 32),
}
_CORE_HEADER = 12
_HEADERS = (_CORE_HEADER, 40, 52, 56, 64, 108, 124)


def read_header(data: memoryview, admit: AdmitSize) -> ImageHeader:
    """Read a BMP's header and make sure that its pixels are inside the file.

    Raises:
        CorruptImage: The file is truncated or its header makes no sense.
        UnsupportedImage: It wraps a JPEG or a PNG.
    """
    if len(data) < 26:
        raise _truncated(data)
    pixels, header = struct.unpack_from("<II", data, 10)
    if header not in _HEADERS:
        raise CorruptImage(f"corrupt BMP: a header of {header} bytes")
    if len(data) < 14 + header:
        raise _truncated(data)
    compression = size = 0
    if header == _CORE_HEADER:
        width, height, planes, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, planes, depth, compression, size = struct.unpack_from("<iiHHII", data, 18)
    # A negative height means rows from top to bottom.
    height = abs(height)
    admit(width, height)
    if compression in (_JPEG, _PNG):
        raise UnsupportedImage("unsupported BMP: it wraps a JPEG or PNG; send that itself")
    if planes != 1 or depth not in _DEPTHS.get(compression, ()):
        raise CorruptImage(
            f"corrupt BMP: {planes} planes, {depth} bits per pixel with compression {compression}"
        )
    if compression not in (_RLE8, _RLE4):
        size = (width * depth + 31) // 32 * 4 * height
    if pixels < 14 + header or pixels + size > len(data):
        raise CorruptImage(
            f"truncated BMP: its pixels take {size} bytes from byte {pixels}; {len(data)} bytes were received"
        )
    has_alpha = depth == 32 and _alpha_mask(data, header, compression) != 0
    return ImageHeader(
        format="bmp",
        width=width,
        height=height,
        channels=4 if has_alpha else 3,
        bit_depth=depth if depth <= 8 else 8,
        has_alpha=has_alpha,
    )


def _alpha_mask(data: memoryview, header: int, compression: int) -> int:
    """The mask of the alpha bits; without one the fourth byte of a pixel means nothing."""
    if header < 56 or header == 64 or compression not in (_BITFIELDS, _ALPHABITFIELDS):
        return 0
    mask: int = struct.unpack_from("<I", data, 66)[0]
    return mask


def _truncated(data: memoryview) -> CorruptImage:
    return CorruptImage(f"truncated BMP: it ends inside its header; {len(data)} bytes were received")
