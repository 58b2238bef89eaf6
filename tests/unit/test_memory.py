"""What glibc does with large blocks once a server process has begun."""

import ctypes
import os
import subprocess
import sys

import pytest

from service.memory import MMAP_THRESHOLD

# Prints how many bytes are mapped for a block just under the threshold and one just over it, after one of 24 MiB has
# been freed, which moves the threshold where it is left alone.
PROBE = f"""
import ctypes

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def mapped_for(size):
    # The last of six: those before it take what is free on the heap.
    blocks = [libc.malloc(size) for _ in range(5)]
    before = libc.mallinfo2().hblkhd
    blocks.append(libc.malloc(size))
    after = libc.mallinfo2().hblkhd
    for block in blocks:
        libc.free(block)
    return after - before

mapped_for(24 * 2**20)
print("mapped", mapped_for({MMAP_THRESHOLD} - 2**20), mapped_for({MMAP_THRESHOLD} + 2**20))
"""
BEGIN = "from service.memory import give_back_memory; print(give_back_memory())"
WORKER = "from service.cli.worker import build_app; build_app()"

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc")


def mapped(begin: str, **environment: str) -> tuple[int, int]:
    """Run `begin` and then the probe in a process of its own."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("FACE_API_", "MALLOC_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{begin}\n{PROBE}"],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("mapped")]
    _, under, over = line.split()
    return int(under), int(over)


@glibc
def test_large_blocks_are_mapped_and_smaller_ones_are_not() -> None:
    under, over = mapped(BEGIN)
    assert under == 0
    assert over > MMAP_THRESHOLD


@glibc
def test_without_it_the_threshold_moves() -> None:
    assert mapped("") == (0, 0)


@glibc
def test_settings_of_the_environment_win() -> None:
    under, _ = mapped(BEGIN, MALLOC_MMAP_THRESHOLD_="1048576")
    assert under >= MMAP_THRESHOLD - 2**20


@glibc
def test_every_server_process_sets_it(tmp_path: os.PathLike[str]) -> None:
    under, over = mapped(WORKER, FACE_API_DATA_DIR=str(tmp_path), FACE_API_API_KEY_ENABLED="false")
    assert under == 0
    assert over > MMAP_THRESHOLD


def test_the_collector_does_not_look_through_what_the_start_has_made(tmp_path: os.PathLike[str]) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}
    done = subprocess.run(
        [sys.executable, "-c", f"{WORKER}; import gc; print('gc', gc.isenabled(), gc.get_freeze_count())"],
        env=clean | {"FACE_API_DATA_DIR": str(tmp_path), "FACE_API_API_KEY_ENABLED": "false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("gc")]
    _, enabled, frozen = line.split()
    assert enabled == "True"
    assert int(frozen) > 20_000
