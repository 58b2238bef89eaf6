"""What a picture's header says, and the limits that are held against it."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from service.errors import CorruptImage, ImageTooLarge, ImageTooSmall

__all__ = [
    "MIN_SIDE",
    "AdmitSize",
    "Buffer",
    "ImageHeader",
    "SourceFormat",
    "check_limits",
    "check_size",
]

Buffer: TypeAlias = bytes | bytearray | memoryview
SourceFormat: TypeAlias = Literal["jpeg", "png", "webp", "bmp", "tiff"]

# Each reader calls this once with the stored width and height, as soon as it knows them and before it walks
# the rest of the file: what is over a limit costs microseconds, whatever follows.
AdmitSize: TypeAlias = Callable[[int, int], None]

MIN_SIDE = 10


class ImageHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Facts read from a picture without decoding it.

    Attributes:
        format: The format, told by the bytes.
        width: Width in pixels as stored, before the orientation is applied.
        height: Height in pixels as stored.
        orientation: EXIF orientation, 1 to 8; 1 where there is none or it is invalid.
        channels: Channels of the file: gray 1, gray with alpha 2, colour or palette 3, with alpha 4, CMYK 4.
        has_alpha: Whether pixels may be transparent.
        bit_depth: Bits of one sample; of a palette index for a palette picture.
        icc_spans: (start, end) of each part of the ICC profile in the data, in order.
    """

    format: SourceFormat
    width: int
    height: int
    channels: int
    bit_depth: int = 8
    orientation: int = 1
    has_alpha: bool = False
    icc_spans: tuple[tuple[int, int], ...] = ()

    @property
    def upright_width(self) -> int:
        """Width in pixels once the orientation is applied."""
        return self.height if self.orientation >= 5 else self.width

    @property
    def upright_height(self) -> int:
        """Height in pixels once the orientation is applied."""
        return self.width if self.orientation >= 5 else self.height

    @property
    def media_type(self) -> str:
        """The IANA media type."""
        return f"image/{self.format}"


def check_size(width: int, height: int, *, max_pixels: int | None, min_side: int = MIN_SIDE) -> None:
    """Hold a picture's size against the limits.

    Raises:
        CorruptImage: A side is zero.
        ImageTooSmall: A side is under ``min_side``.
        ImageTooLarge: There are more than ``max_pixels`` pixels.
    """
    if width <= 0 or height <= 0:
        raise CorruptImage(f"corrupt image: its header declares {width}x{height} pixels")
    if width < min_side or height < min_side:
        raise ImageTooSmall(f"image is {width}x{height} pixels; the minimum is {min_side}x{min_side}")
    if max_pixels is not None and width * height > max_pixels:
        raise ImageTooLarge(
            f"image is {width}x{height} = {width * height} pixels; the maximum is {max_pixels} pixels"
        )


def check_limits(header: ImageHeader, *, max_pixels: int | None, min_side: int = MIN_SIDE) -> None:
    """Hold a header against the limits; see `check_size` for what is raised."""
    check_size(header.upright_width, header.upright_height, max_pixels=max_pixels, min_side=min_side)
