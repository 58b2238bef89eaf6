"""A labelled folder: ``labels.jsonl`` beside ``images/``, split into training and validation by source.

Each line of ``labels.jsonl`` is a picture: ``file``, ``width``, ``height``, ``licence``, ``source``, ``url``,
``faces`` (``bbox`` as x1, y1, x2, y2, ``landmarks`` as ten numbers, in pixels, and where known ``sureness``, how sure
detectors are of it, above 0 and below 1), ``ignore`` (boxes that may hold a face: neither loss nor false alarm there)
and, where detectors disagree, ``doubtful`` (those of the ignored boxes of which is known how sure they are, as faces).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from training.anchors import iou, mostly_inside
from training.geometry import DOUBTFUL, FACE_WIDTH, SURENESS, no_faces

__all__ = [
    "MASKED_FACE",
    "VALIDATION_SOURCES",
    "Mistakes",
    "Picture",
    "line_of",
    "read_labels",
    "read_mistakes",
    "split",
]

VALIDATION_SOURCES = (
    "github.com/rladies/rladies.github.io",
    "github.com/Obmutescence/COCO-MINI",
    "github.com/yuanyl00/miniCOCO",
    "github.com/lizhogn/tiny_coco_dataset",
    "github.com/zzowenzz/COCO_Tiny",
    "github.com/blue-oil/blueoil",
)
"""Sources of which no picture is trained on."""

Row: TypeAlias = dict[str, Any]
Mistakes: TypeAlias = npt.NDArray[np.float32]
"""(M, 6): a box in pixels of the picture, how large it was in the input, the root of its area in pixels, and 1 for a
face that was found again after it had been masked, else 0."""
MASKED_FACE = 5

_TOLD = 0.4
"""From this IoU on a place is one that was looked at."""
_SEEN_BY_EYE = 0.6
"""How sure an eye is of a face of which detectors were not."""
_CORRECTIONS = Path(__file__).with_name("label_corrections.jsonl")


@dataclass(frozen=True)
class Picture:
    """One picture's labels, as :mod:`training.geometry` says: ``faces`` (G, 16), ``ignore`` (I, 4); pixels.

    ``doubtful`` (D, 16) are those of the ignored boxes of which is known how sure detectors are.
    """

    file: Path
    width: int
    height: int
    licence: str
    source: str
    url: str
    faces: npt.NDArray[np.float32]
    ignore: npt.NDArray[np.float32]
    doubtful: npt.NDArray[np.float32] = field(default_factory=no_faces)

    @property
    def places(self) -> npt.NDArray[np.float32]:
        """Faces and doubtful ones, (G + D, 16)."""
        return np.concatenate([self.faces, self.doubtful])


def read_labels(folder: Path, corrections: Path | None = _CORRECTIONS) -> list[Picture]:
    """Read a labelled folder, with the corrections made by eye applied.

    A corrections file has a line per picture: ``file``, ``drop`` (indices of faces that are none), ``ignore`` (indices
    of faces that nobody can tell), ``faces`` and ``none`` (ignored boxes, in whole pixels, that are faces or none), or
    ``remove`` (true: the whole picture).

    Raises:
        FileNotFoundError: there is no ``labels.jsonl``.
        ValueError: a line is not such a record.
    """
    changes = (
        {row["file"]: row for row in _lines(corrections)} if corrections and corrections.exists() else {}
    )
    pictures = []
    for row in _lines(folder / "labels.jsonl"):
        change = changes.get(row["file"], {})
        if not change.get("remove"):
            picture = _picture(folder, row)
            pictures.append(_corrected(picture, change) if change else picture)
    return pictures


def read_mistakes(file: Path) -> dict[str, Mistakes]:
    """Read what :mod:`training.mistakes` wrote, by the pictures' file names.

    Raises:
        ValueError: a line is not JSON.
    """
    return {row["file"]: np.array(row["mistakes"], np.float32).reshape(-1, 6) for row in _lines(file)}


def line_of(
    picture: Picture,
    name: str,
    faces: list[Row],
    ignore: list[list[float]],
    doubtful: list[Row] | None = None,
) -> str:
    """Return a line of ``labels.jsonl`` for a picture under another file name, with other labels."""
    row = {"file": name, "width": picture.width, "height": picture.height, "licence": picture.licence}
    row |= {"source": picture.source, "faces": faces, "ignore": ignore}
    return json.dumps(row | ({"doubtful": doubtful} if doubtful else {})) + "\n"


def split(pictures: list[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Split into training and validation pictures; they share no source."""
    held_out = [p for p in pictures if p.source.startswith(VALIDATION_SOURCES)]
    return [p for p in pictures if not p.source.startswith(VALIDATION_SOURCES)], held_out


def _lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                msg = f"{path}, line {number}: not JSON ({error.msg})"
                raise ValueError(msg) from error


def _picture(folder: Path, row: Row) -> Picture:
    try:
        return Picture(
            folder / "images" / row["file"],
            row["width"],
            row["height"],
            row["licence"],
            row["source"].removeprefix("https://"),
            row.get("url") or "",
            _faces(row["faces"], doubtful=False),
            np.array(row["ignore"], np.float32).reshape(-1, 4),
            _faces(row.get("doubtful", []), doubtful=True),
        )
    except KeyError as error:
        msg = f"labels of {row.get('file', 'a picture')}: the key {error} is missing"
        raise ValueError(msg) from error


def _faces(rows: list[Row], *, doubtful: bool) -> npt.NDArray[np.float32]:
    faces = [
        [*face["bbox"], *(face.get("landmarks") or [np.nan] * 10), _logit(face.get("sureness")), doubtful]
        for face in rows
    ]
    return np.array(faces, np.float32).reshape(-1, FACE_WIDTH)


def _logit(share: float | None) -> float:
    return math.nan if share is None else math.log(share / (1 - share))


def _corrected(picture: Picture, change: Row) -> Picture:
    dropped, uncertain = change.get("drop", []), change.get("ignore", [])
    kept = picture.faces[np.setdiff1d(np.arange(len(picture.faces)), [*dropped, *uncertain])]
    found, none = (np.array(change.get(key, []), np.float32).reshape(-1, 4) for key in ("faces", "none"))
    told = _told(picture.ignore, found, none)
    found = _apart(found[~(iou(found, kept[:, :4]) >= _TOLD).any(1)], kept[:, :4])
    new = np.full((len(found), FACE_WIDTH), np.nan, np.float32)
    new[:, :4], new[:, SURENESS], new[:, DOUBTFUL] = found, _logit(_SEEN_BY_EYE), 0
    return replace(
        picture,
        faces=np.concatenate([kept, new]),
        ignore=np.concatenate([picture.ignore[~told], picture.faces[uncertain, :4].reshape(-1, 4)]),
        doubtful=picture.doubtful[~_told(picture.doubtful[:, :4], found, none)],
    )


def _apart(found: npt.NDArray[np.float32], kept: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The boxes found by eye that are of no face of which there is a better box: a kept one, or a smaller one found.

    Where two boxes lie mostly inside each other, a box too wide or beside its face has been told to be one.
    """
    on_kept = mostly_inside(found, kept) | mostly_inside(kept, found).T
    area = (found[:, 2:] - found[:, :2]).prod(1)
    on_smaller = mostly_inside(found, found).T & (area[:, None] > area)
    return np.asarray(found[~on_kept.any(1) & ~on_smaller.any(1)])


def _told(boxes: npt.NDArray[np.float32], *told: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.asarray((iou(boxes, np.concatenate(told)) >= _TOLD).any(1))
