"""Faces drawn in code that the bundled model finds, so that no test needs a photograph."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tests.pictures import Pixels

__all__ = ["FACE_BOXES", "drawn_face", "face_scene"]

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

# Where `face_scene` puts its faces: left, top and the height of the head in px.
_PLACES: Final = ((60, 20, 200), (340, 60, 150), (40, 330, 100))
_COLOURS: Final[tuple[tuple[Colour, Colour], ...]] = (
    ((216, 171, 132), (68, 68, 68)),
    ((225, 178, 156), (15, 15, 15)),
    ((222, 189, 160), (41, 41, 41)),
)

# About what the model answers for `face_scene`: x1, y1, x2, y2 in px, in the order of `_PLACES`.
FACE_BOXES: Final = tuple(
    (
        left + 0.8 * size - 0.35 * size,
        top + 0.8 * size - 0.38 * size,
        left + 0.8 * size + 0.35 * size,
        top + 0.8 * size + 0.52 * size,
    )
    for left, top, size in _PLACES
)


def drawn_face(size: int, skin: Colour, hair: Colour, background: Colour) -> Pixels:
    """Draw a shaded head with hair, brows, eyes, nose and mouth.

    Args:
        size: Height of the head in px.
        skin: RGB of the skin.
        hair: RGB of hair and brows.
        background: RGB around the head.

    Returns:
        (1.6 size, 1.6 size, 3) RGB; the head is in the middle.
    """
    side = int(size * 1.6)
    y, x = np.mgrid[:side, :side].astype(np.float64)
    u, v = (x - side / 2) / (size / 2), (y - side / 2) / (size / 2)
    canvas: Array = np.ones((side, side, 3)) * background
    skin_colour, hair_colour = np.array(skin), np.array(hair)

    def ellipse(u0: float, v0: float, half_width: float, half_height: float, softness: float) -> Array:
        inside = 1 - np.hypot((u - u0) / half_width, (v - v0) / half_height)
        mask: Array = np.clip(inside / softness + 0.5, 0, 1)
        return mask

    def paint(mask: Array, colour: Sequence[float] | Array, strength: float = 1.0) -> None:
        cover = strength * mask[..., None]
        canvas[:] = canvas * (1 - cover) + cover * np.asarray(colour)

    paint(ellipse(0, -0.15, 0.85, 1.05, 0.06), hair_colour)
    paint(ellipse(0, 1.25, 0.5, 0.5, 0.1), skin_colour * 0.75)
    shade = 1 - 0.35 * np.clip(u * u, 0, 1) - 0.05 * u
    paint(ellipse(0, 0.05, 0.7, 0.95, 0.05), skin_colour * shade[..., None])
    paint(ellipse(0, -0.75, 0.62, 0.25, 0.2), hair_colour)
    for u0 in (-0.33, 0.33):
        paint(ellipse(u0, -0.06, 0.26, 0.17, 0.9), skin_colour * 0.55, 0.7)
        paint(ellipse(u0, -0.26, 0.22, 0.05, 0.5), hair_colour * 0.8, 0.9)
        paint(ellipse(u0, -0.06, 0.17, 0.075, 0.2), (235, 235, 235))
        paint(ellipse(u0, -0.06, 0.075, 0.075, 0.2), (40, 30, 25))
        paint(ellipse(u0, -0.12, 0.18, 0.03, 0.5), (50, 35, 30), 0.8)
    paint(ellipse(0, 0.18, 0.09, 0.32, 0.9), np.minimum(skin_colour * 1.12, 255), 0.6)
    for u0 in (-0.1, 0.1):
        paint(ellipse(u0, 0.36, 0.06, 0.035, 0.6), skin_colour * 0.35, 0.8)
    paint(ellipse(0, 0.40, 0.2, 0.06, 0.9), skin_colour * 0.7, 0.6)
    paint(ellipse(0, 0.62, 0.27, 0.085, 0.4), (170, 70, 75))
    paint(ellipse(0, 0.61, 0.25, 0.018, 0.5), (68, 28, 30))
    return np.clip(canvas, 0, 255).astype(np.uint8)


def face_scene(width: int = 640, height: int = 512, faces: int = 3) -> Pixels:
    """Draw one to three faces of different size on a ground with some texture.

    Args:
        width: Width of the picture in px.
        height: Height of the picture in px.
        faces: How many of the three places are filled.

    Returns:
        (height, width, 3) RGB.
    """
    background = (169.0, 169.0, 169.0)
    picture = np.full((height, width, 3), background)
    picture += np.random.default_rng(7).normal(0, 4, picture.shape)
    for (left, top, size), (skin, hair) in list(zip(_PLACES, _COLOURS, strict=True))[:faces]:
        face = drawn_face(size, skin, hair, background)
        part = picture[top : top + face.shape[0], left : left + face.shape[1]]
        part[:] = face[: part.shape[0], : part.shape[1]]
    return picture.clip(0, 255).astype(np.uint8)
