"""The one EXIF tag that matters here: the orientation."""

import struct

__all__ = ["EXIF_PREFIX", "read_orientation", "valid_orientation"]

EXIF_PREFIX = b"Exif\0\0"

_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
# IFD0 of a camera has about a dozen entries, sorted by tag, with the orientation among the first.
_MAX_ENTRIES = 512


def valid_orientation(value: int) -> int:
    """The value if it is 1 to 8, else 1: a picture with a nonsensical orientation is shown as stored."""
    return value if 1 <= value <= 8 else 1


def read_orientation(exif: memoryview) -> int:
    r"""Read the orientation from an EXIF block.

    Args:
        exif: The block, with or without the leading ``Exif\0\0``.

    Returns:
        1 to 8; 1 if the tag is missing or invalid or the block is damaged. Never raises: a picture is not
        refused for its metadata.
    """
    if exif[:6] == EXIF_PREFIX:
        exif = exif[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(exif[:4]))
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, offset)
        for index in range(min(entries, _MAX_ENTRIES)):
            tag, kind, count = struct.unpack_from(order + "HHI", exif, offset + 2 + 12 * index)
            if tag == _ORIENTATION:
                if count != 1 or kind not in (_SHORT, _LONG):
                    return 1
                value = struct.unpack_from(
                    order + ("H" if kind == _SHORT else "I"), exif, offset + 10 + 12 * index
                )
                return valid_orientation(value[0])
    except struct.error:
        return 1
    return 1
