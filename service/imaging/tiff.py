"""TIFF header: the first image file directory, and where its strips or tiles lie."""

import struct

import numpy as np

from service.errors import CorruptImage, UnsupportedImage
from service.imaging.exif import valid_orientation
from service.imaging.header import AdmitSize, ImageHeader

__all__ = ["SIGNATURES", "read_header"]

SIGNATURES = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS = 273, 274, 277, 278, 279
_PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 284, 322, 323, 324, 325
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _ICC, _DNG_VERSION = 338, 339, 34675, 50706

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
# None, CCITT RLE and groups 3 and 4, LZW, JPEG, deflate, PackBits, deflate again, LZMA, Zstandard.
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000})
_ASSOCIATED, _UNASSOCIATED = 1, 2
_UNSIGNED = 1
_CHUNKY, _PLANES = 1, 2

# Types of a directory entry that may hold a number, as NumPy names them.
_TYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
_MAX_ENTRIES = 4096
_MAX_TILE = 4096


class _Directory:
    """The first directory of a TIFF; numbers are read when they are asked for."""

    def __init__(self, data: memoryview) -> None:
        if len(data) < 16:
            raise _truncated(data)
        if bytes(data[8:10]) == b"CR":
            raise UnsupportedImage("unsupported image format: Canon CR2 raw; send a developed picture")
        self.data = data
        self.order = "<" if data[0] == ord("I") else ">"
        # BigTIFF has offsets and counts of 8 bytes.
        self.big = 43 in (data[2], data[3])
        self.offset = self.order + ("Q" if self.big else "I")
        head, size = struct.Struct(self.order + ("HHQ" if self.big else "HHI")), 20 if self.big else 12
        counter = struct.Struct(self.order + ("Q" if self.big else "H"))
        self.entries: dict[int, tuple[int, int, int]] = {}
        (start,) = struct.unpack_from(self.offset, data, 8 if self.big else 4)
        if start < 8 or start + counter.size > len(data):
            raise _truncated(data)
        (count,) = counter.unpack_from(data, start)
        if not 1 <= count <= _MAX_ENTRIES:
            raise CorruptImage(f"corrupt TIFF: a directory of {count} entries")
        start += counter.size
        if start + size * count > len(data):
            raise _truncated(data)
        for place in range(start, start + size * count, size):
            tag, kind, number = head.unpack_from(data, place)
            # Decoders differ in which of two sizes they believe.
            if tag in self.entries:
                raise CorruptImage(f"corrupt TIFF: tag {tag} stands twice in its directory")
            self.entries[tag] = kind, number, place + head.size

    def numbers(self, tag: int) -> np.ndarray | None:
        """All values of a tag, or None if it is missing or of a type that is no number."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        if kind not in _TYPES or count == 0:
            return None
        dtype = np.dtype(self.order + _TYPES[kind])
        if count * dtype.itemsize > (8 if self.big else 4):
            (place,) = struct.unpack_from(self.offset, self.data, place)
        if place + count * dtype.itemsize > len(self.data):
            raise _truncated(self.data)
        return np.frombuffer(self.data, dtype, count, place)

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        values = self.numbers(tag)
        return default if values is None else int(values[0])

    def span(self, tag: int) -> tuple[tuple[int, int], ...]:
        """Place of a tag's bytes, empty if it is missing or outside the file."""
        _, count, place = self.entries.get(tag, (0, 0, 0))
        if count <= 8:
            return ()
        (start,) = struct.unpack_from(self.offset, self.data, place)
        return ((start, start + count),) if start + count <= len(self.data) else ()


