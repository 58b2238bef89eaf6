"""Pictures for the tests, drawn and encoded here; nothing is read from a disk.

`tests.picture_corpus` has one file of every kind that the service must read.
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from tests.picture_writers import png_chunk, write_png, write_tiff

__all__ = [
    "FOREIGN",
    "HEIGHT",
    "WIDTH",
    "compose",
    "encoded",
    "exif_block",
    "flips",
    "jpeg_with_everything",
    "oriented",
    "other_profile",
    "png_bomb",
    "scene",
    "truncations",
    "upright",
]

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 75, 52


def scene(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Pixels:
    """Draw a textured picture, different in each corner, so that no turn or mirror leaves it the same.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        seed: Varies the texture.

    Returns:
        (height, width, 3) RGB.
    """
    y, x = np.mgrid[:height, :width].astype(np.float64)
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = 127 + 90 * np.sin(0.35 * x + 0.2 * y + seed)
    picture = np.stack([red, green, blue], axis=2)
    picture += np.random.default_rng(seed).normal(0, 6, picture.shape)
    top, left = max(height // 4, 1), max(width // 4, 1)
    picture[:top, :left] = (230, 20, 20)
    picture[:top, -left:] = (20, 210, 40)
    picture[-top:, :left] = (30, 40, 220)
    return picture.clip(0, 255).astype(np.uint8)


def compose(
    width: int, height: int, parts: Iterable[tuple[Pixels, int, int]], background: int = 96
) -> Pixels:
    """Paste pictures on a plain ground.

    Args:
        width: Width of the whole in pixels.
        height: Height of the whole in pixels.
        parts: Pictures with the left and top of where they go; what sticks out is cut off.
        background: Gray level of the ground.

    Returns:
        (height, width, 3) of the same channel order as the parts.
    """
    canvas = np.full((height, width, 3), background, np.uint8)
    for part, left, top in parts:
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + part.shape[1], width), min(top + part.shape[0], height)
        if x0 < x1 and y0 < y1:
            canvas[y0:y1, x0:x1] = part[y0 - top : y1 - top, x0 - left : x1 - left]
    return canvas


def encoded(pixels: npt.NDArray[Any] | Image.Image, image_format: str, **options: Any) -> bytes:
    """Encode with Pillow.

    Args:
        pixels: RGB, RGBA or gray pixels, or a Pillow picture.
        image_format: Pillow's name of the format.
        options: Pillow's options for it; ``orientation`` writes an EXIF block with it.
    """
    if orientation := options.pop("orientation", None):
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    picture.save(file, image_format, **options)
    return file.getvalue()


def oriented(image_format: str, orientation: int, order: str = "<") -> bytes:
    """A picture with an orientation; of the formats that have one: JPEG, PNG, WebP, TIFF."""
    pixels = scene()
    if image_format == "tiff":
        return write_tiff(pixels, photometric=2, orientation=orientation, order=order, strip_rows=8)
    exif = exif_block(orientation, order)
    match image_format:
        case "jpeg":
            return encoded(pixels, "JPEG", exif=b"Exif\0\0" + exif, quality=95)
        case "png":
            return write_png(pixels, colour=2, before=[(b"eXIf", exif)])
        case "webp":
            return encoded(pixels, "WEBP", lossless=True, exif=exif)
    raise ValueError(image_format)


def exif_block(orientation: int, order: str = "<") -> bytes:
    """A minimal EXIF block."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHHIHH", 1, 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "I", 8) + entries + bytes(4)


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn stored pixels upright, after the drawings of the EXIF standard."""
    rows_then_columns = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    mirrored = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
    down, across = mirrored.get(orientation, (1, 1))
    return np.ascontiguousarray(rows_then_columns[::down, ::across])


@cache
def other_profile(space: str = "RGB") -> bytes:
    """An ICC profile that is not sRGB: red and green swapped for RGB, or a linear gray one."""
    if space == "RGB":
        profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        count = struct.unpack_from(">I", profile, 128)[0]
        for index in range(count):
            at = 132 + 12 * index
            name = bytes(profile[at : at + 4])
            profile[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
        for text in (b"sRGB", "sRGB".encode("utf-16-be")):
            profile = profile.replace(text, text.replace(b"s", b"t"))
        return bytes(profile)
    white = struct.pack(">4sIiii", b"XYZ ", 0, 63190, 65536, 54061)
    curve = struct.pack(">4sII", b"curv", 0, 0)
    text = b"linear gray\0"
    description = struct.pack(">4sII", b"desc", 0, len(text)) + text + bytes(78)
    tags, body = b"", b""
    base = 128 + 4 + 12 * 3
    for name, value in ((b"desc", description), (b"wtpt", white), (b"kTRC", curve)):
        tags += struct.pack(">4sII", name, base + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = base + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    header = (header + bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)).ljust(
        128, b"\0"
    )
    return header + struct.pack(">I", 3) + tags + body


def jpeg_with_everything(pixels: Pixels, orientation: int = 1) -> bytes:
    """A JPEG with EXIF, a GPS position, a thumbnail, XMP, a comment and an ICC profile."""
    thumbnail = encoded(pixels[:32, :32], "JPEG")
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    block = exif.tobytes() + b"SECRETTHUMBNAIL" + thumbnail
    return encoded(
        pixels,
        "JPEG",
        quality=95,
        exif=block,
        xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRETXMP</x:xmpmeta>",
        comment=b"SECRETCOMMENT",
        icc_profile=other_profile(),
    )


def png_bomb(side: int = 50_000, size: int = 40_000) -> bytes:
    """A PNG of some ``size`` bytes that declares ``side`` x ``side`` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(size * 1000), 9)[:size]
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, payload) for kind, payload in chunks)


