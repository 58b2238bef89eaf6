"""A contender in a process of its own that measures on command, so that contenders can take turns."""

import contextlib
import gc
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import CONTENDERS

__all__ = ["Call", "Done", "Factory", "Timing", "processor_ms_together", "take_turns"]

_SPAWN: Final = multiprocessing.get_context("spawn")
_TURN_SECONDS: Final = 0.1
_FEWEST_ROUNDS: Final = 7


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a call may return.

    Attributes:
        faces: Faces found; None where nothing was looked for.
        not_counted: Seconds of the call that are not to be counted.
        note: What the table is to say about the contender.
    """

    faces: int | None = None
    not_counted: float = 0.0
    note: str | None = None


Call = Callable[[], object]
Factory = Callable[[], Call]
"""Makes the call that is measured, in the contender's process; must pickle (``functools.partial`` of a function)."""


class _Turn(msgspec.Struct, frozen=True):
    seconds: list[float]
    cpu_seconds: float


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a contender needed.

    Attributes:
        median_ms: Median of one call, ms.
        low_ms: First quartile, ms.
        high_ms: Third quartile, ms.
        cpu_ms: Processor time of one call in all threads, mean, ms.
        peak_mb: Most memory that the process ever held, MB; None where the system does not say.
        faces: Faces found; None where nothing was looked for.
        note: What the contender says of itself.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    cpu_ms: float
    peak_mb: float | None
    faces: int | None
    note: str | None = None


class _Worker:
    """The parent's end of a contender."""

    def __init__(self, factory: Factory) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, factory), daemon=True)
        self._process.start()
        theirs.close()
        self.first: Done = self._answer()
        # As many calls a turn as make it worth the switch.
        once = statistics.median(self.turn(3).seconds)
        self.calls = max(1, min(500, round(_TURN_SECONDS / max(once, 1e-6))))

    def turn(self, calls: int) -> _Turn:
        """Let it make so many timed calls."""
        self._pipe.send(calls)
        turn: _Turn = self._answer()
        return turn

    def close(self) -> float | None:
        """End it; gives its peak memory, MB."""
        self._pipe.send(None)
        peak: float | None = self._answer()
        self._process.join()
        return peak

    def stop(self) -> None:
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a contender's process ended") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def take_turns(contenders: Mapping[str, Factory], seconds: float) -> dict[str, Timing]:
    """Measure contenders in turns, A B A B, each in a process of its own.

    Args:
        contenders: Name to factory.
        seconds: Time to spend for each, about; at least seven rounds are made.

    Raises:
        RuntimeError: A contender failed.
    """
    with contextlib.ExitStack() as stack:
        workers: dict[str, _Worker] = {}
        for name, factory in contenders.items():
            workers[name] = _Worker(factory)
            stack.callback(workers[name].stop)
        turns: dict[str, list[_Turn]] = {name: [] for name in workers}
        end = time.perf_counter() + seconds * len(workers)
        rounds = 0
        while rounds < _FEWEST_ROUNDS or time.perf_counter() < end:
            rounds += 1
            for name, worker in workers.items():
                turns[name].append(worker.turn(worker.calls))
        return {name: _timing(turns[name], worker.first, worker.close()) for name, worker in workers.items()}


def processor_ms_together(factory: Factory, count: int, seconds: float) -> float:
    """Processor time of one call, mean, ms, while so many processes make it at the same time.

    They share the memory and the last cache, so that it is more than one by itself takes.

    Args:
        factory: The contender.
        count: Processes.
        seconds: Time to spend, about.

    Raises:
        RuntimeError: The contender failed.
    """
    with contextlib.ExitStack() as stack:
        workers = [_Worker(factory) for _ in range(count)]
        for worker in workers:
            stack.callback(worker.stop)
        pool = stack.enter_context(ThreadPoolExecutor(count))
        turns: list[_Turn] = []
        end = time.perf_counter() + seconds
        while not turns or time.perf_counter() < end:
            turns += pool.map(lambda worker: worker.turn(worker.calls), workers)
        for worker in workers:
            worker.close()
    return sum(turn.cpu_seconds for turn in turns) / sum(len(turn.seconds) for turn in turns) * 1e3


def _timing(turns: list[_Turn], first: Done, peak: float | None) -> Timing:
    times = [seconds * 1e3 for turn in turns for seconds in turn.seconds]
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    cpu = sum(turn.cpu_seconds for turn in turns) / len(times) * 1e3
    return Timing(
        median_ms=median,
        low_ms=low,
        high_ms=high,
        cpu_ms=cpu,
        peak_mb=peak,
        faces=first.faces,
        note=first.note,
    )


def _serve(pipe: Connection, factory: Factory) -> None:
    """The contender's process: build, then measure as told."""
    # Contenders print; that belongs to no table.
    os.dup2(2, 1)
    sys.path.insert(0, str(CONTENDERS))
    try:
        call = factory()
        result = call()
        call()
        pipe.send(result if isinstance(result, Done) else Done())
        gc.collect()
        gc.disable()
        for calls in _commands(pipe):
            pipe.send(_turn(call, calls))
        pipe.send(_peak_mb())
    except Exception as error:  # noqa: BLE001  # the parent raises it again
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _commands(pipe: Connection) -> Iterator[int]:
    while (calls := pipe.recv()) is not None:
        yield calls


def _turn(call: Call, calls: int) -> _Turn:
    call()  # not timed: the other contenders have just had the caches
    seconds = []
    cpu_started = time.process_time()
    for _ in range(calls):
        started = time.perf_counter()
        result = call()
        took = time.perf_counter() - started
        seconds.append(took - result.not_counted if isinstance(result, Done) else took)
    return _Turn(seconds, time.process_time() - cpu_started)


def _peak_mb() -> float | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1000 * 1.024, 1)
    return None
