"""Whether a detector finds some people less than others: ``python -m training.groups FOLDER MODEL...``.

The faces of the validation pictures from 24 px on were grouped by eye, by how light or dark the skin looks in the
picture and by the age that a person seems to have: by looks alone, and from one picture. Faces whose skin cannot be
told (grey or coloured pictures) count in no group of tone. Every face is shown at the same sizes, its picture reduced
on an empty canvas, so that groups with larger portraits have no advantage. A face in several copies of one photograph
counts once, where it is largest, or each time with ``--repeats``. ``--looks`` counts ten looks at each, since
which small faces an input shows well is chance.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import TypeAlias

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from training.anchors import iou
from training.evaluate import looks
from training.finders import Finder, finder

__all__ = ["GroupedFace", "Recall", "at_size", "main", "read_groups", "recall_by_group"]

SIZES = (12, 16, 24, 48)
_CANVAS = 640
_GROUPS = Path(__file__).with_name("validation_groups.jsonl")
_MATCH = 0.5

Image: TypeAlias = npt.NDArray[np.uint8]
Recall: TypeAlias = tuple[int, int]
"""Found, of how many."""


class GroupedFace(msgspec.Struct, frozen=True):
    """A face of a labelled folder: its picture's file name, its box in pixels, and its groups; None: not to be told."""

    file: str
    bbox: tuple[float, float, float, float]
    tone: str | None
    age: str | None
    repeats: str | None = None
    """The file in which the same face of the same photograph is larger."""


def read_groups(path: Path = _GROUPS, *, repeats: bool = False) -> list[GroupedFace]:
    """Read the grouped faces, one a line; with ``repeats`` those too that are larger in another file.

    Raises:
        msgspec.ValidationError: a line is no such face.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    faces = [msgspec.json.decode(line, type=GroupedFace) for line in lines]
    return [face for face in faces if repeats or face.repeats is None]


def at_size(
    image: Image, box: tuple[float, float, float, float], size: float
) -> tuple[Image, npt.NDArray[np.float32]] | None:
    """Return the picture reduced on a canvas so that the face has this size, and the face's box there.

    None if the face is smaller in the picture: what is enlarged has not the detail of a face that size.
    """
    own = float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
    scale = size / own
    if scale > 1:
        return None
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    # The face in the middle of the canvas, as far as the picture reaches.
    middle = np.array([(box[0] + box[2]) / 2 * scale, (box[1] + box[3]) / 2 * scale])
    left, top = (round(_CANVAS / 2 - float(centre)) for centre in middle)
    canvas = np.zeros((_CANVAS, _CANVAS, 3), np.uint8)
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(_CANVAS, left + small.shape[1]), min(_CANVAS, top + small.shape[0])
    canvas[y1:y2, x1:x2] = small[y1 - top : y2 - top, x1 - left : x2 - left]
    shift = np.array([left, top, left, top], np.float32)
    return canvas, np.array(box, np.float32) * np.float32(scale) + shift


def recall_by_group(
    finders: list[Finder], folder: Path, faces: list[GroupedFace], threshold: float = 0.5
) -> dict[str, dict[int, Recall]]:
    """Return for each group, named ``tone: darker`` and so on, and for each size how many of its faces are found.

    A face counts as often as there are finders.
    """
    counts: dict[str, dict[int, list[int]]] = defaultdict(lambda: {size: [0, 0] for size in SIZES})
    for face in faces:
        image = np.asarray(cv2.imread(str(folder / "images" / face.file), cv2.IMREAD_COLOR), np.uint8)
        names = ["all", *(f"{kind}: {name}" for kind in ("tone", "age") if (name := getattr(face, kind)))]
        for size in SIZES:
            if (shown := at_size(image, face.bbox, size)) is None:
                continue
            hits = sum(_finds(find, *shown, threshold) for find in finders)
            for name in names:
                counts[name][size][0] += hits
                counts[name][size][1] += len(finders)
    return {name: {size: (row[0], row[1]) for size, row in counts[name].items()} for name in sorted(counts)}


def _finds(find: Finder, canvas: Image, box: npt.NDArray[np.float32], threshold: float) -> bool:
    found = find(canvas)
    return bool((iou(found.boxes[found.scores >= threshold], box[None]) >= _MATCH).any())


def main(arguments: list[str] | None = None) -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--looks", action="store_true", help="ten looks at every face, not one")
    parser.add_argument("--repeats", action="store_true", help="the copies of a photograph, too")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    faces = read_groups(repeats=options.repeats)
    results = {}
    for path in options.models:
        finders = looks(path, _CANVAS) if options.looks else [finder(path, _CANVAS)]
        results[path.stem] = recall_by_group(finders, options.folder, faces, options.threshold)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, result in results.items():
        Console(width=120).print(_table(name, result, options.threshold))


def _table(name: str, result: dict[str, dict[int, Recall]], threshold: float) -> Table:
    table = Table(title=f"{name}: recall at {threshold} of faces shown at one size")
    table.add_column("group")
    for heading in (*(f"{size} px" for size in SIZES), "together"):
        table.add_column(heading, justify="right")
    for group, row in result.items():
        together = sum(found for found, _ in row.values()), sum(of for _, of in row.values())
        cells = [f"{found / of:.3f} ({of})" if of else "-" for found, of in (*row.values(), together)]
        table.add_row(group, *cells)
    return table


if __name__ == "__main__":
    main()
