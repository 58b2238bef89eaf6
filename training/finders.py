"""What finds faces with a file: SCRFD's outputs by the service's own detector, YuNet by OpenCV's, CenterFace.

Each enlarges or reduces a picture to fit its input, and gives boxes, scores and landmarks in pixels of the picture.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from service.detection.detector import DetectionOptions, Detector
from service.detection.registry import ModelFile
from service.errors import ModelError
from training.anchors import iou
from training.geometry import FACE_WIDTH, LANDMARKS, View, mirror, no_boxes
from training.masked import mask_by_ovals
from training.metrics import Detections

__all__ = ["FOUND", "Finder", "finder", "look_again", "mirrored"]

Image: TypeAlias = npt.NDArray[np.uint8]
Finder: TypeAlias = Callable[[Image], Detections]

_LOWEST_SCORE = 0.02
_NMS = 0.4
_MOST = 5000
_CENTERFACE_STRIDE = 4
FOUND = 0.5
"""The service's threshold: from this score on a face is found."""
_THERE = 0.3
"""From this IoU on a box is where a face was masked."""


def finder(path: Path, size: int) -> Finder:
    """Return what finds faces with a file at an input of ``size`` pixels.

    Raises:
        ModelError: the file is no SCRFD, YuNet or CenterFace detector.
    """
    try:
        detector = Detector(ModelFile(name=path.stem, path=path, entry=None), det_size=size)
    except ModelError:
        for name, other in (("yunet", _yunet), ("centerface", _centerface)):
            if name in path.stem:
                return other(path, size)
        raise
    options = DetectionOptions(confidence=_LOWEST_SCORE, nms_threshold=_NMS)

    def find(image: Image) -> Detections:
        faces = detector.detect(image, image.shape[1], image.shape[0], options).faces
        return Detections(faces[:, :4], faces[:, 4], faces[:, 5:15] if faces.shape[1] >= 15 else None)

    return find


def mirrored(find: Finder) -> Finder:
    """Return what finds the faces of a picture in its mirror image."""

    def find_mirrored(image: Image) -> Detections:
        pixels = np.ascontiguousarray(image[:, ::-1])
        found = find(pixels)
        faces = np.full((len(found.scores), FACE_WIDTH), np.nan, np.float32)
        faces[:, :4] = found.boxes
        if found.landmarks is not None:
            faces[:, LANDMARKS] = found.landmarks
        faces = mirror(View(pixels, faces, no_boxes())).faces
        return Detections(
            faces[:, :4], found.scores, None if found.landmarks is None else faces[:, LANDMARKS]
        )

    return find_mirrored


def look_again(find: Finder, image: Image, found: Detections) -> Detections:
    """Mask what was found in a picture by ovals; return what is found in its places then, without landmarks."""
    boxes = found.boxes[found.scores >= FOUND]
    again = find(mask_by_ovals(image, boxes))
    there = (iou(again.boxes, boxes) >= _THERE).any(1)
    return Detections(again.boxes[there], again.scores[there])


def _reduced(image: Image, size: int) -> tuple[Image, float]:
    """The picture with its longer side ``size`` pixels long, and its scale."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    return np.asarray(cv2.resize(image, (round(width * scale), round(height * scale))), np.uint8), scale


def _yunet(path: Path, size: int) -> Finder:
    network = cv2.FaceDetectorYN.create(str(path), "", (size, size), _LOWEST_SCORE, _NMS, _MOST)

    def find(image: Image) -> Detections:
        small, scale = _reduced(image, size)
        network.setInputSize((small.shape[1], small.shape[0]))
        rows = network.detect(small)[1]
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1) / scale
        # YuNet calls the person's right eye the first landmark; in the picture that is the left one.
        return Detections(
            boxes.astype(np.float32),
            rows[:, 14].astype(np.float32),
            (rows[:, 4:14] / scale).astype(np.float32),
        )

    return find


def _centerface(path: Path, size: int) -> Finder:
    """CenterFace (Xu et al., 2020, arXiv 1911.03599): a face is a peak of a heat map of stride 4."""
    network = cv2.dnn.readNetFromONNX(str(path))
    names = network.getUnconnectedOutLayersNames()

    def find(image: Image) -> Detections:
        small, scale = _reduced(image, size)
        # The sides must be multiples of 32.
        below, beside = -small.shape[0] % 32, -small.shape[1] % 32
        whole = cv2.copyMakeBorder(small, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        network.setInput(cv2.dnn.blobFromImage(whole))
        heat, sizes, offsets, points = (m[0] for m in network.forward(names))
        y, x = np.nonzero(heat[0] > _LOWEST_SCORE)
        high, wide = np.exp(sizes[:, y, x]) * _CENTERFACE_STRIDE
        middle_y = (y + offsets[0, y, x] + 0.5) * _CENTERFACE_STRIDE
        middle_x = (x + offsets[1, y, x] + 0.5) * _CENTERFACE_STRIDE
        left, top = middle_x - wide / 2, middle_y - high / 2
        landmarks = np.empty((len(y), 5, 2), np.float32)
        landmarks[..., 0] = (points[1::2, y, x] * wide + left).T
        landmarks[..., 1] = (points[0::2, y, x] * high + top).T
        scores = heat[0, y, x]
        rectangles = np.stack([left, top, wide, high], 1)
        kept = np.asarray(
            cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), _LOWEST_SCORE, _NMS), np.int64
        ).reshape(-1)
        boxes = np.concatenate([rectangles[:, :2], rectangles[:, :2] + rectangles[:, 2:]], 1)[kept] / scale
        return Detections(
            boxes.astype(np.float32),
            scores[kept],
            (landmarks[kept] / scale).reshape(-1, 10).astype(np.float32),
        )

    return find