def truncations(data: bytes, count: int = 40) -> Iterator[bytes]:
    """The file cut at ``count`` places: evenly, and at each of its first and last bytes."""
    places = {*np.linspace(1, len(data) - 1, count).astype(int).tolist()}
    places |= {*range(1, 40), *range(len(data) - 14, len(data))}
    for place in sorted(place for place in places if 0 < place < len(data)):
        yield data[:place]


def flips(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """The file with one to eight random bytes changed, half of the times all of them in its first 200."""
    random = np.random.default_rng(seed)
    for index in range(count):
        changed = bytearray(data)
        reach = min(200, len(data)) if index % 2 else len(data)
        for place in random.integers(0, reach, random.integers(1, 9)):
            changed[place] = random.integers(0, 256)
        yield bytes(changed)


FOREIGN: dict[str, tuple[str, bytes]] = {
    "gif": ("GIF", encoded(scene(), "GIF")),
    "gif-animated": (
        "GIF",
        encoded(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (75, 52))]),
    ),
    "heic": ("HEIC", struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic") + bytes(64)),
    "avif": ("AVIF", struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"avif", b"miaf") + bytes(64)),
    "mp4": ("video", struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 0, b"mp41", b"avc1") + bytes(64)),
    "svg": ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"></svg>'),
    "svg-with-prolog": ("SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>'),
    "pdf": ("PDF", b"%PDF-1.7\n1 0 obj\n"),
    "jpeg-xl": ("JPEG XL", b"\xff\x0a" + bytes(40)),
    "jpeg-xl-boxed": ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)),
    "jpeg-2000": ("JPEG 2000", encoded(scene(), "JPEG2000")),
    "ico": ("ICO", encoded(scene(32, 32), "ICO")),
    "psd": ("PSD", b"8BPS\0\1" + bytes(40)),
    "text": ("not a picture", b"this is no picture at all, only a line of text"),
    "json": ("not a picture", b'{"image": "none"}'),
    "zeros": ("not a picture", bytes(1000)),
}
