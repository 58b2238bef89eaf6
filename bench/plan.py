"""What a run is to measure, and on what machine."""

from pathlib import Path
from typing import Final

import msgspec

from service.detection.registry import ModelFile

__all__ = ["NMS_THRESHOLD", "SIDE", "THRESHOLD", "Plan", "cpu_has"]

SIDE: Final = 640
THRESHOLD: Final = 0.5
NMS_THRESHOLD: Final = 0.4


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        model: The detector that all contenders load.
        folder: For the pictures that the run draws, and whatever else it writes.
        quick: Fewer rounds, and only contenders that ``make install`` brings.
        threads: Threads of one inference, where contenders share a number: all cores of the machine.
        svg: Where the http suite draws its latencies; None for nowhere.
    """

    model: ModelFile
    folder: Path
    quick: bool
    threads: int
    svg: Path | None = None


def cpu_has(*features: str) -> bool:
    """Whether the processor has all these features, by their names in ``/proc/cpuinfo``."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next(
        (line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), []
    )
    return set(features) <= set(flags)
