"""Which suites there are, and running one in a process of its own."""

import importlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from bench.plan import Plan
from bench.report import Row

__all__ = ["SUITES", "measure"]

SUITES = {
    "kernels": "bench.kernels",
    "detector": "bench.detector",
    "mask": "bench.mask",
    "http": "bench.http",
    "startup": "bench.startup",
    "memory": "bench.memory",
    "storage": "bench.storage",
}
"""Suite to module; each has ``run(plan: Plan) -> list[Row]`` and is imported only when asked for."""


def measure(suite: str, plan: Plan) -> list[Row]:
    """Run a suite, once, in a process of its own: what one leaves in the allocator changes what the next measures."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run, suite, plan).result()


def _run(suite: str, plan: Plan) -> list[Row]:
    run: Callable[[Plan], list[Row]] = importlib.import_module(SUITES[suite]).run
    return run(plan)
