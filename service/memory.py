"""What the C library does with the memory of pictures once they are done."""

import ctypes
import os
from typing import Final

__all__ = ["MMAP_THRESHOLD", "give_back_memory"]

# glibc's <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

# The pixels of a picture of 1920 x 1080 (6.2 MB) stay on the heap and are used again without a page fault; those of
# larger ones are mapped one by one, and go back to the system at once.
MMAP_THRESHOLD: Final = 8 * 2**20
# Free memory at the end of a heap that is kept for the next picture.
_TRIM_THRESHOLD: Final = 4 * MMAP_THRESHOLD
# Heaps; with one for each thread each keeps what the largest of its pictures took.
_ARENAS: Final = 2

_OWN_VARIABLES: Final = (
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
)


def give_back_memory() -> bool:
    """Let the memory of large pictures go back to the system when they are freed.

    By default glibc raises its threshold with every large block that is freed, up to 32 MiB, so that pictures of
    some megapixels come to lie on the heaps of the threads and stay there in part. See docs/performance.md.

    Returns:
        Whether it is set: not with another C library, nor where the environment has settings of its own.
    """
    if any(name in os.environ for name in _OWN_VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    options = {
        _M_MMAP_THRESHOLD: MMAP_THRESHOLD,
        _M_TRIM_THRESHOLD: _TRIM_THRESHOLD,
        _M_ARENA_MAX: _ARENAS,
    }
    return all(mallopt(option, value) for option, value in options.items())
