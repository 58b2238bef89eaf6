"""Tests of the Face API."""

import os

# Some tests load ONNX Runtime themselves; see service/detection/runtime.py.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
