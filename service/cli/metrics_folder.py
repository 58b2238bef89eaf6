"""The folder that lets several server processes count together; `service.metrics` must not be imported before it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from service.errors import SettingsError
from service.settings import Settings, variable_name

__all__ = ["FOLDER_VARIABLE", "metrics_folder"]

# What prometheus_client looks for.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_LOCK = "lock"


@contextmanager
def metrics_folder(settings: Settings) -> Iterator[None]:
    """Name a new and empty folder to the server processes started inside; with one process, none.

    Each run has its own, so that two services may share a data folder. What runs left behind that were killed is
    removed.

    Raises:
        SettingsError: The data folder cannot be written.
    """
    # Also one that somebody else has set: its figures would be added to ours.
    os.environ.pop(FOLDER_VARIABLE, None)
    if settings.workers == 1:
        yield
        return
    parent = Path(settings.data_dir).resolve() / "metrics"
    try:
        parent.mkdir(exist_ok=True)
        # Until it is locked, a new folder looks like an abandoned one to others that start.
        with (parent / _LOCK).open("w") as one_at_a_time:
            _hold(one_at_a_time, wait=True)
            _remove_abandoned(parent)
            folder = Path(tempfile.mkdtemp(dir=parent))
            lock = (folder / _LOCK).open("w")
            _hold(lock)
    except OSError as error:
        raise SettingsError(
            f"{variable_name('data_dir')}={settings.data_dir}: cannot be written: {error.strerror}"
        ) from error
    with lock:
        os.environ[FOLDER_VARIABLE] = str(folder)
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.iterdir():
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            if _hold(lock):
                shutil.rmtree(folder, ignore_errors=True)


def _hold(lock: IO[str], *, wait: bool = False) -> bool:
    """Lock a file until it is closed, in this process and those forked from it; False if somebody else holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: nothing is removed.
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
