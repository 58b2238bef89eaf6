"""Tiny ONNX models, made here: detectors whose faces are known, and models that are no detector.

Two kinds of detector. `scanner` computes: a cell of 8×8 px scores as high as it is bright, so that a white cell in a
picture is a face at a known place; it takes any input size. `answering` gives the same tables whatever it is shown.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = [
    "ANCHORS",
    "COLUMNS",
    "STRIDES",
    "Face",
    "answering",
    "mapped",
    "picture_of_cells",
    "save",
    "scanner",
    "tables",
]

STRIDES: Final = (8, 16, 32)
ANCHORS: Final = 2
COLUMNS: Final = {"score": 1, "bbox": 4, "kps": 10}

# Of `scanner`: how far a face reaches from the corner of its bright cell, and its landmarks, in strides.
REACH: Final = 1.5
LANDMARKS: Final = (-0.5, -0.5, 0.5, -0.5, 0.0, 0.0, -0.5, 0.5, 0.5, 0.5)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class Face(NamedTuple):
    """A face that `tables` puts into a model's outputs; px of the tensor.

    Attributes:
        x1: Left.
        y1: Top.
        x2: Right.
        y2: Bottom.
        score: Score.
        points: Five landmarks x, y; all at the box's corner if None.
        stride: The level that finds it.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    points: tuple[float, ...] | None = None
    stride: int = 8


