"""Whether a disk has room, and what the operating system says when it has none."""

import errno
import os
from pathlib import Path
from typing import Final

__all__ = ["NO_ROOM", "has_room", "no_room"]

NO_ROOM: Final = "the disk of the data folder is full"

# SQLite alone needs some ten kB before it can read.
_SPARE_BYTES: Final = 2**20


def no_room(error: BaseException) -> bool:
    """Whether something could not be written for want of room, on the disk or within a user's quota."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def has_room(folder: Path) -> bool:
    """Whether the disk of a folder has 1 MiB left.

    Raises:
        OSError: There is no such folder.
    """
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize >= _SPARE_BYTES
