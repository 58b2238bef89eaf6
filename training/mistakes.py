"""Find what a detector gets wrong on the training pictures: ``python -m training.mistakes FOLDER MODEL FILE``.

It looks at each picture at several sizes, mirrored too, and each time again once what it found is masked. False alarms,
faces that it misses or whose box it puts beside them, and masked faces that it finds again are what training looks at
more often (bootstrapping: Sung and Poggio, 1998, "Example-based learning for view-based human face detection").
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.anchors import iou
from training.finders import FOUND
from training.geometry import SURENESS, Faces
from training.labels import Mistakes, Picture, read_labels, split
from training.looks import Look, looks_again
from training.metrics import Detections, covered

__all__ = ["main", "masked_mistakes", "mistakes"]

SIZES = (320, 640, 1024)
_ALARM = 0.3
_BESIDE, _FITTING = 0.45, 0.6
"""Below the first IoU a detection is on no face; from the second on it fits its face."""
_TOO_SURE = 0.25
_SMALLEST_ALARM, _SMALLEST_FACE, _SMALLEST_MASKED = 7.0, 8.0, 6.0
"""Pixels of the input. Smaller faces are missed for want of pixels."""


def mistakes(found: Detections, picture: Picture, scale: float) -> Mistakes:
    """Return the false alarms, and the faces missed or with a box that does not fit.

    Args:
        found: In pixels of the picture.
        picture: With its labels.
        scale: Of the input to the picture.
    """
    faces = picture.faces[:, :4]
    overlap = iou(found.boxes, faces)
    sizes = _sizes(found.boxes) * scale
    alarm = (found.scores >= _ALARM) & (overlap < _BESIDE).all(1) & (sizes >= _SMALLEST_ALARM)
    alarm &= ~covered(found.boxes, picture.ignore) | _too_sure(found, picture.doubtful)
    best = np.where(overlap >= _FITTING, found.scores[:, None], 0.0).max(0, initial=0.0)
    missed = (best < FOUND) & (_sizes(faces) * scale >= _SMALLEST_FACE)
    return _rows(np.concatenate([found.boxes[alarm], faces[missed]]), scale, masked=False)


def masked_mistakes(again: Detections, picture: Picture, scale: float) -> Mistakes:
    """Return the faces, doubtful ones too, that are found ``again`` once masked; else as :func:`mistakes`."""
    places = picture.places[:, :4]
    there = (iou(again.boxes, places) >= _BESIDE) & (again.scores[:, None] >= _ALARM)
    return _rows(places[there.any(0) & (_sizes(places) * scale >= _SMALLEST_MASKED)], scale, masked=True)


def _rows(boxes: npt.NDArray[np.float32], scale: float, *, masked: bool) -> Mistakes:
    sizes = _sizes(boxes)[:, None] * scale
    return np.concatenate([boxes, sizes, np.full_like(sizes, masked)], 1).astype(np.float32)


def _too_sure(found: Detections, doubtful: Faces) -> npt.NDArray[np.bool_]:
    """Which detections are of doubtful places of which detectors are far less sure."""
    sureness = 1 / (1 + np.exp(-doubtful[:, SURENESS]))
    on = iou(found.boxes, doubtful[:, :4]) >= _FITTING
    return np.asarray((on & (found.scores[:, None] - sureness >= _TOO_SURE)).any(1))


def _sizes(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(np.sqrt(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1)), np.float32)


def main(arguments: list[str] | None = None) -> None:
    """Write the mistakes, a picture a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("model", type=Path, help="an ONNX file")
    parser.add_argument("file", type=Path, help="the file to write")
    options = parser.parse_args(arguments)
    pictures, _ = split(read_labels(options.folder))
    kinds = [Look(options.model, size, mirror) for size in SIZES for mirror in (False, True)]
    counts: Counter[int] = Counter()
    masked: Counter[int] = Counter()
    with options.file.open("w", encoding="utf-8") as file:
        for picture, found in zip(pictures, looks_again([p.file for p in pictures], kinds), strict=True):
            longest = max(picture.width, picture.height)
            rows = []
            for kind, (seen, again) in zip(kinds, found, strict=True):
                scale = kind.size / longest
                wrong, still = mistakes(seen, picture, scale), masked_mistakes(again, picture, scale)
                counts[kind.size] += len(wrong)
                masked[kind.size] += len(still)
                rows += [*wrong.round(1).tolist(), *still.round(1).tolist()]
            if rows:
                file.write(json.dumps({"file": picture.file.name, "mistakes": rows}) + "\n")
    summary = (f"{counts[size]} and {masked[size]} masked faces at {size} px" for size in SIZES)
    print(f"{options.file}: " + ", ".join(summary))


if __name__ == "__main__":
    main()
