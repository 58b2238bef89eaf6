"""The training pictures decoded once into one file that every worker maps into memory."""

import hashlib
import json
import math
import random
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.geometry import LANDMARKS, Faces, Pixels
from training.labels import MASKED_FACE, Mistakes, Picture
from training.tone import skin_angles

__all__ = ["Pool"]


_PROFILE = 0.2
"""The eyes are so near to each other, by the box's width, in a profile."""
_OFTEN_IN_PROFILE, _OFTEN_DARK = 4.0, 3.0
"""So much as often as another face a rare one is drawn."""
_DARK = -30.0
"""Below this angle, degrees, skin looks dark."""
_MASKED = 4.0
"""So much as often as another mistake a masked face is drawn that was found again."""


class Pool:
    """Decoded pictures (BGR, uint8) by index, and which of them have faces."""

    def __init__(
        self, pictures: list[Picture], cache: Path, mistakes: dict[str, Mistakes] | None = None
    ) -> None:
        """Decode ``pictures`` into ``cache`` unless it holds them already.

        Args:
            pictures: With their labels.
            cache: The folder for the decoded ones.
            mistakes: What a detector gets wrong, by the pictures' file names.

        Raises:
            ValueError: a picture cannot be decoded, or has another size than its label says; the mistakes are of none
                of the pictures.
        """
        self.pictures = pictures
        names = json.dumps([[p.file.name, p.width, p.height] for p in pictures]).encode()
        path = cache / f"{hashlib.sha256(names).hexdigest()[:16]}.bgr"
        if not path.exists():
            _decode(pictures, path)
        self._pixels = np.memmap(path, np.uint8, "r")
        self._offsets = np.cumsum([0, *(p.width * p.height * 3 for p in pictures)])
        self.with_faces = [i for i, p in enumerate(pictures) if len(p.faces)]
        self.without_faces = [i for i, p in enumerate(pictures) if not len(p.faces) and not len(p.ignore)]
        # A group photograph teaches more than a portrait, but the few large groups must not crowd out the rest.
        weights = [_rareness(self.pixels(i), pictures[i].faces) for i in self.with_faces]
        self._face_weights = [np.cumsum(of_faces).tolist() for of_faces in weights]
        self._weights = np.cumsum([1 + min(3.0, 0.3 * of_faces.sum()) for of_faces in weights]).tolist()
        made = mistakes or {}
        self._mistakes = [(i, made[p.file.name]) for i, p in enumerate(pictures) if p.file.name in made]
        if made and not self._mistakes:
            msg = f"the mistakes are of other pictures: {next(iter(made))} is not among these"
            raise ValueError(msg)
        weights = [np.where(rows[:, MASKED_FACE] > 0, _MASKED, 1.0) for _, rows in self._mistakes]
        self._row_weights = [np.cumsum(of_rows).tolist() for of_rows in weights]
        self._mistake_weights = np.cumsum([math.sqrt(of_rows.sum()) for of_rows in weights]).tolist()

    def pixels(self, index: int) -> npt.NDArray[np.uint8]:
        """Return a picture, (H, W, 3), BGR, read-only."""
        picture = self.pictures[index]
        flat = self._pixels[self._offsets[index] : self._offsets[index + 1]]
        return flat.reshape(picture.height, picture.width, 3)

    def random_face(self, rng: random.Random) -> tuple[int, npt.NDArray[np.float32]]:
        """Draw a picture with a face, and one of its faces, (16,); rare ones, in profile or dark, more often."""
        (place,) = rng.choices(range(len(self.with_faces)), cum_weights=self._weights)
        index = self.with_faces[place]
        (face,) = rng.choices(self.pictures[index].faces, cum_weights=self._face_weights[place])
        return index, face

    def random_mistake(self, rng: random.Random) -> tuple[int, npt.NDArray[np.float32]]:
        """Draw a picture with a mistake, and one of its mistakes, (6,); masked faces four times as often as others."""
        (place,) = rng.choices(range(len(self._mistakes)), cum_weights=self._mistake_weights)
        index, rows = self._mistakes[place]
        (row,) = rng.choices(rows, cum_weights=self._row_weights[place])
        return index, row

    def random_without_face(self, rng: random.Random) -> int:
        """Draw a picture without a face."""
        return rng.choice(self.without_faces)


def _rareness(pixels: Pixels, faces: Faces) -> npt.NDArray[np.float64]:
    """How often each face is drawn, by how often another."""
    in_profile = np.where(_profiles(faces), _OFTEN_IN_PROFILE, 1.0)
    return np.asarray(np.where(skin_angles(pixels, faces) < _DARK, _OFTEN_DARK, 1.0) * in_profile)


def _profiles(faces: Faces) -> npt.NDArray[np.bool_]:
    """Which faces show one eye, or nearly: they are rare, and what a frontal face has is not there."""
    left, right = (faces[:, LANDMARKS][:, i : i + 2] for i in (0, 2))
    return np.asarray(np.hypot(*(right - left).T) < _PROFILE * (faces[:, 2] - faces[:, 0]))


def _decode(pictures: list[Picture], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        for picture in pictures:
            pixels = cv2.imread(str(picture.file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if pixels is None:
                msg = f"{picture.file}: cannot be decoded"
                raise ValueError(msg)
            if pixels.shape[:2] != (picture.height, picture.width):
                msg = f"{picture.file}: {pixels.shape[1]}x{pixels.shape[0]}, labelled {picture.width}x{picture.height}"
                raise ValueError(msg)
            file.write(pixels.tobytes())
    partial.replace(path)
