"""JPEG header: the marker walk up to the first scan, and the search for the end."""

import struct

from service.errors import CorruptImage, UnsupportedImage
from service.imaging.exif import EXIF_PREFIX, read_orientation
from service.imaging.header import AdmitSize, ImageHeader

__all__ = ["read_header"]

_EOI, _SOS, _APP1, _APP2 = 0xD9, 0xDA, 0xE1, 0xE2
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_HIERARCHICAL = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
_ICC_PREFIX = b"ICC_PROFILE\0"

# Far above what writers make (an ICC profile has at most 255 segments), low enough to end a file of nothing
# but empty segments within a millisecond or two.
_MAX_SEGMENTS = 4096
# Stray bytes between segments are forgiven, as decoders do, up to this many.
_MAX_STRAY = 4096
_WINDOW = 1 << 16


def read_header(data: memoryview, admit: AdmitSize) -> ImageHeader:
    """Read a JPEG's header and make sure that its end is there.

    Raises:
        CorruptImage: The file is truncated or its markers make no sense.
        UnsupportedImage: A kind of JPEG that the decoder does not read.
    """
    frame: tuple[int, int, int, int] | None = None
    orientation: int | None = None
    icc: dict[int, tuple[int, int]] = {}
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = _next_marker(data, position)
        marker = data[position]
        position += 1
        if marker in _STANDALONE:
            continue
        if marker == _EOI:
            raise CorruptImage("corrupt JPEG: it ends before any picture data")
        if position + 2 > len(data):
            raise _truncated_header(data)
        length = data[position] << 8 | data[position + 1]
        start, end = position + 2, position + length
        if length < 2:
            raise CorruptImage(f"corrupt JPEG: a segment declares a length of {length} bytes")
        if end > len(data):
            raise _truncated_header(data)
        if marker in _FRAMES and frame is None:
            frame = _read_frame(data[start:end], marker)
            admit(frame[1], frame[2])
        elif marker == _APP1 and orientation is None and data[start : start + 6] == EXIF_PREFIX:
            orientation = read_orientation(data[start:end])
        elif marker == _APP2 and end - start > 14 and data[start : start + 12] == _ICC_PREFIX:
            icc[data[start + 12]] = (start + 14, end)
        elif marker == _SOS:
            break
        position = end
    else:
        raise CorruptImage(f"corrupt JPEG: more than {_MAX_SEGMENTS} segments before the picture data")
    if frame is None:
        raise CorruptImage("corrupt JPEG: picture data without a frame header")
    if not _has_end(data, end):
        raise CorruptImage(
            f"truncated JPEG: the end-of-image marker is missing; {len(data)} bytes were received"
        )
    precision, width, height, components = frame
    return ImageHeader(
        format="jpeg",
        width=width,
        height=height,
        channels=components,
        bit_depth=precision,
        orientation=orientation or 1,
        icc_spans=tuple(icc[number] for number in sorted(icc)),
    )


def _next_marker(data: memoryview, position: int) -> int:
    """Index of the code byte of the next marker, past fill bytes and a few stray ones."""
    window = bytes(data[position : position + 2])
    if len(window) == 2 and window[0] == 0xFF and window[1] not in (0x00, 0xFF):
        return position + 1
    window = bytes(data[position : position + _MAX_STRAY])
    index = window.find(b"\xff")
    while 0 <= index < len(window) - 1:
        if window[index + 1] not in (0x00, 0xFF):
            return position + index + 1
        index = window.find(b"\xff", index + 1)
    if position + _MAX_STRAY >= len(data):
        raise _truncated_header(data)
    raise CorruptImage(f"corrupt JPEG: no marker at byte {position}, where one is due")


def _read_frame(segment: memoryview, marker: int) -> tuple[int, int, int, int]:
    """Precision, width, height and number of components."""
    if len(segment) < 6:
        raise CorruptImage("corrupt JPEG: its frame header is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", segment)
    if marker in _HIERARCHICAL:
        raise UnsupportedImage("unsupported JPEG: hierarchical; send a baseline or progressive one")
    if precision != 8:
        raise UnsupportedImage(f"unsupported JPEG: {precision} bits per sample; send one with 8")
    if components not in (1, 3, 4):
        raise UnsupportedImage(f"unsupported JPEG: {components} components; send one with 1, 3 or 4")
    return precision, width, height, components


def _has_end(data: memoryview, start: int) -> bool:
    """Whether an end-of-image marker follows; searched backwards, since it is nearly always at the end.

    Entropy-coded data never contains the marker's two bytes, so a file cut anywhere in it has none. Windows
    are copied one by one because a memoryview has no ``rfind``.
    """
    end = len(data)
    window = 256
    while end > start:
        begin = max(start, end - window)
        if b"\xff\xd9" in bytes(data[begin : min(end + 1, len(data))]):
            return True
        end = begin
        window = _WINDOW
    return False


def _truncated_header(data: memoryview) -> CorruptImage:
    return CorruptImage(f"truncated JPEG: it ends inside its header; {len(data)} bytes were received")
