"""Label pictures by agreement of detectors, to measure with: ``python -m training.referee FOLDER INTO MODEL...``.

A model that labelled its own training or test pictures is flattered by them. Here every model looks at each validation
picture at two input sizes; a face is where two models agree, and where only one is sure the place counts neither way.
The pictures are written mirrored: a model that took part would otherwise be judged by the very look that it gave.
Such labels are for measuring only: with weights of another licence they must never train anything.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.agreement import places
from training.finders import Finder, finder
from training.geometry import FACE_WIDTH, LANDMARKS, View, mirror
from training.labels import line_of, read_labels, split

__all__ = ["main", "referee"]

SIZES = (640, 1280)
_SEEN = 0.15
_AGREED = 0.4
_SURE = 0.45


def referee(finders: dict[str, list[Finder]], image: npt.NDArray[np.uint8]) -> View:
    """Return a picture with its faces, and with the disputed boxes as ignored ones.

    Args:
        finders: Of each model, one an input size.
        image: (H, W, 3), BGR.
    """
    seen = places([find(image) for views in finders.values() for find in views], _SEEN)
    starts = np.cumsum([0, *(len(views) for views in finders.values())])[:-1]
    by_model = np.maximum.reduceat(seen.scores, starts, axis=1)
    face = (by_model >= _AGREED).sum(1) >= 2
    disputed = (by_model.max(1, initial=0.0) >= _SURE) & ~face
    faces = np.full((int(face.sum()), FACE_WIDTH), np.nan, np.float32)
    faces[:, :4], faces[:, LANDMARKS] = seen.boxes[face], seen.landmarks[face]
    return View(image, faces, seen.boxes[disputed])


def main(arguments: list[str] | None = None) -> None:
    """Write a labelled folder of the validation pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("into", type=Path, help="the folder to write")
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files, two or more")
    options = parser.parse_args(arguments)
    if len(options.models) < 2:
        parser.error("two or more models are needed to agree")
    cv2.setNumThreads(1)
    finders = {path.stem: [finder(path, size) for size in SIZES] for path in options.models}
    images = options.into / "images"
    images.mkdir(parents=True, exist_ok=True)
    _, pictures = split(read_labels(options.folder))
    with (options.into / "labels.jsonl").open("w", encoding="utf-8") as file:
        for picture in pictures:
            view = mirror(referee(finders, np.asarray(cv2.imread(str(picture.file)), np.uint8)))
            # A name of its own: the corrections of the folder's labels are not for these.
            name = f"referee_{picture.file.stem}.png"
            cv2.imwrite(str(images / name), view.pixels)
            faces = [
                {"bbox": f[:4].tolist(), "landmarks": p.tolist() if np.isfinite(p).all() else None}
                for f, p in ((f, f[LANDMARKS]) for f in view.faces)
            ]
            file.write(line_of(picture, name, faces, view.ignore.tolist()))
    print(f"{options.into}: {len(pictures)} pictures")


if __name__ == "__main__":
    main()
