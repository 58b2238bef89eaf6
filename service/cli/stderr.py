"""Lines that C libraries write to standard error become log lines, so that the log is what it says it is."""

import logging
import os
import threading
from typing import TextIO

__all__ = ["divert_stderr"]

logger = logging.getLogger(__name__)

_MAX_LINE = 1000


def divert_stderr() -> TextIO:
    """Log whatever is written to file descriptor 2 from now on.

    libjpeg, libpng and the like know nothing of our log and cannot be told.

    Returns:
        The real standard error, for the log's own handler.
    """
    real = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    threading.Thread(target=_log_lines, args=(reading,), name="stderr", daemon=True).start()
    return real


def _log_lines(reading: int) -> None:
    with os.fdopen(reading, errors="replace") as lines:
        for line in lines:
            if text := line.rstrip():
                logger.warning("%s", text[:_MAX_LINE])
