"""One file of every kind that the service must read, with the pixels that it must decode to."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.picture_writers import write_bmp, write_png, write_tiff
from tests.pictures import HEIGHT, WIDTH, encoded, exif_block, other_profile, scene

__all__ = ["Picture", "by_format", "corpus"]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One file and what must be found in it.

    Attributes:
        name: What kind of file it is.
        data: The file.
        format: Its format.
        pixels: (height, width, 3) RGB or (height, width, 4) RGBA that it decodes to, as stored.
        channels: Channels of the file.
        bit_depth: Bits per sample.
        tolerance: Largest difference allowed: 0 for a lossless file, some for rounding of a colour space.
    """

    name: str
    data: bytes
    format: str
    pixels: Pixels
    channels: int
    bit_depth: int = 8
    tolerance: int = 0

    @property
    def has_alpha(self) -> bool:
        """Whether the file has an alpha."""
        return bool(self.pixels.shape[2] == 4)


@cache
def corpus() -> tuple[Picture, ...]:
    """One picture of every kind that must be read."""
    return (*_jpegs(), *_pngs(), *_webps(), *_bmps(), *_tiffs())


def by_format() -> dict[str, Picture]:
    """The first picture of each format."""
    return {picture.format: picture for picture in reversed(corpus())}


def _rgb_of(data: bytes) -> Pixels:
    """What Pillow makes of a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.uint8)


def _gray() -> Pixels:
    return np.asarray(Image.fromarray(scene()).convert("L"), np.uint8)


def _as_rgb(gray: npt.NDArray[Any]) -> Pixels:
    shade = gray.astype(np.uint8)
    return np.stack([shade, shade, shade], axis=2)


def _alpha() -> Pixels:
    """An alpha with every value from transparent to opaque."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((5 * x + 3 * y) % 256, np.uint8)


def _rgba() -> Pixels:
    return np.dstack([scene(), _alpha()])


