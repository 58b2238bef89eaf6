"""Nothing of what is installed reports to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.detection.providers import usable_providers
from tests.server import ROOT

# What a process does that finds faces.
_SCRIPT = """
import numpy as np
from service.detection.detector import DetectionOptions
from service.detection.loading import load_detector
from service.settings import load_settings

detector = load_detector(load_settings({"FACE_API_EXECUTION_PROVIDER": "WHICH"}), remember=False)
options = DetectionOptions(confidence=0.5, nms_threshold=0.4)
detector.detect(np.zeros((240, 320, 3), np.uint8), 320, 240, options)
"""


def run(home: Path, script: str) -> None:
    # In CI the runtime's telemetry is off anyway: this has to look like a user's machine.
    hidden = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=home, check=True, timeout=60)


@pytest.mark.parametrize("provider", ["auto", *usable_providers()])
def test_the_runtime_keeps_no_record_of_its_use(provider: str, tmp_path: Path) -> None:
    run(tmp_path, _SCRIPT.replace("WHICH", provider))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_this_would_be_seen(tmp_path: Path) -> None:
    """The runtime as it comes does keep one; should that end, the test above says nothing any more."""
    model = ROOT / "service/detection/bundled/scrfd_free.onnx"
    run(tmp_path, f"import onnxruntime; onnxruntime.InferenceSession({str(model)!r})")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()]
