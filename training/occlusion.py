"""Things in front of faces: medical masks, sunglasses, scarves, bars, hands and pieces of other pictures."""

import random
from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from training.geometry import LANDMARKS, Faces, Pixels

__all__ = ["hide", "occlude"]

Patch: TypeAlias = Callable[[int, int], Pixels]
"""A piece of a picture without faces, by width and height."""

_SMALLEST = 12
_MASK_COLOURS = (
    (235, 220, 190),
    (240, 240, 240),
    (210, 190, 130),
    (40, 40, 40),
    (200, 180, 220),
    (170, 200, 150),
)


def occlude(pixels: Pixels, faces: Faces, rng: random.Random, patch: Patch, chance: float = 0.25) -> None:
    """Cover parts of some faces of at least 12 pixels, in place."""
    for face in faces:
        if face[2] - face[0] < _SMALLEST or rng.random() > chance:
            continue
        kind = rng.random()
        upright = np.isfinite(face[LANDMARKS]).all()
        if kind < 0.40 and upright:
            hide("medical mask", pixels, face, rng, patch)
        elif kind < 0.52 and upright:
            hide("sunglasses", pixels, face, rng, patch)
        elif kind < 0.72:
            hide("hand", pixels, face, rng, patch)
        else:
            hide("bar", pixels, face, rng, patch)


def hide(what: str, pixels: Pixels, face: Faces, rng: random.Random, patch: Patch) -> None:
    """Cover part of one face (14,), in place.

    Raises:
        ValueError: ``what`` is none of ``medical mask``, ``sunglasses``, ``hand`` and ``bar``.
    """
    match what:
        case "medical mask":
            _medical_mask(pixels, face, rng, patch)
        case "sunglasses":
            _sunglasses(pixels, face, rng)
        case "hand":
            _hand(pixels, face, rng)
        case "bar":
            _bar(pixels, face, rng, patch)
        case _:
            raise ValueError(f"{what!r} covers no face here")


