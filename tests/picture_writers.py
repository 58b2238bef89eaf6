"""Small writers of PNG, BMP and TIFF for the kinds that Pillow does not write."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["png_chunk", "write_bmp", "write_png", "write_tiff"]

Samples = npt.NDArray[Any]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _pack_rows(samples: Samples, depth: int, order: str = ">") -> list[bytes]:
    """Rows of samples as bytes, several samples to a byte under 8 bits, most significant first."""
    rows = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        return [row.astype(order + "u2").tobytes() for row in rows]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in rows]
    bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return [row.tobytes() for row in np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)]


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def write_png(
    samples: Samples,
    *,
    colour: int,
    depth: int = 8,
    palette: bytes = b"",
    transparency: bytes = b"",
    interlaced: bool = False,
    before: Iterable[tuple[bytes, bytes]] = (),
    after: Iterable[tuple[bytes, bytes]] = (),
    idat: int = 1 << 30,
) -> bytes:
    """A PNG of any colour type and depth.

    Args:
        samples: (height, width) or (height, width, channels).
        colour: Colour type: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA.
        depth: Bits per sample.
        palette: PLTE, 3 bytes for each colour.
        transparency: tRNS.
        interlaced: Whether to write it in Adam7 order.
        before: More chunks before the pixels.
        after: More chunks after them.
        idat: Largest size of an IDAT chunk.
    """
    raw = b""
    for x, y, dx, dy in _ADAM7 if interlaced else _WHOLE:
        part = samples[y::dy, x::dx]
        if part.size:
            raw += b"".join(b"\0" + row for row in _pack_rows(part, depth))
    deflated = zlib.compress(raw)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", header)]
    chunks += [(b"PLTE", palette)] if palette else []
    chunks += [(b"tRNS", transparency)] if transparency else []
    chunks += before
    chunks += [(b"IDAT", deflated[at : at + idat]) for at in range(0, len(deflated), idat)]
    chunks += after
    chunks += [(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(kind, payload) for kind, payload in chunks)


def _run_lengths(row: npt.NDArray[np.uint8], depth: int) -> bytes:
    """One row as BMP runs, with a literal stretch at its start."""
    encoded = b""
    literal = row[:6]
    if depth == 8:
        encoded += bytes([0, len(literal)]) + literal.tobytes()
    else:
        encoded += bytes([0, len(literal)]) + _pack_rows(literal[None], 4)[0] + b"\0"
    position = len(literal)
    while position < len(row):
        length = 1
        while length < 255 and position + length < len(row) and row[position + length] == row[position]:
            length += 1
        value = int(row[position])
        encoded += bytes([length, value if depth == 8 else value << 4 | value])
        position += length
    return encoded + b"\0\0"


def write_bmp(
    samples: Samples,
    *,
    depth: int,
    palette: npt.NDArray[np.uint8] | None = None,
    top_down: bool = False,
    runs: bool = False,
    masks: Sequence[int] = (),
    core: bool = False,
) -> bytes:
    """A BMP of any depth.

    Args:
        samples: (height, width) indices or 16-bit pixel values, or (height, width, 3 or 4) in BGR order.
        depth: Bits per pixel.
        palette: (colours, 3) in RGB order.
        top_down: Whether rows go from top to bottom.
        runs: Whether to compress with run lengths (4 and 8 bits).
        masks: Red, green, blue (and alpha) masks; three stand after a header of 40 bytes, four in one of 108.
        core: Whether to write the header of 12 bytes.
    """
    height, width = samples.shape[:2]
    rows = _pack_rows(samples, depth if depth <= 16 else 8, "<")
    body = b""
    for index in range(height) if top_down else reversed(range(height)):
        if runs:
            body += _run_lengths(samples[index].astype(np.uint8), depth)
        else:
            body += rows[index] + bytes(-len(rows[index]) % 4)
    body += b"\0\1" if runs else b""
    colours = b""
    if palette is not None:
        entries = palette[:, ::-1]
        colours = b"".join(entry.tobytes() + (b"" if core else b"\0") for entry in entries)
    compression = ({8: 1, 4: 2}[depth] if runs else 0) if not masks else 3
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, depth)
    else:
        size = 108 if len(masks) == 4 else 40
        used = 0 if palette is None else len(palette)
        stored_height = -height if top_down else height
        header = struct.pack(
            "<IiiHHIIiiII", size, width, stored_height, 1, depth, compression, len(body), 2835, 2835, used, 0
        )
        header += b"".join(struct.pack("<I", mask) for mask in masks)
        header += b"sRGB"[::-1].ljust(108 - 40 - 16, b"\0") if size == 108 else b""
    offset = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + colours + body


def write_tiff(
    samples: Samples,
    *,
    photometric: int,
    bits: int = 8,
    order: str = "<",
    strip_rows: int | None = None,
    tile: tuple[int, int] | None = None,
    planes: bool = False,
    deflate: bool = False,
    extra: int | None = None,
    orientation: int | None = None,
    palette: npt.NDArray[np.uint8] | None = None,
    tags: Iterable[tuple[int, int, Sequence[int]]] = (),
    pages: int = 1,
) -> bytes:
    """A TIFF of any layout.

    Args:
        samples: (height, width, channels).
        photometric: 0 min is white, 1 min is black, 2 RGB, 3 palette, 5 CMYK.
        bits: Bits per sample.
        order: ``<`` or ``>``.
        strip_rows: Rows of a strip; all in one by default.
        tile: Width and height of a tile, multiples of 16, instead of strips.
        planes: Whether each channel is stored by itself.
        deflate: Whether to compress.
        extra: Meaning of the last channel: 0 unspecified, 1 associated, 2 unassociated alpha.
        orientation: Tag 274.
        palette: (colours, 3).
        tags: More tags: number, type (3 SHORT, 4 LONG) and values; they replace ours.
        pages: How many times the page is repeated.
    """
    height, width, channels = samples.shape
    across, down = tile or (width, strip_rows or height)
    blocks = []
    for plane in [samples[..., c : c + 1] for c in range(channels)] if planes else [samples]:
        for y in range(0, height, down):
            for x in range(0, width, across):
                block = plane[y : y + down, x : x + across]
                if tile:
                    edges = ((0, down - block.shape[0]), (0, across - block.shape[1]), (0, 0))
                    block = np.pad(block, edges)
                packed = b"".join(_pack_rows(block, bits, order))
                blocks.append(zlib.compress(packed) if deflate else packed)
    data = (b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
    link = 4
    for _ in range(pages):
        offsets = []
        for packed in blocks:
            offsets.append(len(data))
            data += packed + bytes(len(packed) % 2)
        counts = [len(packed) for packed in blocks]
        entries: dict[int, tuple[int, Sequence[int]]] = {
            256: (4, [width]),
            257: (4, [height]),
            258: (3, [bits] * channels),
            259: (3, [8 if deflate else 1]),
            262: (3, [photometric]),
            277: (3, [channels]),
            284: (3, [2 if planes else 1]),
        }
        if tile:
            entries |= {322: (3, [across]), 323: (3, [down]), 324: (4, offsets), 325: (4, counts)}
        else:
            entries |= {273: (4, offsets), 278: (4, [down]), 279: (4, counts)}
        if extra is not None:
            entries[338] = (3, [extra])
        if orientation is not None:
            entries[274] = (3, [orientation])
        if palette is not None:
            entries[320] = (3, [int(value) * 257 for value in palette.T.ravel()])
        entries |= {number: (kind, values) for number, kind, values in tags}
        directory = struct.pack(order + "H", len(entries))
        outside = b""
        base = len(data) + 2 + 12 * len(entries) + 4
        for number, (kind, values) in sorted(entries.items()):
            packed = b"".join(struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], value) for value in values)
            if len(packed) > 4:
                place = struct.pack(order + "I", base + len(outside))
                outside += packed + bytes(len(packed) % 2)
            else:
                place = packed.ljust(4, b"\0")
            directory += struct.pack(order + "HHI", number, kind, len(values)) + place
        data = data[:link] + struct.pack(order + "I", len(data)) + data[link + 4 :]
        link = len(data) + len(directory)
        data += directory + bytes(4) + outside
    return data
