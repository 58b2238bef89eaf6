"""Which output of an SCRFD export is which, told by the shapes alone.

Exports differ: 6 or 9 outputs, two- or three-dimensional, any names, any order. What they share is the last
dimension (1 score, 4 distances, 10 landmark coordinates) and the number of rows, a quarter as many from one stride
to the next.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.errors import ModelError

__all__ = ["OutputLayout", "outputs_by_shape"]

_FIRST_STRIDE: Final = 8
_WIDTH_OF: Final = {"scores": 1, "boxes": 4, "landmarks": 10}


class OutputLayout(msgspec.Struct, frozen=True):
    """Where the model's outputs are.

    Attributes:
        strides: Px per cell of each level, rising.
        anchors: Anchors per cell.
        scores: Index of the score output of each level.
        boxes: Index of the distance output of each level.
        landmarks: Index of the landmark output of each level; empty when the model gives none.
    """

    strides: tuple[int, ...]
    anchors: int
    scores: tuple[int, ...]
    boxes: tuple[int, ...]
    landmarks: tuple[int, ...]


def outputs_by_shape(outputs: Sequence[NDArray[np.float32]], width: int, height: int) -> OutputLayout:
    """Tell the outputs of one inference apart.

    Args:
        outputs: What the model gave for a tensor of `width` × `height` px.
        width: Tensor width, px.
        height: Tensor height, px.

    Raises:
        ModelError: The shapes are not those of an SCRFD detector.
    """
    shapes = [tuple(output.shape) for output in outputs]
    levels: dict[str, list[int]] = {}
    for kind, columns in _WIDTH_OF.items():
        indices = [i for i, shape in enumerate(shapes) if _is_table(shape) and shape[-1] == columns]
        levels[kind] = sorted(indices, key=lambda i: -shapes[i][-2])
    scores, boxes, landmarks = levels["scores"], levels["boxes"], levels["landmarks"]
    sorted_out = len(scores) + len(boxes) + len(landmarks) == len(outputs)
    if not (sorted_out and scores and len(boxes) == len(scores) and len(landmarks) in (0, len(scores))):
        raise ModelError(_foreign(shapes))
    strides = tuple(_FIRST_STRIDE << level for level in range(len(scores)))
    cells = [(width // stride) * (height // stride) for stride in strides]
    anchors, rest = divmod(shapes[scores[0]][-2], cells[0])
    rows_agree = all(
        shapes[index][-2] == cells[level] * anchors
        for indices in (scores, boxes, landmarks)
        for level, index in enumerate(indices)
    )
    if rest or not anchors or not rows_agree:
        raise ModelError(_foreign(shapes))
    return OutputLayout(strides, anchors, tuple(scores), tuple(boxes), tuple(landmarks))


def _is_table(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)


def _foreign(shapes: Sequence[tuple[int, ...]]) -> str:
    listed = ", ".join("×".join(map(str, shape)) for shape in shapes[:12])
    return f"not an SCRFD face detector: the outputs are {listed or 'missing'}"
