"""Benchmarks: ``python -m bench SUITE…``. The method stands in bench/README.md."""

import os
import sys
from pathlib import Path
from typing import Final

__all__ = ["CONTENDERS"]

# Contenders load ONNX Runtime themselves; see service/detection/runtime.py.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

CONTENDERS: Final = Path(sys.prefix) / "contenders"
"""Where ``make bench`` installs what the service is compared with, apart from the service's own packages."""
