"""Whether two ways to run a model find the same faces."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["Agreement", "compare", "total"]

# Below this overlap two boxes are two faces.
_SAME_FACE_IOU: Final = 0.5


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the faces of one way in another.

    Attributes:
        kept: Faces that both find.
        lost: Faces that only the first finds.
        new: Faces that only the second finds.
        lowest_iou: Of the boxes of a face that both find; 1 if there is none.
        largest_score_change: Of the scores of a face that both find.
    """

    kept: int
    lost: int
    new: int
    lowest_iou: float
    largest_score_change: float

    @property
    def compared(self) -> bool:
        """Whether there was any face."""
        return bool(self.kept or self.lost or self.new)

    def within(self, *, least_iou: float, most_apart: float) -> bool:
        """Whether the same faces are found, with boxes and scores no further apart than this."""
        return (
            not self.lost
            and not self.new
            and self.lowest_iou >= least_iou
            and self.largest_score_change <= most_apart
        )

    def __str__(self) -> str:
        if not self.compared:
            return "no face to compare"
        changes = f"lowest IoU {self.lowest_iou:.3f}, scores within {self.largest_score_change:.3f}"
        gone = f", {self.lost} lost" if self.lost else ""
        return f"{self.kept} faces kept{gone}{f', {self.new} new' if self.new else ''}, {changes}"


def compare(expected: NDArray[np.float32], found: NDArray[np.float32], *, threshold: float) -> Agreement:
    """Pair the faces of one picture, the closest boxes first.

    Args:
        expected: (N, 5 or more) float32 x1, y1, x2, y2, score of the first way; if they reach a little below the
            threshold, a face that falls just under it is no lost one.
        found: The same of the second way.
        threshold: A face counts if one way gives it this score.
    """
    ious = _ious(expected, found)
    pairs: list[tuple[int, int]] = []
    while ious.size and (best := ious.max()) >= _SAME_FACE_IOU:
        row, column = (int(place[0]) for place in np.nonzero(ious == best))
        pairs.append((row, column))
        ious[row, :], ious[:, column] = -1, -1
    overlaps = _ious(expected, found)
    counted = [(i, j) for i, j in pairs if max(expected[i, 4], found[j, 4]) >= threshold]
    return Agreement(
        kept=len(counted),
        lost=_alone(expected, {i for i, _ in counted}, threshold),
        new=_alone(found, {j for _, j in counted}, threshold),
        lowest_iou=min((float(overlaps[i, j]) for i, j in counted), default=1.0),
        largest_score_change=max(
            (abs(float(expected[i, 4]) - float(found[j, 4])) for i, j in counted), default=0.0
        ),
    )


def total(parts: Sequence[Agreement]) -> Agreement:
    """The agreement over several pictures."""
    return Agreement(
        kept=sum(part.kept for part in parts),
        lost=sum(part.lost for part in parts),
        new=sum(part.new for part in parts),
        lowest_iou=min((part.lowest_iou for part in parts), default=1.0),
        largest_score_change=max((part.largest_score_change for part in parts), default=0.0),
    )


def _alone(faces: NDArray[np.float32], paired: set[int], threshold: float) -> int:
    return sum(i not in paired for i in np.flatnonzero(faces[:, 4] >= threshold).tolist())


def _ious(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, M) intersection over union of all boxes."""
    a, b = (faces[:, :4].astype(np.float64) for faces in (first, second))
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))
