"""Draws what was found into a picture: boxes, landmarks, scores."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_face"]

_BOX: Final = (80, 220, 60)
_LANDMARK: Final = (60, 60, 250)
_TEXT: Final = (0, 0, 0)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


def draw_face(
    image: NDArray[np.uint8],
    box: tuple[float, float, float, float],
    landmarks: Sequence[tuple[float, float]],
    label: str,
) -> None:
    """Draw one face into a picture, in place.

    Args:
        image: (H, W, 3) BGR or (H, W, 4) BGRA, C-contiguous; what is drawn is opaque.
        box: x1, y1, x2, y2 in px.
        landmarks: Points x, y in px.
        label: ASCII text at the box.
    """
    height, width = image.shape[:2]
    # A line of one pixel is lost on a large photograph that is looked at on a screen.
    thickness = max(1, round(min(width, height) / 350))
    x1, y1, x2, y2 = (round(value) for value in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), _paint(image, _BOX), thickness)
    radius = max(1, min(2 * thickness, round((x2 - x1) / 25)))
    for x, y in landmarks:
        cv2.circle(image, (round(x), round(y)), radius, _paint(image, _LANDMARK), cv2.FILLED, cv2.LINE_AA)
    scale = 0.45 * max(1.0, thickness / 1.5)
    (text_width, text_height), baseline = cv2.getTextSize(label, _FONT, scale, thickness)
    left = min(max(0, x1), max(0, width - text_width))
    bottom = y1 - thickness if y1 - text_height - baseline - thickness >= 0 else y1 + text_height + baseline
    corner = (left, bottom - text_height - baseline)
    cv2.rectangle(image, corner, (left + text_width, bottom), _paint(image, _BOX), cv2.FILLED)
    cv2.putText(
        image,
        label,
        (left, bottom - baseline // 2),
        _FONT,
        scale,
        _paint(image, _TEXT),
        max(1, thickness // 2),
        cv2.LINE_AA,
    )


def _paint(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, ...]:
    return colour if image.shape[2] == 3 else (*colour, 255)
