"""Faces become unrecognisable: which pixels, and which kernel covers them."""

import math
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from native import kernels
from service.settings import MaskMethod

__all__ = ["MaskOptions", "Region", "mask_regions", "padded_region"]

Region = tuple[int, int, int, int]

_NOTHING = 1e-6
"""So little of a pixel is an error of the arithmetic: 82.1 less half of 72.2 is no less than 46."""


class MaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to mask; see :class:`service.schemas.parameters.MaskParameters`."""

    method: MaskMethod
    strength: int
    padding: float


def padded_region(bbox: tuple[float, float, float, float], padding: float, width: int, height: int) -> Region:
    """Widen a box on each side by a fraction of that side's length, and take every pixel that it touches.

    Args:
        bbox: x1, y1, x2, y2 in px.
        padding: Fraction of the box's width (left and right) and height (top and bottom).
        width: Width of the picture, px; the region is clipped to it.
        height: Height of the picture, px.

    Returns:
        x1, y1, x2, y2 in whole px, the end exclusive; at least one px if the box touches the picture.
    """
    x1, y1, x2, y2 = bbox
    wider, higher = (x2 - x1) * padding, (y2 - y1) * padding
    return (
        max(0, math.floor(x1 - wider + _NOTHING)),
        max(0, math.floor(y1 - higher + _NOTHING)),
        min(width, math.ceil(x2 + wider - _NOTHING)),
        min(height, math.ceil(y2 + higher - _NOTHING)),
    )


def mask_regions(image: NDArray[np.uint8], regions: Iterable[Region], options: MaskOptions) -> None:
    """Mask regions in place, one after the other; overlapping ones are masked twice.

    Args:
        image: (H, W, 3 or 4) BGR or BGRA; alpha stays.
        regions: From :func:`padded_region`.
        options: Method and strength.
    """
    for x1, y1, x2, y2 in regions:
        match options.method:
            case "gaussian":
                kernels.gaussian(image, x1, y1, x2, y2, options.strength)
            case "pixelate":
                kernels.pixelate(image, x1, y1, x2, y2, options.strength)
            case "solid":
                kernels.solid(image, x1, y1, x2, y2)
            case "elliptical":
                kernels.ellipse(image, x1, y1, x2, y2, options.strength)
