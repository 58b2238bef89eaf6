"""How good detections are against labels: average precision, precision and recall, landmark error.

Matching is that of PASCAL VOC (Everingham et al., 2010): by falling score, each detection takes the free face with
which its IoU is highest, from 0.5 on. Ignored boxes and labels outside the asked sizes count neither way.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.anchors import iou, shares_inside

__all__ = [
    "Detections",
    "Truth",
    "average_precision",
    "covered",
    "match",
    "precision_recall",
    "recall_at_false_positives",
]

_MATCH = 0.5


@dataclass(frozen=True)
class Detections:
    """One picture's detections: boxes (D, 4), scores (D,), landmarks (D, 10) or None."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Truth:
    """One picture's labels: faces (G, 4), landmarks (G, 10), ignored boxes (I, 4)."""

    boxes: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    ignore: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Matches:
    """All pictures' detections together, by falling score; those on ignored places left out."""

    scores: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]
    landmark_errors: npt.NDArray[np.float32]
    """Mean distance of the landmarks by the face's size, NaN where unknown or not matched."""
    faces: int
    pictures: int


def match(pairs: list[tuple[Detections, Truth]], smallest: float = 0.0, largest: float = np.inf) -> Matches:
    """Match detections with the faces whose size (root of the area, pixels) is within ``smallest`` .. ``largest``."""
    scores, correct, errors, faces = [], [], [], 0
    for found, truth in pairs:
        size = np.sqrt((truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(1))
        asked = (size >= smallest) & (size < largest)
        faces += int(asked.sum())
        free = np.ones(len(size), bool)
        overlaps = iou(found.boxes, truth.boxes)
        elsewhere = covered(found.boxes, truth.ignore)
        own_size = np.sqrt(np.clip(found.boxes[:, 2:] - found.boxes[:, :2], 0, None).prod(1))
        for d in np.argsort(-found.scores, kind="stable"):
            candidates = np.where(free, overlaps[d], 0.0)
            g = int(candidates.argmax()) if len(size) else -1
            if g >= 0 and candidates[g] >= _MATCH:
                free[g] = False
                if asked[g]:
                    scores.append(found.scores[d])
                    correct.append(True)
                    errors.append(_landmark_error(found, truth, int(d), g, float(size[g])))
            elif not elsewhere[d] and smallest <= own_size[d] < largest:
                scores.append(found.scores[d])
                correct.append(False)
                errors.append(np.nan)
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    return Matches(
        np.array(scores, np.float32)[order],
        np.array(correct, bool)[order],
        np.array(errors, np.float32)[order],
        faces,
        len(pairs),
    )


def average_precision(matches: Matches) -> float:
    """Area under the precision-recall curve with precision made monotone; NaN without a face."""
    if not matches.faces:
        return float("nan")
    hits = np.cumsum(matches.correct)
    recall = hits / matches.faces
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def precision_recall(matches: Matches, threshold: float) -> tuple[float, float]:
    """Precision and recall of the detections from ``threshold`` on."""
    kept = matches.scores >= threshold
    hits = int(matches.correct[kept].sum())
    return hits / max(int(kept.sum()), 1), hits / max(matches.faces, 1)


def recall_at_false_positives(matches: Matches, per_picture: float) -> float:
    """Recall where there are at most ``per_picture`` false positives a picture (one point of an FROC curve)."""
    allowed = np.cumsum(~matches.correct) <= per_picture * matches.pictures
    return float(matches.correct[allowed].sum() / max(matches.faces, 1))


def covered(boxes: npt.NDArray[np.float32], ignore: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether at least half of a box lies on one ignored box."""
    return np.asarray((shares_inside(boxes, ignore) >= _MATCH).any(1))


def _landmark_error(found: Detections, truth: Truth, d: int, g: int, size: float) -> float:
    if found.landmarks is None:
        return float("nan")
    apart = (found.landmarks[d] - truth.landmarks[g]).reshape(5, 2)
    return float(np.hypot(apart[:, 0], apart[:, 1]).mean() / size)
