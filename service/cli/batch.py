"""Work on many pictures at once, in order, within bounds, and stopped cleanly by a signal."""

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from types import FrameType
from typing import Any, Final, Self, TypeVar

__all__ = ["Interruption", "run_in_order"]

T = TypeVar("T")
R = TypeVar("R")

# Results come in the order of the inputs, so a slow picture holds up those behind it: this many for each thread may
# be ready or under way. More costs no pixels, only the faces that were found.
_AHEAD: Final = 4
# How late a signal may be noticed.
_POLL_SECONDS: Final = 0.1


class Interruption:
    """SIGINT, SIGTERM and SIGHUP are noted, so that pictures under way are finished; a second one ends the process.

    A signal that is ignored (as under nohup) stays ignored.

    Attributes:
        number: The signal that came; None as long as none did.
    """

    def __init__(self) -> None:
        """Nothing is changed before the context is entered."""
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """What shells report for a process that the signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.number or 0)

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)


def run_in_order(
    items: Iterable[T], work: Callable[[T], R], jobs: int, interruption: Interruption
) -> Generator[R, None, None]:
    """Do `work` on each item in `jobs` threads and yield the results in the order of the items.

    After a signal no item is begun; the results of those under way are still yielded. Close the iterator when it is
    left early.

    Args:
        items: Taken one by one, as threads get free.
        work: Called in a thread; what it raises is raised here.
        jobs: Number of threads.
        interruption: Entered by the caller.
    """
    remaining = iter(items)
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="picture")
    try:
        pending.extend(pool.submit(work, item) for item in islice(remaining, _AHEAD * jobs))
        while pending and interruption.number is None:
            if not wait((pending[0],), _POLL_SECONDS).done:
                continue
            result = pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(remaining, 1))
            yield result
        for future in pending:
            future.cancel()
        while pending:
            if not (future := pending.popleft()).cancelled():
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
