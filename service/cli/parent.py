"""The main process and its server processes: who hears which signal, and that none outlives the main one."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVarTuple

__all__ = [
    "GRACE_SECONDS",
    "excuse_told_processes",
    "follow_parent",
    "guard_forks",
    "leave_signals",
    "listen_to_signals",
]

# Requests in flight get this long after SIGTERM.
GRACE_SECONDS: Final = 30

_POLL_SECONDS: Final = 0.5
_HEARSAY_SECONDS: Final = 1.0
"""How much later than the others the main process may hear a signal that goes to all."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_Ts = TypeVarTuple("_Ts")

logger = logging.getLogger(__name__)


def listen_to_signals() -> None:
    """Unblock the signals that end or replace the server's processes.

    What started us may have blocked them for itself, and a mask is inherited: they would wait for ever.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_SIGNALS, signal.SIGHUP))


def leave_signals() -> None:
    """Leave them to the main thread, which sleeps on if another one gets them."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, (*_SIGNALS, signal.SIGHUP))


def guard_forks() -> None:
    """Let every process forked from now on end on SIGTERM from its first moment.

    It begins with its parent's handlers, which would swallow the one SIGTERM that it gets; the parent would then wait
    out the whole time that requests have to finish. Where processes are not forked there is nothing to do.
    """
    if hasattr(os, "register_at_fork"):
        # Blocked in between: what comes before the child has set its own handling then waits for it.
        os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_begin)


def excuse_told_processes(server: Any) -> None:
    """Let a server process that was told to end not count as failed when the main process is told, too.

    A supervisor that sends SIGTERM to all of them, as systemd does, may be heard by the others first; granian would
    call their end unexpected, and end with status 1.

    Args:
        server: granian's, before it serves.
    """
    spawn = server._spawn_worker  # granian has no hook for it

    def spawn_excused(*args: Any, **kwargs: Any) -> Any:
        worker = spawn(*args, **kwargs)
        judge = worker._watcher

        def watcher() -> None:
            leave_signals()
            worker.inner.join()
            if worker.inner.exitcode in {0, -signal.SIGTERM} and _told(server):
                worker.interrupt_by_parent = True
            judge()

        worker._watcher = watcher
        return worker

    server._spawn_worker = spawn_excused


def _told(server: Any) -> bool:
    """Whether granian's main process has been told to end, or is within a moment."""
    server.main_loop_interrupt.wait(_HEARSAY_SECONDS)
    return bool(server.interrupt_signal)


def follow_parent() -> None:
    """Begin as a server process: take signals, and end when the parent is gone, killed perhaps.

    Does nothing outside a process of :mod:`multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return
    _take_signals()
    _hear_once(asyncio.get_event_loop())
    threading.Thread(target=_end_after, args=(parent.pid,), name="parent", daemon=True).start()


def _take_signals() -> None:
    """The handling until the server sets its own."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # From a terminal it goes to every process at once; the parent is the one to act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _hear_once(loop: asyncio.AbstractEventLoop) -> None:
    """Let the handlers that are added to the loop run once, and none for SIGINT.

    granian's handler, called again before its server is up, would wait for ever for that server, and the loop with it.
    A Ctrl-C reaches a server process twice, from the terminal and as the parent's SIGTERM; so does the SIGTERM of a
    supervisor that sends it to all of them.
    """
    add = loop.add_signal_handler

    def add_once(sig: int, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        told = False

        def once() -> None:
            nonlocal told
            if not told:
                told = True
                callback(*args)

        if sig != signal.SIGINT:
            add(sig, once)

    loop.add_signal_handler = add_once  # type: ignore[method-assign]  # of this loop only


def _begin() -> None:
    _take_signals()
    _unblock()


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    logger.error("the main process is gone: this one finishes what it has begun and ends")
    os.kill(os.getpid(), signal.SIGTERM)
    # Nobody else is left to lose patience.
    time.sleep(GRACE_SECONDS)
    os._exit(1)
