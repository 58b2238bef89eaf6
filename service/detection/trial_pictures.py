"""Pictures with faces, drawn here, which SCRFD detectors and the bundled model find: what a backend is tried on."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["trial_pictures"]

Image = NDArray[np.uint8]

# Centre and height of each head, as fractions of the picture's width, height and height; skin and hair, BGR.
_Head = tuple[float, float, float, tuple[int, int, int], tuple[int, int, int]]
_LIGHT, _WARM, _DARK = (156, 178, 225), (132, 171, 216), (84, 118, 168)
_BROWN, _BLACK, _GREY = (40, 45, 60), (15, 15, 15), (110, 110, 115)
_PICTURES: Final[tuple[tuple[_Head, ...], ...]] = (
    (
        (0.2, 0.35, 0.30, _WARM, _BROWN),
        (0.5, 0.4, 0.40, _LIGHT, _BLACK),
        (0.8, 0.3, 0.25, _WARM, _GREY),
        (0.3, 0.8, 0.20, _DARK, _BLACK),
        (0.75, 0.75, 0.28, _LIGHT, _BROWN),
    ),
    (
        (0.3, 0.5, 0.75, _WARM, _BLACK),
        (0.62, 0.2, 0.15, _LIGHT, _BROWN),
        (0.74, 0.2, 0.13, _WARM, _BLACK),
        (0.86, 0.22, 0.16, _DARK, _BROWN),
        (0.66, 0.5, 0.22, _LIGHT, _GREY),
        (0.84, 0.55, 0.24, _WARM, _BROWN),
        (0.72, 0.83, 0.18, _DARK, _BLACK),
        (0.9, 0.86, 0.12, _LIGHT, _BROWN),
    ),
)


def trial_pictures(width: int, height: int) -> list[Image]:
    """Draw the pictures.

    Args:
        width: Their width in px.
        height: Their height in px.

    Returns:
        (height, width, 3) BGR each; the same every time.
    """
    return [_picture(width, height, heads, seed) for seed, heads in enumerate(_PICTURES)]


def _picture(width: int, height: int, heads: tuple[_Head, ...], seed: int) -> Image:
    random = np.random.default_rng(seed)
    ground = np.full((height, width, 3), 20, np.float32)
    # As in photographs, colours change slowly; the fine texture is of brightness.
    for grain, strength, channels in ((64, 110, 3), (8, 40, 1), (2, 24, 1)):
        shape = (height // grain + 2, width // grain + 2, channels)
        noise = random.uniform(0, strength, shape).astype(np.float32)
        ground += cv2.resize(noise, (width, height)).reshape(height, width, channels)
    canvas = np.asarray(ground.clip(0, 255), np.uint8)
    for across, down, size, skin, hair in heads:
        _draw_head(canvas, across * width, down * height, size * height, skin, hair)
    return canvas


def _draw_head(
    canvas: Image, x: float, y: float, size: float, skin: tuple[int, int, int], hair: tuple[int, int, int]
) -> None:
    def ellipse(u: float, v: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        centre, axes = (x + u * size, y + v * size), (wide * size, high * size)
        # Sixteenths of a px: small faces would be crooked otherwise.
        fixed = [[round(16 * value) for value in pair] for pair in (centre, axes)]
        cv2.ellipse(canvas, fixed[0], fixed[1], 0, 0, 360, colour, -1, cv2.LINE_AA, 4)

    def shade(share: float) -> tuple[int, int, int]:
        blue, green, red = (min(255, round(value * share)) for value in skin)
        return blue, green, red

    ellipse(0, -0.08, 0.42, 0.5, hair)
    ellipse(0, 0.02, 0.35, 0.47, skin)
    ellipse(0, -0.36, 0.3, 0.12, hair)
    for u in (-0.16, 0.16):
        ellipse(u, -0.13, 0.1, 0.02, hair)
        ellipse(u, -0.03, 0.12, 0.07, shade(0.7))
        ellipse(u, -0.03, 0.085, 0.04, (235, 235, 235))
        ellipse(u, -0.03, 0.04, 0.04, (30, 30, 40))
        ellipse(u * 0.3, 0.18, 0.03, 0.02, shade(0.55))
    ellipse(0, 0.1, 0.035, 0.1, shade(1.1))
    ellipse(0, 0.31, 0.13, 0.04, (75, 70, 170))
    ellipse(0, 0.305, 0.12, 0.008, (35, 30, 70))
    half = round(size / 2)
    top, left = max(round(y) - half, 0), max(round(x) - half, 0)
    part = canvas[top : round(y) + half, left : round(x) + half]
    if part.size:
        part[:] = cv2.GaussianBlur(part, (0, 0), max(size / 80, 0.1))
