"""How light the skin of labelled faces looks, from their pixels: it depends on the light as much as on the person."""

import cv2
import numpy as np
import numpy.typing as npt

from training.geometry import LANDMARKS, Faces, Pixels

__all__ = ["skin_angles"]

_CHEEKS = ((0, 3), (1, 4))
"""The landmarks between which the cheeks are: an eye and the corner of the mouth below it."""
_REACH = 0.07
"""Of a cheek to each side, by the box's width: what is looked at."""


def skin_angles(pixels: Pixels, faces: Faces) -> npt.NDArray[np.float32]:
    """Return the individual typology angles of the cheeks, (G,), degrees; NaN without landmarks or pixels.

    The angle is that of (b*, L* - 50) in CIELAB: 28 and more for light skin, under -30 for dark skin (Chardon, Cretois
    and Hourseau, 1991, "Skin colour typology and suntanning pathways"). In grey pictures it is 90 or -90.

    Args:
        pixels: The picture, (H, W, 3), BGR.
        faces: Its faces, (G, 16), in pixels.
    """
    return np.array([_angle(pixels, face) for face in faces], np.float32)


def _angle(pixels: Pixels, face: npt.NDArray[np.float32]) -> float:
    landmarks = face[LANDMARKS].reshape(5, 2)
    if np.isnan(landmarks).any():
        return np.nan
    reach = max(1.0, _REACH * float(face[2] - face[0]))
    spots = [_around(pixels, (landmarks[eye] + landmarks[mouth]) / 2, reach) for eye, mouth in _CHEEKS]
    colours = np.concatenate(spots)
    if not len(colours):
        return np.nan
    colour = np.median(colours, 0).astype(np.float32) / 255
    lightness, _, yellow = cv2.cvtColor(colour[None, None], cv2.COLOR_BGR2LAB)[0, 0]
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def _around(pixels: Pixels, middle: npt.NDArray[np.float32], reach: float) -> Pixels:
    """The pixels near a point, (K, 3); none outside the picture."""
    (left, top), (right, bottom) = np.maximum(0, middle - reach), np.maximum(0, middle + reach + 1)
    return pixels[int(top) : int(bottom), int(left) : int(right)].reshape(-1, 3)