def read_header(data: memoryview, admit: AdmitSize) -> ImageHeader:
    """Read the first page of a TIFF and make sure that its strips or tiles are inside the file.

    Raises:
        CorruptImage: The file is truncated or its directory makes no sense.
        UnsupportedImage: A kind of TIFF that the decoder does not read.
    """
    directory = _Directory(data)
    width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
    admit(width, height)
    if _DNG_VERSION in directory.entries:
        raise UnsupportedImage("unsupported image format: DNG raw; send a developed picture")
    photometric = directory.number(_PHOTOMETRIC, -1)
    if photometric not in _COLOURS:
        raise UnsupportedImage(
            f"unsupported TIFF: photometric interpretation {photometric}; send gray, RGB, palette or CMYK"
        )
    samples = directory.number(_SAMPLES, 1)
    depth = _bit_depth(directory, photometric, samples)
    compression = directory.number(_COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise UnsupportedImage(
            f"unsupported TIFF: compression {compression}; send one that is uncompressed or compressed with "
            "LZW, deflate, Zstandard, LZMA, PackBits, JPEG or CCITT"
        )
    _check_data(directory, width, height, samples * depth if compression == 1 else 0, samples)
    has_alpha = _has_alpha(directory)
    colours = 3 if photometric == _PALETTE else _COLOURS[photometric]
    return ImageHeader(
        format="tiff",
        width=width,
        height=height,
        channels=colours + has_alpha,
        bit_depth=depth,
        orientation=valid_orientation(directory.number(_ORIENTATION, 1)),
        has_alpha=has_alpha,
        icc_spans=directory.span(_ICC),
    )


def _has_alpha(directory: _Directory) -> bool:
    """Whether the first extra sample is an alpha beside gray or RGB."""
    return directory.number(_PHOTOMETRIC) in (_MIN_IS_BLACK, _RGB) and directory.number(_EXTRA_SAMPLES) in (
        _ASSOCIATED,
        _UNASSOCIATED,
    )


def _bit_depth(directory: _Directory, photometric: int, samples: int) -> int:
    """Bits of one sample; raises for what the decoder cannot turn into 8 bits."""
    bits = directory.numbers(_BITS)
    depths = {1} if bits is None else set(bits.tolist())
    if len(depths) != 1:
        raise UnsupportedImage(f"unsupported TIFF: samples of {sorted(depths)} bits; send equal ones")
    depth: int = depths.pop()
    kind = directory.number(_SAMPLE_FORMAT, _UNSIGNED)
    if kind != _UNSIGNED:
        names = {2: "signed", 3: "floating-point"}
        raise UnsupportedImage(
            f"unsupported TIFF: {names.get(kind, 'unknown')} samples; send unsigned integers of 8 or 16 bits"
        )
    allowed = (8, 16) if _COLOURS[photometric] > 1 else (1, 2, 4, 8, 16)
    if depth not in allowed:
        raise UnsupportedImage(f"unsupported TIFF: {depth} bits per sample; send 8 or 16")
    if not _COLOURS[photometric] <= samples <= 8:
        raise CorruptImage(f"corrupt TIFF: {samples} samples per pixel")
    if depth == 16 and samples > 1 and directory.number(_PLANAR, _CHUNKY) == _PLANES:
        raise UnsupportedImage("unsupported TIFF: planes of 16 bits; send interleaved samples")
    return depth


def _check_data(directory: _Directory, width: int, height: int, pixel_bits: int, samples: int) -> None:
    """Hold the strips or tiles against the file.

    Args:
        directory: The directory.
        width: Width in pixels.
        height: Height in pixels.
        pixel_bits: Bits of a pixel of uncompressed data, 0 for compressed data.
        samples: Samples per pixel.
    """
    tiled = _TILE_OFFSETS in directory.entries
    offsets = directory.numbers(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    counts = directory.numbers(_TILE_COUNTS if tiled else _STRIP_COUNTS)
    if offsets is None:
        raise CorruptImage("corrupt TIFF: it says nowhere where its pixels are")
    if tiled:
        across, down = directory.number(_TILE_WIDTH), directory.number(_TILE_HEIGHT)
    else:
        across, down = width, min(directory.number(_ROWS_PER_STRIP, height), height)
    # A tile is a buffer in the decoder, however small the picture is.
    vast = tiled and (across > max(width, _MAX_TILE) + 15 or down > max(height, _MAX_TILE) + 15)
    if across <= 0 or down <= 0 or vast:
        raise CorruptImage(f"corrupt TIFF: {'tiles' if tiled else 'strips'} of {across}x{down} pixels")
    needed = -(-width // across) * -(-height // down)
    if directory.number(_PLANAR, _CHUNKY) == _PLANES:
        needed *= samples
        pixel_bits //= samples
    size = len(directory.data)
    if len(offsets) < needed:
        raise CorruptImage(
            f"corrupt TIFF: {len(offsets)} {'tiles' if tiled else 'strips'}, where {needed} are needed"
        )
    if counts is None or len(counts) < needed:
        raise CorruptImage("corrupt TIFF: it does not say how long its strips or tiles are")
    ends = offsets[:needed].astype(np.uint64) + counts[:needed].astype(np.uint64)
    if int(ends.max()) > size or int(offsets[:needed].min()) < 8:
        raise CorruptImage(
            f"truncated TIFF: its pixels reach byte {int(ends.max())}; {size} bytes were received"
        )
    if int(counts[:needed].min()) == 0:
        raise CorruptImage("corrupt TIFF: a strip or tile of 0 bytes")
    if pixel_bits and not tiled:
        full = -(-width * pixel_bits // 8) * height * (samples if needed > -(-height // down) else 1)
        if int(counts[:needed].sum(dtype=np.uint64)) < full:
            raise CorruptImage("corrupt TIFF: its strips are too short for its size")


def _truncated(data: memoryview) -> CorruptImage:
    return CorruptImage(f"truncated TIFF: its directory lies outside of the {len(data)} bytes received")
