"""What a picture is, told from its first bytes, without decoding or copying it."""

from functools import partial

from service.errors import CorruptImage, UnsupportedImage
from service.imaging import bmp, jpeg, png, tiff, webp
from service.imaging.header import Buffer, ImageHeader, check_limits, check_size

__all__ = ["Buffer", "ImageHeader", "check_limits", "probe"]

_ACCEPTED = "send JPEG, PNG, WebP, BMP or TIFF"

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_FOREIGN = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\x01\0", "ICO"),
    (b"\0\0\x02\0", "CUR"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM video"),
)


def probe(data: Buffer, *, max_pixels: int | None = None, min_side: int = 1) -> ImageHeader:
    """Read the header of a picture.

    The limits are held against the size as soon as it is known, before the rest of the file is looked at.
    Bytes after the end of the picture are ignored.

    Args:
        data: The whole file.
        max_pixels: Most pixels allowed, None for any number.
        min_side: Least pixels on a side.

    Raises:
        UnsupportedImage: It is not a picture, or of a format that is not read here.
        AnimatedImage: It has several frames in time.
        CorruptImage: It is truncated or its header makes no sense.
        ImageTooSmall: A side is under ``min_side``.
        ImageTooLarge: It has more than ``max_pixels`` pixels.
    """
    view = memoryview(data).cast("B") if not isinstance(data, memoryview) else data.cast("B")
    if not view:
        raise CorruptImage("the image is empty: 0 bytes were received")
    admit = partial(check_size, max_pixels=max_pixels, min_side=min_side)
    head = bytes(view[:16])
    if head[:3] == b"\xff\xd8\xff":
        return jpeg.read_header(view, admit)
    if head[:8] == png.SIGNATURE:
        return png.read_header(view, admit)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return webp.read_header(view, admit)
    if head[:4] in tiff.SIGNATURES:
        return tiff.read_header(view, admit)
    if head[:2] == b"BM":
        return bmp.read_header(view, admit)
    raise _refusal(view)


def _refusal(data: memoryview) -> CorruptImage | UnsupportedImage:
    """Name what the bytes are, if they are known at all."""
    head = bytes(data[:256])
    if len(head) < 12 and any(
        magic.startswith(head) or head.startswith(magic)
        for magic in (png.SIGNATURE, b"RIFF", b"\xff\xd8\xff")
    ):
        return CorruptImage(f"truncated image: only {len(head)} bytes were received")
    if name := _foreign_name(head):
        return UnsupportedImage(f"unsupported image format: {name}; {_ACCEPTED}")
    return UnsupportedImage(f"the data is not a picture of a known format; {_ACCEPTED}")


def _foreign_name(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        # The major brand of an AVIF may be the general one; then the compatible brands tell.
        brands = {head[8:12], *(head[index : index + 4] for index in range(16, 64, 4))}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        return "HEIC" if head[8:12] in _HEIC_BRANDS else "MP4 or QuickTime video"
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<svg") or (
        text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"svg" in text
    ):
        return "SVG"
    return None
