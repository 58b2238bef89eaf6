"""WebP header: the RIFF container and the first bytes of the bitstream."""

import struct

from service.errors import AnimatedImage, CorruptImage
from service.imaging.exif import read_orientation
from service.imaging.header import AdmitSize, ImageHeader

__all__ = ["read_header"]

_ANIMATION, _ALPHA = 0x02, 0x10
_KEY_FRAME = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F
_MAX_CHUNKS = 1024


def read_header(data: memoryview, admit: AdmitSize) -> ImageHeader:
    """Read a WebP's header and make sure that the file is as long as it says.

    Raises:
        CorruptImage: The file is truncated or its chunks make no sense.
        AnimatedImage: It is an animation.
    """
    if len(data) < 30:
        raise CorruptImage(f"truncated WebP: it ends inside its header; {len(data)} bytes were received")
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    canvas: tuple[int, int] | None = None
    has_alpha = False
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        if data[20] & _ANIMATION:
            raise AnimatedImage("animated WebP; send a still picture")
        has_alpha = bool(data[20] & _ALPHA)
        canvas = 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        admit(*canvas)
    elif kind not in (b"VP8 ", b"VP8L"):
        raise CorruptImage("corrupt WebP: its first chunk is no picture")

    orientation = 1
    icc: tuple[tuple[int, int], ...] = ()
    frame: tuple[int, int] | None = None
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > min(end, len(data)):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if kind in (b"VP8 ", b"VP8L") and frame is None:
            width, height, transparent = _read_frame(kind, data[start : start + 10])
            frame = width, height
            if canvas is None:
                has_alpha = transparent
                admit(width, height)
            elif frame != canvas:
                raise CorruptImage(
                    f"corrupt WebP: a canvas of {canvas[0]}x{canvas[1]} holds a picture of {width}x{height}"
                )
        if start + length > min(end, len(data)):
            break
        if kind == b"EXIF":
            orientation = read_orientation(data[start : start + length])
        elif kind == b"ICCP":
            icc = ((start, start + length),)
        elif kind in (b"ANIM", b"ANMF"):
            raise AnimatedImage("animated WebP; send a still picture")
        position = start + length + (length & 1)
    if end > len(data):
        raise CorruptImage(f"truncated WebP: it declares {end} bytes, {len(data)} were received")
    if frame is None:
        raise CorruptImage("corrupt WebP: it has no picture data")
    if position < end - 1:
        raise CorruptImage("corrupt WebP: its chunks do not fit into the file")
    return ImageHeader(
        format="webp",
        width=frame[0],
        height=frame[1],
        channels=4 if has_alpha else 3,
        orientation=orientation,
        has_alpha=has_alpha,
        icc_spans=icc,
    )


def _read_frame(kind: bytes, frame: memoryview) -> tuple[int, int, bool]:
    """Width, height and, for a lossless picture, whether its alpha is used."""
    if len(frame) < 10:
        raise CorruptImage("truncated WebP: it ends inside its picture's header")
    if kind == b"VP8L":
        if frame[0] != _LOSSLESS_SIGNATURE:
            raise CorruptImage("corrupt WebP: its lossless picture has no signature")
        bits = int.from_bytes(frame[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    if frame[0] & 1 or frame[3:6] != _KEY_FRAME:
        raise CorruptImage("corrupt WebP: its picture is no key frame")
    width, height = struct.unpack_from("<HH", frame, 6)
    return width & 0x3FFF, height & 0x3FFF, False
