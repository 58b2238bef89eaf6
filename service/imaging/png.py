"""PNG header: the chunk walk from IHDR to IEND."""

import struct

from service.errors import AnimatedImage, CorruptImage, UnsupportedImage
from service.imaging.exif import read_orientation
from service.imaging.header import AdmitSize, ImageHeader

__all__ = ["SIGNATURE", "read_header"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_DEPTHS = {
    _GRAY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _RGBA: (8, 16),
}
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 3, _GRAY_ALPHA: 2, _RGBA: 4}
# Writers cut the data into chunks of 8 KB or more; this ends a file of empty chunks soon enough.
_MAX_CHUNKS = 65536

_CHUNK = struct.Struct(">I4s")


def read_header(data: memoryview, admit: AdmitSize) -> ImageHeader:
    """Read a PNG's header and make sure that all its chunks are there.

    Raises:
        CorruptImage: The file is truncated or its header makes no sense.
        AnimatedImage: It is an APNG with several frames.
        UnsupportedImage: It is of Apple's private variant.
    """
    if len(data) < 33:
        raise CorruptImage(f"truncated PNG: it ends inside its header; {len(data)} bytes were received")
    length, kind = _CHUNK.unpack_from(data, 8)
    if kind == b"CgBI":
        raise UnsupportedImage("unsupported PNG: Apple's CgBI variant; send a standard PNG")
    if kind != b"IHDR" or length != 13:
        raise CorruptImage("corrupt PNG: its first chunk is no header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    admit(width, height)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise CorruptImage(
            f"corrupt PNG: its header declares colour type {colour}, {depth} bits, "
            f"compression {compression}, filter {filtering}, interlace {interlace}"
        )
    orientation, transparent, icc = _walk_chunks(data)
    # The decoder ignores the transparent shade of a gray picture.
    keyed = transparent and colour in (_RGB, _PALETTE)
    return ImageHeader(
        format="png",
        width=width,
        height=height,
        channels=_CHANNELS[colour] + keyed,
        bit_depth=depth,
        orientation=orientation,
        has_alpha=keyed or colour in (_GRAY_ALPHA, _RGBA),
        icc_spans=icc,
    )


def _walk_chunks(data: memoryview) -> tuple[int, bool, tuple[tuple[int, int], ...]]:
    """Orientation, presence of tRNS and place of the profile; raises unless IEND is reached."""
    orientation, transparent, pictured = 1, False, False
    icc: tuple[tuple[int, int], ...] = ()
    position, size = 33, len(data)
    for _ in range(_MAX_CHUNKS):
        if position + 12 > size:
            break
        length, kind = _CHUNK.unpack_from(data, position)
        start = position + 8
        position = start + length + 4
        if position > size:
            break
        if kind == b"IDAT":
            pictured = True
        elif kind == b"IEND":
            if not pictured:
                raise CorruptImage("corrupt PNG: it has no picture data")
            return orientation, transparent, icc
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = read_orientation(data[start : start + length])
        elif kind == b"iCCP":
            icc = _profile_span(data, start, start + length)
        elif kind == b"acTL" and length >= 4:
            (frames,) = struct.unpack_from(">I", data, start)
            if frames > 1:
                raise AnimatedImage(f"animated PNG with {frames} frames; send a still picture")
    else:
        raise CorruptImage(f"corrupt PNG: more than {_MAX_CHUNKS} chunks")
    raise CorruptImage(f"truncated PNG: it ends before its IEND chunk; {size} bytes were received")


def _profile_span(data: memoryview, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Place of the deflated profile in an iCCP chunk: after a name of up to 79 bytes, a zero and a zero."""
    name = bytes(data[start : min(start + 80, end)]).find(0)
    return ((start + name + 2, end),) if name > 0 and start + name + 2 < end else ()
