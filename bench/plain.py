"""Face detection as most people write it: OpenCV, NumPy and ONNX Runtime, each used plainly."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench.plan import NMS_THRESHOLD, SIDE, THRESHOLD

__all__ = ["PlainDetector", "decode_in_full"]

Floats = NDArray[np.float32]


def decode_in_full(data: bytes) -> NDArray[np.uint8]:
    """What OpenCV decodes, at full size."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("OpenCV cannot decode this picture")
    return np.asarray(image, np.uint8)


class PlainDetector:
    """Detection with the data path of InsightFace's examples: full decode, a square input, NumPy for the rest.

    The session has ONNX Runtime's default options: as many threads as cores, which spin while they wait. Thread-safe.
    """

    def __init__(self, path: Path) -> None:
        """Load a model of nine outputs, any order, one score, four distances and ten offsets for each anchor."""
        self._session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def detect(self, data: bytes) -> tuple[Floats, Floats]:
        """Find faces: (N, 5) x1, y1, x2, y2 in px and score, best first; (N, 5, 2) landmarks in px."""
        image = decode_in_full(data)
        height, width = image.shape[:2]
        scale = min(SIDE / width, SIDE / height)
        inner = cv2.resize(image, (round(width * scale), round(height * scale)))
        canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
        canvas[: inner.shape[0], : inner.shape[1]] = inner
        blob = cv2.dnn.blobFromImage(canvas, 1 / 128, (SIDE, SIDE), (127.5, 127.5, 127.5), swapRB=True)
        faces, landmarks = self._decoded(self._session.run(None, {self._input: blob}), scale)
        kept = _suppressed(faces)
        return faces[kept], landmarks[kept]

    def _decoded(self, outputs: list[Floats], scale: float) -> tuple[Floats, Floats]:
        by_rows: dict[int, dict[int, Floats]] = {}
        for output in outputs:
            by_rows.setdefault(output.shape[-2], {})[output.shape[-1]] = output.reshape(-1, output.shape[-1])
        faces, landmarks = [], []
        for stride in (8, 16, 32):
            columns = SIDE // stride
            level = by_rows[2 * columns * columns]
            (index,) = np.nonzero(level[1][:, 0] >= THRESHOLD)
            y, x = np.divmod(index // 2, columns)
            centre = np.stack([x, y, x, y], axis=1) * stride
            boxes = (centre + level[4][index] * [-stride, -stride, stride, stride]) / scale
            faces.append(np.hstack([boxes, level[1][index]]))
            points = level[10][index].reshape(-1, 5, 2)
            landmarks.append((centre[:, np.newaxis, :2] + points * stride) / scale)
        return np.concatenate(faces).astype(np.float32), np.concatenate(landmarks).astype(np.float32)


def _suppressed(faces: Floats) -> list[int]:
    """Greedy NMS: what is kept, best first."""
    x1, y1, x2, y2, scores = faces.T
    areas = (x2 - x1) * (y2 - y1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while order.size:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        wide = np.minimum(x2[best], x2[order]) - np.maximum(x1[best], x1[order])
        high = np.minimum(y2[best], y2[order]) - np.maximum(y1[best], y1[order])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        order = order[shared <= NMS_THRESHOLD * (areas[best] + areas[order] - shared)]
    return kept
