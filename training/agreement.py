"""What several looks at a picture agree on: looks of several detectors, at several sizes, mirrored or not."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.anchors import iou
from training.metrics import Detections

__all__ = ["Places", "places"]

_SAME = 0.45

Floats = npt.NDArray[np.float32]


class Places(NamedTuple):
    """The P places of a picture where at least one of V looks sees a face."""

    boxes: Floats
    """(P, 4), pixels: the mean of the looks' boxes, by their scores."""
    landmarks: Floats
    """(P, 10), likewise; NaN where a look has none."""
    scores: Floats
    """(P, V), 0 where a look sees nothing."""


def places(looks: list[Detections], lowest: float) -> Places:
    """Return where the looks see faces with a score of ``lowest`` or more; the surest detection begins a place.

    Detections belong to the place with whose first one their IoU is 0.45 or more, one of each look.
    """
    parts = [look.scores >= lowest for look in looks]
    boxes = np.concatenate([look.boxes[part] for look, part in zip(looks, parts, strict=True)])
    scores = np.concatenate([look.scores[part] for look, part in zip(looks, parts, strict=True)])
    points = np.concatenate([_landmarks(look)[part] for look, part in zip(looks, parts, strict=True)])
    whose = np.repeat(np.arange(len(looks)), [part.sum() for part in parts])
    free = np.ones(len(boxes), bool)
    rows: list[tuple[Floats, Floats, Floats]] = []
    for first in np.argsort(-scores, kind="stable"):
        if not free[first]:
            continue
        here = np.flatnonzero(free & (iou(boxes[first : first + 1], boxes)[0] >= _SAME))
        free[here] = False
        here = here[np.argsort(-scores[here], kind="stable")]
        # The surest of each look.
        _, index = np.unique(whose[here], return_index=True)
        members = here[index]
        weights = scores[members] / scores[members].sum()
        row = np.zeros(len(looks), np.float32)
        row[whose[members]] = scores[members]
        rows.append((weights @ boxes[members], weights @ points[members], row))
    if not rows:
        return Places(*(np.zeros((0, width), np.float32) for width in (4, 10, len(looks))))
    return Places(*(np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)))


def _landmarks(look: Detections) -> Floats:
    return np.full((len(look.scores), 10), np.nan, np.float32) if look.landmarks is None else look.landmarks
