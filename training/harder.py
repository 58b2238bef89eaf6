"""Make validation pictures harder, to measure with: ``python -m training.harder FOLDER INTO KIND``.

``mask`` draws a medical mask over every face from 12 px, ``hand`` a hand or a bar; ``disturbed`` changes light,
sharpness and noise of the whole picture twice over. Labels stay. The same folder and kind give the same pictures.
"""

import argparse
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from training.geometry import LANDMARKS, Pixels
from training.labels import Picture, line_of, read_labels, split
from training.occlusion import hide
from training.photometric import disturb
from training.pool import Pool
from training.scenes import background

__all__ = ["KINDS", "main"]

_SMALLEST = 12
_QUALITY = 95


def _hidden(how: tuple[str, ...], picture: Picture, pixels: Pixels, rng: random.Random, pool: Pool) -> Pixels:
    for face in picture.faces:
        if face[2] - face[0] >= _SMALLEST and np.isfinite(face[LANDMARKS]).all():
            hide(rng.choice(how), pixels, face, rng, partial(background, pool, rng))
    return pixels


def _disturbed(_: Picture, pixels: Pixels, rng: random.Random, __: Pool) -> Pixels:
    return disturb(disturb(pixels, rng), rng)


KINDS: Final[dict[str, Callable[[Picture, Pixels, random.Random, Pool], Pixels]]] = {
    "mask": partial(_hidden, ("medical mask",)),
    "hand": partial(_hidden, ("hand", "bar")),
    "disturbed": _disturbed,
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
    pool, rng = Pool(training, options.cache), random.Random(options.kind)
    images = options.into / "images"
    images.mkdir(parents=True, exist_ok=True)
    with (options.into / "labels.jsonl").open("w", encoding="utf-8") as file:
        for picture in pictures:
            pixels = np.asarray(cv2.imread(str(picture.file)), np.uint8)
            pixels = KINDS[options.kind](picture, pixels, rng, pool)
            # A name of its own: the corrections of the folder's labels are applied already.
            name = f"{options.kind}_{picture.file.stem}.jpg"
            cv2.imwrite(str(images / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            faces = [{"bbox": f[:4].tolist(), "landmarks": f[LANDMARKS].tolist()} for f in picture.faces]
            file.write(line_of(picture, name, faces, picture.ignore.tolist()))
    print(f"{options.into}: {len(pictures)} pictures")


if __name__ == "__main__":
    main()
