"""Compare ONNX face detectors on a labelled folder: ``python -m training.evaluate FOLDER MODEL...``.

Each picture is enlarged or reduced to fit the input. Sizes are those of the faces in the input, so that they mean the
same for every picture. Which small faces an input shows well is chance, and what was chosen by one look is flattered by
it: ``--looks`` gives the means over ten.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from training.finders import Finder, finder, mirrored
from training.geometry import LANDMARKS
from training.labels import Picture, read_labels, split
from training.metrics import (
    Detections,
    Truth,
    average_precision,
    match,
    precision_recall,
    recall_at_false_positives,
)

__all__ = ["evaluate", "looks", "main"]

Figures: TypeAlias = dict[str, Any]

SIZES = ((0, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 1024))
_SMALLEST_FACE = 8.0
"""Smaller ones (pixels of the input) have their own column and count nowhere else: their labels are not sure."""
_FALSE_POSITIVES = (0.1, 1.0)
_LOOKS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""The inputs of several looks, by the size asked for."""
_STEP = 32
"""An input's sides are multiples of this."""


def evaluate(finders: list[Finder], pictures: list[Picture], size: int, threshold: float = 0.5) -> Figures:
    """Return the figures of one detector on labelled pictures, the means over its looks at each."""
    pairs: list[list[tuple[Detections, Truth]]] = [[] for _ in finders]
    seconds: list[list[float]] = [[] for _ in finders]
    for picture in pictures:
        image = np.asarray(cv2.imread(str(picture.file), cv2.IMREAD_COLOR), np.uint8)
        for look, find in enumerate(finders):
            started = time.perf_counter()
            found = find(image)
            seconds[look].append(time.perf_counter() - started)
            pairs[look].append(_in_input(found, picture, size))
    return _mean_figures([_figures(*one, threshold) for one in zip(pairs, seconds, strict=True)])


def _figures(pairs: list[tuple[Detections, Truth]], seconds: list[float], threshold: float) -> Figures:
    every = match(pairs, _SMALLEST_FACE)
    precision, recall = precision_recall(every, threshold)
    best = precision_recall(every, 0.0)[1]
    kept = every.scores >= threshold
    return {
        "pictures": every.pictures,
        "faces": every.faces,
        "ap": average_precision(every),
        "ap_by_size": {f"{low}-{high}": average_precision(match(pairs, low, high)) for low, high in SIZES},
        "precision": precision,
        "recall": recall,
        "recall_of_best": recall / best if best else float("nan"),
        "recall_at_fp": {str(fp): recall_at_false_positives(every, fp) for fp in _FALSE_POSITIVES},
        "landmark_error": _mean(every.landmark_errors[kept]),
        "median_ms": statistics.median(seconds) * 1e3,
        "threshold_at_97_percent": _threshold(every.scores[every.correct], 0.97),
    }


def looks(path: Path, size: int) -> list[Finder]:
    """Return finders with a file at five inputs around ``size`` pixels, multiples of 32, each mirrored or not.

    Raises:
        ModelError: the file is no detector, or its input's size is fixed.
    """
    sizes = sorted({round(size * part / _STEP) * _STEP for part in _LOOKS})
    return [look for one in (finder(path, side) for side in sizes) for look in (one, mirrored(one))]


def _mean_figures(rows: list[Figures]) -> Figures:
    """The mean of every figure, those by face size or false positives one by one; counts are the same in all."""

    def mean(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _mean_figures([row[name] for row in rows])
        return value if isinstance(value, int) else statistics.fmean(row[name] for row in rows)

    return {name: mean(name, value) for name, value in rows[0].items()}


def _in_input(found: Detections, picture: Picture, size: int) -> tuple[Detections, Truth]:
    """Both in pixels of the network's input."""
    scale = size / max(picture.width, picture.height)
    landmarks = None if found.landmarks is None else found.landmarks * scale
    return (
        Detections(found.boxes * scale, found.scores, landmarks),
        Truth(picture.faces[:, :4] * scale, picture.faces[:, LANDMARKS] * scale, picture.ignore * scale),
    )


def _mean(values: npt.NDArray[np.float32]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _threshold(scores: npt.NDArray[np.float32], share: float) -> float:
    """The score that ``share`` of the found faces reach."""
    return float(np.quantile(scores, 1 - share)) if len(scores) else float("nan")


def main(arguments: list[str] | None = None) -> None:
    """Evaluate and print a table, best AP first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files")
    parser.add_argument(
        "--all", action="store_true", help="all pictures; otherwise the validation sources only"
    )
    parser.add_argument(
        "--as-labelled",
        action="store_true",
        help="without the corrections made by eye, which are of one referee's labels: for another's",
    )
    parser.add_argument("--looks", action="store_true", help="the means over five inputs, mirrored or not")
    parser.add_argument("--size", type=int, default=640, help="side of the input, pixels")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    pictures = read_labels(options.folder, None) if options.as_labelled else read_labels(options.folder)
    if not options.all:
        pictures = split(pictures)[1] or parser.error("no picture is of a validation source; give --all")
    figures = {}
    for path in options.models:
        finders = looks(path, options.size) if options.looks else [finder(path, options.size)]
        figures[path.stem] = evaluate(finders, pictures, options.size, options.threshold)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    Console(width=200).print(_table(figures, options.threshold))


def _table(figures: dict[str, Figures], threshold: float) -> Table:
    table = Table(title=f"AP at IoU 0.5; precision and recall at {threshold}")
    for heading in (
        "model",
        "AP",
        *(f"{low}-{high} px" for low, high in SIZES),
        "precision",
        "recall",
        "of its best",
    ):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for heading in (*(f"recall, {fp:g} FP" for fp in _FALSE_POSITIVES), "landmarks", "ms", "97 % at"):
        table.add_column(heading, justify="right")
    for name, row in sorted(figures.items(), key=lambda item: -item[1]["ap"]):
        values = [
            row["ap"],
            *row["ap_by_size"].values(),
            row["precision"],
            row["recall"],
            row["recall_of_best"],
        ]
        values += [*row["recall_at_fp"].values(), row["landmark_error"]]
        cells = [f"{value:.3f}" for value in values]
        table.add_row(name, *cells, f"{row['median_ms']:.1f}", f"{row['threshold_at_97_percent']:.2f}")
    return table


if __name__ == "__main__":
    main()
