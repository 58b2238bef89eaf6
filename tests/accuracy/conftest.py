"""Photographs and models: from FACE_API_TEST_SHARED, or the folder `shared` beside the project."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from service.detection.detector import Detector
from service.detection.registry import BUNDLED_DIR, ModelFile
from service.pipeline import Pipeline
from tests.accuracy.independent import IndependentScrfd

Photograph = Callable[[str], bytes]
Models = Callable[[str], tuple[Pipeline, IndependentScrfd]]

SHARED = Path(os.environ.get("FACE_API_TEST_SHARED") or Path(__file__).resolve().parents[3] / "shared")


def existing(path: Path) -> Path:
    """The path, or a skip that says what is missing."""
    if not path.is_file():
        pytest.skip(
            f"{path.parent.name}/{path.name} is missing; set FACE_API_TEST_SHARED to the folder of both"
        )
    return path


@pytest.fixture(scope="session")
def photograph() -> Photograph:
    """Bytes of a photograph by its name."""

    @cache
    def read(name: str) -> bytes:
        return existing(SHARED / "photos" / f"{name}.jpg").read_bytes()

    return read


@pytest.fixture(scope="session")
def models() -> Models:
    """Our pipeline and the independent implementation, for a model by its name."""

    @cache
    def load(name: str) -> tuple[Pipeline, IndependentScrfd]:
        bundled = BUNDLED_DIR / f"{name}.onnx"
        path = bundled if bundled.is_file() else existing(SHARED / "models" / f"{name}.onnx")
        detector = Detector(ModelFile(name, path, None), det_size=640, threads=2)
        return Pipeline(detector, max_pixels=100_000_000), IndependentScrfd(path)

    return load
