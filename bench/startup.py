"""From the command to "ready", against importing the three largest libraries and nothing else."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Final

from bench.plan import Plan
from bench.report import Row, Target, reference
from bench.report import judged as judged_row
from bench.servers import service
from bench.worker import Timing

__all__ = ["run"]

SUITE: Final = "startup"


def run(plan: Plan) -> list[Row]:
    """Run the suite; about half a minute."""
    case = "start to ready, at most 2 x the imports"
    with tempfile.TemporaryDirectory() as folder:
        contenders: dict[str, Callable[[], float]] = {
            "import onnxruntime, cv2, litestar": _imports,
            "service, data folder kept": lambda: _start(plan, folder),
            "service, first start": lambda: _start(plan, None),
        }
        for call in contenders.values():  # warm-up: the files in memory, the database made
            call()
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(5 if plan.quick else 9):
            for name, call in contenders.items():
                times[name].append(call())
    timings = {name: _timing(each) for name, each in times.items()}
    imports, kept, first = timings.values()
    names = list(timings)
    target = Target(
        0.5, floor=0.25, reason="The database is opened, the model is tried and the console is built"
    )
    return [
        reference(SUITE, case, names[0], imports),
        judged_row(SUITE, case, names[1], kept, imports, target),
        judged_row(SUITE, case, names[2], first, imports, None),
    ]


def _imports() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import onnxruntime, cv2, litestar"], check=True)
    return time.perf_counter() - started


def _start(plan: Plan, folder: str | None) -> float:
    started = time.perf_counter()
    settings = {"API_KEY_ENABLED": "true"} | ({} if folder is None else {"DATA_DIR": folder})
    with service(plan, **settings):
        return time.perf_counter() - started


def _timing(seconds: list[float]) -> Timing:
    low, median, high = (value * 1e3 for value in statistics.quantiles(seconds, n=4, method="inclusive"))
    return Timing(median_ms=median, low_ms=low, high_ms=high, cpu_ms=0.0, peak_mb=None, faces=None)