def _medical_mask(pixels: Pixels, face: Faces, rng: random.Random, patch: Patch) -> None:
    """A quadrangle from the bridge of the nose to below the chin, plain, folded or patterned (a scarf)."""
    left_eye, right_eye, nose, left_mouth, right_mouth = face[LANDMARKS].reshape(5, 2)
    across = right_eye - left_eye
    mouth = (left_mouth + right_mouth) / 2
    eyes = (left_eye + right_eye) / 2
    down = mouth - eyes
    wide = rng.uniform(0.45, 0.75)
    top = eyes + down * rng.uniform(0.30, 0.55)
    bottom = eyes + down * rng.uniform(1.6, 1.9)
    bridge = eyes * 0.4 + nose * 0.6 - down * 0.05
    shape = np.array(
        [
            top - across * wide,
            bridge,
            top + across * wide,
            bottom + across * wide * 0.55,
            bottom,
            bottom - across * wide * 0.55,
        ]
    )
    colour = rng.choice(_MASK_COLOURS) if rng.random() < 0.7 else _colour(rng)
    light = rng.uniform(0.5, 1.05)
    _fill(pixels, shape, tuple(c * light for c in colour), patch if rng.random() < 0.2 else None)
    if rng.random() < 0.6:
        for fraction in (0.3, 0.5, 0.7):
            a = shape[0] * (1 - fraction) + shape[5] * fraction
            b = shape[2] * (1 - fraction) + shape[3] * fraction
            cv2.line(
                pixels,
                _point(a),
                _point(b),
                [c * light * 0.88 for c in colour],
                max(1, int(face[2] - face[0]) // 60),
                cv2.LINE_AA,
            )


def _sunglasses(pixels: Pixels, face: Faces, rng: random.Random) -> None:
    left_eye, right_eye = face[4:8].reshape(2, 2)
    across = right_eye - left_eye
    distance = float(np.hypot(*across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    colour = [rng.uniform(0, 60)] * 3 if rng.random() < 0.7 else _colour(rng)
    size = (max(1, int(distance * rng.uniform(0.35, 0.48))), max(1, int(distance * rng.uniform(0.25, 0.4))))
    for eye in (left_eye, right_eye):
        cv2.ellipse(pixels, _point(eye), size, angle, 0, 360, colour, -1, cv2.LINE_AA)
    cv2.line(pixels, _point(left_eye), _point(right_eye), colour, max(1, int(distance * 0.07)), cv2.LINE_AA)


def _hand(pixels: Pixels, face: Faces, rng: random.Random) -> None:
    """A palm and fingers in the face's own colour, from a side or from below."""
    x1, y1, x2, y2 = face[:4]
    side = float(x2 - x1)
    inside = pixels[
        max(0, int(y1 + side * 0.3)) : int(y2), max(0, int(x1 + side * 0.3)) : int(x2 - side * 0.3)
    ]
    if not inside.size:
        return
    skin = np.median(inside.reshape(-1, 3), 0) * rng.uniform(0.75, 1.2)
    direction = rng.uniform(-0.3, np.pi + 0.3)
    towards = np.array([np.cos(direction), np.sin(direction)])
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + towards * side * rng.uniform(0.35, 0.6)
    palm = (max(1, int(side * rng.uniform(0.18, 0.28))), max(1, int(side * rng.uniform(0.14, 0.22))))
    cv2.ellipse(
        pixels, _point(centre), palm, float(np.degrees(direction)), 0, 360, skin.tolist(), -1, cv2.LINE_AA
    )
    for finger in range(rng.randint(2, 4)):
        angle = direction + np.pi + (finger - 1.5) * rng.uniform(0.2, 0.32)
        tip = centre + np.array([np.cos(angle), np.sin(angle)]) * side * rng.uniform(0.35, 0.55)
        shade = (skin * rng.uniform(0.85, 1.08)).tolist()
        cv2.line(
            pixels,
            _point(centre),
            _point(tip),
            shade,
            max(1, int(side * rng.uniform(0.07, 0.11))),
            cv2.LINE_AA,
        )


def _bar(pixels: Pixels, face: Faces, rng: random.Random, patch: Patch) -> None:
    """A rectangle over the lower half, the eyes, a side or somewhere."""
    x1, y1, x2, y2 = (float(v) for v in face[:4])
    width, height = x2 - x1, y2 - y1
    kind = rng.random()
    if kind < 0.3:
        box = (x1 - 0.1 * width, y1 + height * rng.uniform(0.5, 0.65), x2 + 0.1 * width, y2 + height * 0.1)
    elif kind < 0.5:
        box = (x1 - 0.1 * width, y1 + height * 0.22, x2 + 0.1 * width, y1 + height * rng.uniform(0.42, 0.5))
    elif kind < 0.65:
        cut = rng.uniform(0.3, 0.5) * width
        box = (
            (x1 - 0.2 * width, y1, x1 + cut, y2)
            if rng.random() < 0.5
            else (x2 - cut, y1, x2 + 0.2 * width, y2)
        )
    else:
        w, h = width * rng.uniform(0.2, 0.5), height * rng.uniform(0.2, 0.5)
        left, top = rng.uniform(x1, x2 - w), rng.uniform(y1, y2 - h)
        box = (left, top, left + w, top + h)
    corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    _fill(pixels, corners, _colour(rng), patch if rng.random() < 0.5 else None)


def _fill(
    pixels: Pixels,
    shape: npt.NDArray[np.float64],
    colour: tuple[float, ...] | list[float],
    patch: Patch | None,
) -> None:
    """Fill a convex shape with a colour, or with a piece of a picture."""
    points = np.round(shape).astype(np.int32)
    if patch is None:
        cv2.fillConvexPoly(pixels, points, colour, cv2.LINE_AA)
        return
    height, width = pixels.shape[:2]
    (x1, y1), (x2, y2) = (
        np.clip(points.min(0), 0, (width, height)),
        np.clip(points.max(0), 0, (width, height)),
    )
    if x2 - x1 < 2 or y2 - y1 < 2:
        return
    inside = np.zeros((y2 - y1, x2 - x1), np.uint8)
    cv2.fillConvexPoly(inside, points - (x1, y1), 255)
    np.copyto(pixels[y1:y2, x1:x2], patch(int(x2 - x1), int(y2 - y1)), where=inside[..., None] > 0)


def _colour(rng: random.Random) -> list[float]:
    return [rng.uniform(0, 255) for _ in range(3)]


def _point(xy: npt.NDArray[np.floating[Any]]) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))
