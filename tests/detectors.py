"""Detectors of made-up models, and what they find."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.detection.registry import ModelFile
from service.errors import ModelError

__all__ = ["CELLS", "find", "load", "refusal"]

CELLS = [(5, 4), (20, 10), (70, 30)]


def load(path: Path, det_size: int = 640, **options: Any) -> Detector:
    """A detector of the model in a file."""
    return Detector(ModelFile("test", path, None), det_size=det_size, **options)


def find(detector: Detector, picture: npt.NDArray[np.uint8], **options: Any) -> FacesFound:
    """What it finds in a picture, by the usual thresholds."""
    height, width = picture.shape[:2]
    chosen = DetectionOptions(**{"confidence": 0.5, "nms_threshold": 0.4, **options})
    return detector.detect(picture, width, height, chosen)


def refusal(make: Callable[[], object]) -> str:
    """Return why a model is refused, in one line."""
    with pytest.raises(ModelError) as caught:
        make()
    assert "\n" not in caught.value.detail
    return caught.value.detail
