"""Label pictures by agreement of detectors, to measure with: ``python -m training.referee FOLDER INTO MODEL...``.

A model that labelled its own training or test pictures is flattered by them. Here every model looks at each validation
picture at two input sizes; a face is where two models agree, and where only one is sure the place counts neither way.
Such labels are for measuring only: with weights of another licence they must never train anything.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.anchors import iou
from training.evaluate import Finder, finder
from training.labels import line_of, read_labels, split

__all__ = ["main", "referee"]

SIZES = (640, 1280)
_SAME = 0.45
_SEEN = 0.15
_AGREED = 0.4
_SURE = 0.45

Image = npt.NDArray[np.uint8]


@dataclass
class _Place:
    """What the models see at one place."""

    boxes: list[npt.NDArray[np.float32]] = field(default_factory=list)
    landmarks: list[npt.NDArray[np.float32]] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def box(self) -> npt.NDArray[np.float32]:
        """The mean box."""
        return np.asarray(np.mean(self.boxes, 0), np.float32)


def referee(finders: dict[str, list[Finder]], image: Image) -> tuple[list[dict[str, Any]], list[list[float]]]:
    """Return the faces of a picture, as ``labels.jsonl`` has them, and the disputed boxes.

    Args:
        finders: Of each model, one an input size.
        image: (H, W, 3), BGR.
    """
    places: list[_Place] = []
    for name, views in finders.items():
        for find in views:
            found = find(image)
            for index in np.flatnonzero(found.scores >= _SEEN):
                box = found.boxes[index]
                overlaps = (
                    iou(box[None], np.stack([place.box for place in places]))[0] if places else np.zeros(1)
                )
                if overlaps.max() < _SAME:
                    places.append(_Place())
                place = places[-1] if overlaps.max() < _SAME else places[int(overlaps.argmax())]
                place.boxes.append(box)
                if found.landmarks is not None:
                    place.landmarks.append(found.landmarks[index])
                place.scores[name] = max(place.scores.get(name, 0.0), float(found.scores[index]))
    faces, disputed = [], []
    for place in places:
        best = max(place.scores.values())
        if sum(score >= _AGREED for score in place.scores.values()) >= 2:
            points = np.mean(place.landmarks, 0).tolist() if place.landmarks else None
            faces.append({"bbox": place.box.tolist(), "landmarks": points, "score": best})
        elif best >= _SURE:
            disputed.append(place.box.tolist())
    return faces, disputed


def main(arguments: list[str] | None = None) -> None:
    """Write a labelled folder of the validation pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("into", type=Path, help="the folder to write; its pictures are links")
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files, two or more")
    options = parser.parse_args(arguments)
    if len(options.models) < 2:
        parser.error("two or more models are needed to agree")
    cv2.setNumThreads(1)
    finders = {path.stem: [finder(path, size) for size in SIZES] for path in options.models}
    options.into.mkdir(parents=True, exist_ok=True)
    images = options.into / "images"
    images.mkdir(exist_ok=True)
    _, pictures = split(read_labels(options.folder))
    with (options.into / "labels.jsonl").open("w", encoding="utf-8") as file:
        for picture in pictures:
            faces, disputed = referee(finders, np.asarray(cv2.imread(str(picture.file)), np.uint8))
            # A name of its own: the corrections of the folder's labels are not for these.
            name = f"referee_{picture.file.name}"
            (images / name).unlink(missing_ok=True)
            (images / name).symlink_to(picture.file.resolve())
            file.write(line_of(picture, name, faces, disputed))
    print(f"{options.into}: {len(pictures)} pictures")


if __name__ == "__main__":
    main()