def scanner(
    path: Path,
    *,
    size: tuple[int | None, int | None] = (None, None),
    landmarks: bool = True,
    dimensions: int = 2,
    order: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Path:
    """Write a detector that finds white cells; see `picture_of_cells` for a picture of some.

    Args:
        path: Where to.
        size: Width and height of the input, None where free.
        landmarks: Whether it gives landmarks.
        dimensions: Of the outputs, 2 or 3.
        order: Permutation of the outputs; as they are told in `COLUMNS`, level by level, if None.
        names: Names of the outputs in that order.
    """
    kinds = [kind for kind in COLUMNS if landmarks or kind != "kps"]
    nodes, initializers, outputs = [], [], []
    for kind in kinds:
        columns = COLUMNS[kind]
        shape = (1, -1, columns) if dimensions == 3 else (-1, columns)
        initializers.append(numpy_helper.from_array(np.array(shape, np.int64), f"shape_{kind}"))
    for stride in STRIDES:
        for kind in kinds:
            weights, bias = _head(kind, stride)
            here = f"{kind}_{stride}"
            initializers += [
                numpy_helper.from_array(weights, f"w_{here}"),
                numpy_helper.from_array(bias, f"b_{here}"),
            ]
            nodes += [
                helper.make_node(
                    "Conv",
                    ["picture", f"w_{here}", f"b_{here}"],
                    [f"cells_{here}"],
                    kernel_shape=[stride, stride],
                    strides=[stride, stride],
                ),
                helper.make_node("Transpose", [f"cells_{here}"], [f"rows_{here}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"rows_{here}", f"shape_{kind}"], [f"raw_{here}"]),
                helper.make_node("Relu" if kind == "score" else "Identity", [f"raw_{here}"], [here]),
            ]
            outputs.append((here, COLUMNS[kind]))
    order = range(len(outputs)) if order is None else order
    outputs = [outputs[index] for index in order]
    if names is not None:
        nodes += [
            helper.make_node("Identity", [here], [name])
            for (here, _), name in zip(outputs, names, strict=True)
        ]
        outputs = [(name, columns) for (_, columns), name in zip(outputs, names, strict=True)]
    leading: list[int | None] = [1, None] if dimensions == 3 else [None]
    return save(
        path,
        nodes,
        inputs=[("picture", TensorProto.FLOAT, [1, 3, size[1], size[0]])],
        outputs=[(name, TensorProto.FLOAT, [*leading, columns]) for name, columns in outputs],
        initializers=initializers,
    )


def _head(kind: str, stride: int) -> tuple[Floats, Floats]:
    """Weights and bias of one convolution of `scanner`; only the first anchor of stride 8 scores."""
    columns = COLUMNS[kind]
    weights = np.zeros((ANCHORS * columns, 3, stride, stride), np.float32)
    if kind == "score":
        bias = np.full(ANCHORS, -1, np.float32)
        if stride == STRIDES[0]:
            weights[0] = 0.5 / (3 * stride * stride)
            bias[0] = 0.49
    else:
        offsets = [REACH] * 4 if kind == "bbox" else list(LANDMARKS)
        bias = np.tile(np.array(offsets, np.float32), ANCHORS)
    return weights, bias


def picture_of_cells(
    width: int, height: int, cells: Sequence[tuple[int, int]], size: int = 8, level: int = 255
) -> npt.NDArray[np.uint8]:
    """A black picture with bright square cells.

    Args:
        width: Width in px.
        height: Height in px.
        cells: Column and row of each bright cell.
        size: Side of a cell in px: 8 divided by the letterbox's scale.
        level: Their gray level.
    """
    picture = np.zeros((height, width, 3), np.uint8)
    for column, row in cells:
        picture[row * size : (row + 1) * size, column * size : (column + 1) * size] = level
    return picture


def tables(
    faces: Sequence[Face], width: int, height: int, *, landmarks: bool = True, anchors: int = ANCHORS
) -> list[Floats]:
    """Outputs of a detector that finds `faces` in a tensor of `width` × `height` px: all scores, boxes, landmarks."""
    levels: dict[str, list[Floats]] = {kind: [] for kind in COLUMNS}
    for stride in STRIDES:
        across, down = width // stride, height // stride
        rows = {
            kind: np.zeros((across * down * anchors, columns), np.float32)
            for kind, columns in COLUMNS.items()
        }
        taken: set[int] = set()
        for face in (face for face in faces if face.stride == stride):
            column = min(max(round((face.x1 + face.x2) / 2 / stride), 0), across - 1)
            row = min(max(round((face.y1 + face.y2) / 2 / stride), 0), down - 1)
            index = (row * across + column) * anchors
            while index in taken:
                index += 1
            taken.add(index)
            x, y = column * stride, row * stride
            points = np.array(face.points or (face.x1, face.y1) * 5, np.float64)
            rows["score"][index] = face.score
            rows["bbox"][index] = np.divide([x - face.x1, y - face.y1, face.x2 - x, face.y2 - y], stride)
            rows["kps"][index] = (points - np.tile([x, y], 5)) / stride
        for kind, table in rows.items():
            levels[kind].append(table)
    return list(chain(levels["score"], levels["bbox"], levels["kps"] if landmarks else []))


def answering(
    path: Path,
    outputs: Sequence[Array],
    *,
    shape: Sequence[int | str | None] = (1, 3, 64, 64),
    element_type: int = TensorProto.FLOAT,
    inputs: int = 1,
) -> Path:
    """Write a model that gives `outputs` whatever it is shown.

    Args:
        path: Where to.
        outputs: What it answers.
        shape: Shape of the input, None or a name where free.
        element_type: Type of the input.
        inputs: How many of them.
    """
    nodes = [
        helper.make_node(
            "Constant", [], [f"output_{index}"], value=numpy_helper.from_array(np.asarray(value))
        )
        for index, value in enumerate(outputs)
    ]
    return save(
        path,
        nodes,
        inputs=[(f"input_{index}", element_type, list(shape)) for index in range(inputs)],
        outputs=[
            (
                f"output_{index}",
                helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype),
                list(np.shape(value)),
            )
            for index, value in enumerate(outputs)
        ],
    )


def mapped(path: Path) -> Path:
    """Write a model whose output is a sequence and no tensor, as classifiers from other libraries have."""
    nodes = [helper.make_node("SequenceConstruct", ["picture"], ["pictures"])]
    sequence = helper.make_tensor_sequence_value_info("pictures", TensorProto.FLOAT, [1, 3, None, None])
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, None, None])
    return _write(path, helper.make_graph(nodes, "foreign", [picture], [sequence]))


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
    outputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
    initializers: Sequence[onnx.TensorProto] = (),
) -> Path:
    """Write a model; inputs and outputs are name, element type and shape."""
    graph = helper.make_graph(
        list(nodes),
        "detector",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in outputs],
        list(initializers),
    )
    return _write(path, graph)


def _write(path: Path, graph: onnx.GraphProto) -> Path:
    # Old enough for every ONNX Runtime that pyproject.toml admits.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
