"""SCRFD once more, from the paper and with nothing of ours: OpenCV, NumPy in float32, ONNX Runtime."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

__all__ = ["IndependentScrfd", "iou", "pairs"]

Floats = npt.NDArray[np.float32]

_SIDE: Final = 640
_ANCHORS: Final = 2


class IndependentScrfd:
    """A detector of 640×640 that decodes in full and does one thing after the other."""

    def __init__(self, path: Path) -> None:
        """Load a model with outputs of two or three dimensions."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0]

    def detect(self, data: bytes, confidence: float = 0.5, nms_threshold: float = 0.4) -> Floats:
        """Find faces: (N, 5) x1, y1, x2, y2 in px and score, best first."""
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        height, width = image.shape[:2]
        scale = min(_SIDE / width, _SIDE / height)
        inner = round(width * scale), round(height * scale)
        tensor = self._tensor(np.asarray(cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)))
        outputs = [
            np.asarray(output).reshape(-1, output.shape[-1])
            for output in self._session.run(None, {self._input.name: tensor})
        ]
        found = []
        for stride in (8, 16, 32):
            down, across = tensor.shape[2] // stride, tensor.shape[3] // stride
            rows = down * across * _ANCHORS
            scores = next(o for o in outputs if o.shape == (rows, 1))[:, 0]
            distances = next(o for o in outputs if o.shape == (rows, 4)) * np.float32(stride)
            y, x = np.divmod(np.arange(rows) // _ANCHORS, across) * np.array([[stride], [stride]])
            sides = [x - distances[:, 0], y - distances[:, 1], x + distances[:, 2], y + distances[:, 3]]
            table = np.stack([*(side / scale for side in sides), scores], axis=1)
            found.append(table[scores >= confidence])
        faces = _suppressed(np.concatenate(found).astype(np.float32), nms_threshold)
        faces[:, 0:4:2] = faces[:, 0:4:2].clip(0, width)
        faces[:, 1:4:2] = faces[:, 1:4:2].clip(0, height)
        return faces

    def _tensor(self, picture: npt.NDArray[np.generic]) -> Floats:
        height, width = picture.shape[:2]
        fixed = isinstance(self._input.shape[2], int)
        canvas = np.zeros(
            (_SIDE, _SIDE, 3) if fixed else (-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32
        )
        canvas[:height, :width] = picture
        normalised = (canvas[:, :, ::-1] - np.float32(127.5)) / np.float32(128)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[np.newaxis])


def _suppressed(faces: Floats, threshold: float) -> Floats:
    faces = faces[np.argsort(-faces[:, 4], kind="stable")]
    overlap = iou(faces, faces)
    kept: list[int] = []
    for index in range(len(faces)):
        if not kept or overlap[index, kept].max() <= threshold:
            kept.append(index)
    return faces[kept]


def iou(first: Floats, second: Floats) -> Floats:
    """IoU of each box of the first with each of the second."""
    a, b = first[:, np.newaxis], second[np.newaxis]
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = wide.clip(0) * high.clip(0)
    areas = [(faces[..., 2] - faces[..., 0]) * (faces[..., 3] - faces[..., 1]) for faces in (a, b)]
    result: Floats = shared / (areas[0] + areas[1] - shared)
    return result


def pairs(first: Floats, second: Floats, least: float = 0.3) -> list[tuple[int, int, float]]:
    """Faces of both that belong together, each at most once, best IoU first: two indices and the IoU."""
    overlap = iou(first, second)
    found = []
    while overlap.size and overlap.max() > least:
        i, j = np.unravel_index(overlap.argmax(), overlap.shape)
        found.append((int(i), int(j), float(overlap[i, j])))
        overlap[i], overlap[:, j] = -1, -1
    return found
