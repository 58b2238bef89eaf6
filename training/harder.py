"""Make validation pictures harder, to measure with: ``python -m training.harder FOLDER INTO KIND``.

``mask`` draws a medical mask over every face from 12 px, ``hand`` a hand or a bar; ``disturbed`` changes light,
sharpness and noise of the whole picture twice over. ``tilted`` turns it by 35 degrees, one way or the other, and
``upside-down`` by 180; the faces' upright boxes turn about their centres. The same folder and kind give the same
pictures.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from training.geometry import LANDMARKS, Pixels, View, move, of_middles
from training.labels import Picture, line_of, read_labels, split
from training.occlusion import hide
from training.photometric import disturb
from training.pool import Pool
from training.scenes import background

__all__ = ["KINDS", "main"]

_SMALLEST = 12
_QUALITY = 95


def _hidden(how: tuple[str, ...], picture: Picture, pixels: Pixels, rng: random.Random, pool: Pool) -> View:
    for face in picture.faces:
        if face[2] - face[0] >= _SMALLEST and np.isfinite(face[LANDMARKS]).all():
            hide(rng.choice(how), pixels, face, rng, partial(background, pool, rng))
    return View(pixels, picture.faces, picture.ignore)


def _disturbed(picture: Picture, pixels: Pixels, rng: random.Random, _: Pool) -> View:
    return View(disturb(disturb(pixels, rng), rng), picture.faces, picture.ignore)


def _turned(degrees: float, picture: Picture, pixels: Pixels, rng: random.Random, _: Pool) -> View:
    """All of the picture, turned, on a canvas that holds it."""
    height, width = pixels.shape[:2]
    angle = rng.choice((-degrees, degrees))
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0), np.float64)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = round(width * cos + height * sin), round(width * sin + height * cos)
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    faces, ignore = move(picture.faces, picture.ignore, matrix.astype(np.float32))
    return View(np.asarray(cv2.warpAffine(pixels, of_middles(matrix), size), np.uint8), faces, ignore)


KINDS: Final[dict[str, Callable[[Picture, Pixels, random.Random, Pool], View]]] = {
    "mask": partial(_hidden, ("medical mask",)),
    "hand": partial(_hidden, ("hand", "bar")),
    "disturbed": _disturbed,
    "tilted": partial(_turned, 35.0),
    "upside-down": partial(_turned, 180.0),
}


def main(arguments: list[str] | None = None) -> None:
    """Write a labelled folder of the changed validation pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("into", type=Path, help="the folder to write")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    options = parser.parse_args(arguments)
    training, pictures = split(read_labels(options.folder))
    if not training or not pictures:
        parser.error(
            f"{options.folder}: {len(training)} training and {len(pictures)} validation pictures, needs both"
        )
    pool, rng = Pool(training, options.cache), random.Random(options.kind)
    images = options.into / "images"
    images.mkdir(parents=True, exist_ok=True)
    with (options.into / "labels.jsonl").open("w", encoding="utf-8") as file:
        for picture in pictures:
            pixels = np.asarray(cv2.imread(str(picture.file)), np.uint8)
            view = KINDS[options.kind](picture, pixels, rng, pool)
            # A name of its own: the corrections of the folder's labels are applied already.
            name = f"{options.kind}_{picture.file.stem}.jpg"
            cv2.imwrite(str(images / name), view.pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            faces = [{"bbox": f[:4].tolist(), "landmarks": f[LANDMARKS].tolist()} for f in view.faces]
            high, wide = view.pixels.shape[:2]
            file.write(line_of(replace(picture, width=wide, height=high), name, faces, view.ignore.tolist()))
    print(f"{options.into}: {len(pictures)} pictures")


if __name__ == "__main__":
    main()
