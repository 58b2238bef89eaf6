"""Small copies of pictures for a person to look at: upright, in JPEG, without metadata."""

import cv2

from service.imaging.colour import read_profile, to_srgb
from service.imaging.decode import decode, reduction_for
from service.imaging.encode import encode
from service.imaging.header import Buffer
from service.imaging.probe import probe

__all__ = ["preview"]

_QUALITY = 85


def preview(data: Buffer, side: int, *, max_pixels: int) -> bytes:
    """Shrink a picture; one that is small enough keeps its size.

    Args:
        data: The picture's file.
        side: The longer side of the result, at most, in px.
        max_pixels: Larger pictures are refused.

    Raises:
        ImageError: The picture cannot be used.
    """
    header = probe(data, max_pixels=max_pixels, min_side=1)
    keep_alpha = header.has_alpha
    image = decode(
        data, header, keep_alpha=keep_alpha, reduction=1 if keep_alpha else reduction_for(header, side)
    )
    scale = side / max(header.upright_width, header.upright_height)
    if scale < 1:
        width, height = (
            max(1, round(length * scale)) for length in (header.upright_width, header.upright_height)
        )
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]  # OpenCV's stubs know no dtypes
    return encode(to_srgb(image, read_profile(data, header)), "jpeg", _QUALITY)