def _wide(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples of 16 bits with a low byte that must be dropped, not rounded."""
    return pixels.astype(np.uint16) << 8 | (pixels[::-1] ^ 0xFF)


def _jpegs() -> Iterator[Picture]:
    pixels, gray = scene(), _gray()
    kinds: list[tuple[str, Image.Image, int, dict[str, Any]]] = [
        ("baseline", Image.fromarray(pixels), 3, {}),
        ("baseline-444", Image.fromarray(pixels), 3, {"subsampling": 0}),
        ("progressive", Image.fromarray(pixels), 3, {"progressive": True}),
        ("gray", Image.fromarray(gray), 1, {}),
        ("gray-progressive", Image.fromarray(gray), 1, {"progressive": True}),
        ("restarts", Image.fromarray(pixels), 3, {"restart_marker_rows": 1}),
        ("rgb-not-ycc", Image.fromarray(pixels), 3, {"keep_rgb": True}),
        ("cmyk", Image.fromarray(pixels).convert("CMYK"), 4, {}),
        ("cmyk-progressive", Image.fromarray(pixels).convert("CMYK"), 4, {"progressive": True}),
    ]
    for name, picture, channels, options in kinds:
        data = encoded(picture, "JPEG", quality=92, **options)
        yield Picture(f"jpeg-{name}", data, "jpeg", _rgb_of(data), channels, tolerance=2)
    data = encoded(pixels, "JPEG") + encoded(pixels[:20, :20], "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(100)
    yield Picture("jpeg-with-a-film-behind-it", data, "jpeg", _rgb_of(data), 3, tolerance=2)


def _pngs() -> Iterator[Picture]:
    pixels, gray, alpha = scene(), _gray(), _alpha()
    gray_alpha = np.dstack([gray, alpha])
    quantised = Image.fromarray(pixels).quantize(16)
    table = bytes(quantised.getpalette() or ())[:48]
    lookup = np.frombuffer(table, np.uint8).reshape(-1, 3)
    index = np.asarray(quantised)
    fade = np.arange(0, 256, 17, dtype=np.uint8)
    for interlaced in (False, True):
        tail = "-interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8):
            few = index & (2**depth - 1)
            colours, clear = table[: 3 * 2**depth], fade[: 2**depth]
            data = write_png(few, colour=3, depth=depth, palette=colours, interlaced=interlaced)
            yield Picture(f"png-palette-{depth}{tail}", data, "png", lookup[few], 3, depth)
            data = write_png(
                few,
                colour=3,
                depth=depth,
                palette=colours,
                transparency=clear.tobytes(),
                interlaced=interlaced,
            )
            rgba = np.dstack([lookup[few], fade[few]])
            yield Picture(f"png-palette-alpha-{depth}{tail}", data, "png", rgba, 4, depth)
            shade = gray >> (8 - depth)
            data = write_png(shade, colour=0, depth=depth, interlaced=interlaced)
            yield Picture(
                f"png-gray-{depth}{tail}", data, "png", _as_rgb(shade * (255 // (2**depth - 1))), 1, depth
            )
        for name, colour, samples, channels, rgb in (
            ("rgb", 2, pixels, 3, pixels),
            ("gray-alpha", 4, gray_alpha, 2, np.dstack([_as_rgb(gray), alpha])),
            ("rgba", 6, _rgba(), 4, _rgba()),
        ):
            data = write_png(samples, colour=colour, interlaced=interlaced)
            yield Picture(f"png-{name}{tail}", data, "png", rgb, channels)
            data = write_png(_wide(samples), colour=colour, depth=16, interlaced=interlaced)
            yield Picture(f"png-{name}-16{tail}", data, "png", rgb, channels, 16)
    yield Picture("png-gray-16", write_png(_wide(gray), colour=0, depth=16), "png", _as_rgb(gray), 1, 16)
    keyed = np.where((pixels == pixels[0, 0]).all(axis=2), 0, 255).astype(np.uint8)
    key = struct.pack(">HHH", *pixels[0, 0].tolist())
    data = write_png(pixels, colour=2, transparency=key)
    yield Picture("png-rgb-colour-key", data, "png", np.dstack([pixels, keyed]), 4)
    many = write_png(pixels, colour=2, idat=100, before=[(b"acTL", struct.pack(">II", 1, 0))])
    yield Picture("png-of-many-chunks", many, "png", pixels, 3)
    yield Picture(
        "png-gamma",
        write_png(pixels, colour=2, before=[(b"gAMA", struct.pack(">I", 45455))]),
        "png",
        pixels,
        3,
    )
    yield Picture("png-with-a-tail", write_png(pixels, colour=2) + b"tail" * 99, "png", pixels, 3)


def _webps() -> Iterator[Picture]:
    pixels, rgba = scene(), _rgba()
    data = encoded(pixels, "WEBP", quality=90)
    yield Picture("webp-lossy", data, "webp", _rgb_of(data), 3)
    yield Picture("webp-lossless", encoded(pixels, "WEBP", lossless=True), "webp", pixels, 3)
    data = encoded(rgba, "WEBP", quality=90)
    yield Picture("webp-lossy-alpha", data, "webp", np.asarray(Image.open(io.BytesIO(data))), 4)
    data = encoded(rgba, "WEBP", lossless=True, exact=True)
    yield Picture("webp-lossless-alpha", data, "webp", rgba, 4)
    data = encoded(pixels, "WEBP", lossless=True, exif=exif_block(1), icc_profile=other_profile())
    yield Picture("webp-extended", data, "webp", pixels, 3)
    yield Picture("webp-with-a-tail", encoded(pixels, "WEBP", lossless=True) + b"tail", "webp", pixels, 3)


def _bmps() -> Iterator[Picture]:
    pixels = scene()
    bgr = pixels[..., ::-1]
    quantised = Image.fromarray(pixels).quantize(16)
    lookup = np.frombuffer(bytes(quantised.getpalette() or ())[:48], np.uint8).reshape(-1, 3)
    index = np.asarray(quantised)
    for top_down in (False, True):
        tail = "-top-down" if top_down else ""
        for depth in (1, 4, 8):
            few = index & (2**depth - 1)
            data = write_bmp(few, depth=depth, palette=lookup[: 2**depth], top_down=top_down)
            yield Picture(f"bmp-{depth}{tail}", data, "bmp", lookup[few], 3, depth)
        yield Picture(f"bmp-24{tail}", write_bmp(bgr, depth=24, top_down=top_down), "bmp", pixels, 3)
        padded = np.dstack([bgr, np.zeros_like(bgr[..., 0])])
        yield Picture(f"bmp-32{tail}", write_bmp(padded, depth=32, top_down=top_down), "bmp", pixels, 3)
    yield Picture("bmp-core", write_bmp(bgr, depth=24, core=True), "bmp", pixels, 3)
    for depth in (4, 8):
        data = write_bmp(index, depth=depth, palette=lookup, runs=True)
        yield Picture(f"bmp-{depth}-rle", data, "bmp", lookup[index], 3, depth)
    red, green, blue = (pixels[..., channel].astype(np.uint16) for channel in range(3))
    data = write_bmp((red >> 3) << 10 | (green >> 3) << 5 | blue >> 3, depth=16)
    yield Picture("bmp-16-555", data, "bmp", _rgb_of(data), 3, tolerance=8)
    values = (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3
    data = write_bmp(values, depth=16, masks=(0xF800, 0x7E0, 0x1F))
    yield Picture("bmp-16-565", data, "bmp", _rgb_of(data), 3, tolerance=8)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    data = write_bmp(np.dstack([bgr, _alpha()]), depth=32, masks=masks)
    yield Picture("bmp-32-alpha", data, "bmp", _rgba(), 4)


def _tiffs() -> Iterator[Picture]:
    pixels, gray, rgba = scene(), _gray()[..., None], _rgba()
    quantised = Image.fromarray(pixels).quantize(256)
    lookup = np.frombuffer(bytes(quantised.getpalette() or ()), np.uint8).reshape(-1, 3)
    index = np.asarray(quantised)
    for order, tail in (("<", ""), (">", "-big-endian")):
        for name, photometric, samples, rgb in (
            ("rgb", 2, pixels, pixels),
            ("gray", 1, gray, _as_rgb(gray[..., 0])),
            ("white-is-zero", 0, 255 - gray, _as_rgb(gray[..., 0])),
        ):
            channels = samples.shape[2]
            common: dict[str, Any] = {"photometric": photometric, "order": order}
            for layout, options in (
                ("one-strip", {}),
                ("strips", {"strip_rows": 8, "pages": 2}),
                ("tiles", {"tile": (32, 16)}),
                ("deflate", {"strip_rows": 8, "deflate": True}),
                ("deflate-tiles", {"tile": (16, 16), "deflate": True}),
            ):
                data = write_tiff(samples, **common, **options)
                yield Picture(f"tiff-{name}-{layout}{tail}", data, "tiff", rgb, channels)
            if (photometric, order) == (0, ">"):
                continue  # the one combination that the decoder does not know
            data = write_tiff(_wide(samples), **common, bits=16, strip_rows=8)
            yield Picture(f"tiff-{name}-16{tail}", data, "tiff", rgb, channels, 16)
        data = write_tiff(pixels, photometric=2, order=order, planes=True, strip_rows=16)
        yield Picture(f"tiff-rgb-planes{tail}", data, "tiff", pixels, 3)
        data = write_tiff(index[..., None], photometric=3, order=order, palette=lookup)
        yield Picture(f"tiff-palette{tail}", data, "tiff", lookup[index], 3)
        data = write_tiff(rgba, photometric=2, order=order, extra=2, strip_rows=8)
        yield Picture(f"tiff-rgba{tail}", data, "tiff", rgba, 4)
        data = write_tiff(_wide(rgba), photometric=2, bits=16, order=order, extra=2)
        yield Picture(f"tiff-rgba-16{tail}", data, "tiff", rgba, 4, 16)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = encoded(pixels, "TIFF", compression=compression)
        yield Picture(f"tiff-{compression}", data, "tiff", pixels, 3)
    data = encoded(pixels, "TIFF", compression="jpeg")
    yield Picture("tiff-jpeg", data, "tiff", _rgb_of(data), 3, tolerance=2)
    bilevel = Image.fromarray(gray[..., 0]).convert("1")
    rgb = np.asarray(bilevel.convert("RGB"))
    for compression in ("raw", "group3", "group4"):
        data = encoded(bilevel, "TIFF", compression=compression)
        yield Picture(f"tiff-bilevel-{compression}", data, "tiff", rgb, 1, 1)
    for depth in (2, 4):
        few = gray >> (8 - depth)
        rgb = _as_rgb(few[..., 0] * (255 // (2**depth - 1)))
        yield Picture(f"tiff-gray-{depth}", write_tiff(few, photometric=1, bits=depth), "tiff", rgb, 1, depth)
    data = encoded(Image.fromarray(pixels).convert("CMYK"), "TIFF")
    yield Picture("tiff-cmyk", data, "tiff", _rgb_of(data), 4, tolerance=2)
    data = encoded(pixels, "TIFF", big_tiff=True)
    yield Picture("tiff-big", data, "tiff", pixels, 3)
    gray_alpha = np.dstack([gray, _alpha()])
    data = write_tiff(gray_alpha, photometric=1, extra=2)
    yield Picture("tiff-gray-alpha", data, "tiff", np.dstack([_as_rgb(gray[..., 0]), _alpha()]), 2)
    data = write_tiff(np.dstack([pixels, _alpha()]), photometric=2, extra=0)
    yield Picture("tiff-rgb-and-unknown", data, "tiff", pixels, 3)
    for compression in ("lzma", "zstd"):
        yield Picture(
            f"tiff-{compression}", encoded(pixels, "TIFF", compression=compression), "tiff", pixels, 3
        )
    data = write_tiff(pixels, photometric=2, tile=(16, 16))
    yield Picture("tiff-small-tiles", data, "tiff", pixels, 3)
