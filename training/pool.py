"""The training pictures decoded once into one file that every worker maps into memory."""

import hashlib
import json
import random
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.labels import Picture

__all__ = ["Pool"]


class Pool:
    """Decoded pictures (BGR, uint8) by index, and which of them have faces."""

    def __init__(self, pictures: list[Picture], cache: Path) -> None:
        """Decode ``pictures`` into ``cache`` unless it holds them already.

        Raises:
            ValueError: a picture cannot be decoded, or has another size than its label says.
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
        self._weights = np.cumsum([1 + min(3.0, 0.3 * len(pictures[i].faces)) for i in self.with_faces])

    def pixels(self, index: int) -> npt.NDArray[np.uint8]:
        """Return a picture, (H, W, 3), BGR, read-only."""
        picture = self.pictures[index]
        flat = self._pixels[self._offsets[index] : self._offsets[index + 1]]
        return flat.reshape(picture.height, picture.width, 3)

    def random_with_face(self, rng: random.Random) -> int:
        """Draw a picture with a face."""
        return self.with_faces[
            int(np.searchsorted(self._weights, rng.random() * self._weights[-1], side="right"))
        ]

    def random_without_face(self, rng: random.Random) -> int:
        """Draw a picture without a face."""
        return rng.choice(self.without_faces)


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
