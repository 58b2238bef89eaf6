"""The outcomes of earlier trials on disk, and the lock that lets one process try while the others wait for it."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from service.detection.execution import Execution

__all__ = ["TrialStore", "cpu_identity"]

# Far longer than a trial; whoever waits longer tries by itself.
_LOCK_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


class _Kept(msgspec.Struct, frozen=True):
    """What a file holds: the facts for whoever reads it, and the outcome."""

    facts: dict[str, str]
    execution: Execution


class TrialStore:
    """A folder of outcomes, one JSON file for each set of facts. Nothing here ever stops a start."""

    def __init__(self, folder: Path | None) -> None:
        """Use `folder`, which need not exist; None keeps nothing."""
        self._folder = folder

    def load(self, facts: Mapping[str, str]) -> Execution | None:
        """The outcome under these facts; None if there is none, or its file cannot be read."""
        if (path := self._path(facts)) is None:
            return None
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return kept.execution if kept.facts == dict(facts) else None

    def save(self, facts: Mapping[str, str], execution: Execution) -> None:
        """Keep an outcome, whole or not at all; a folder that cannot be written keeps none."""
        if (path := self._path(facts)) is None:
            return
        fresh = path.with_suffix(f".{os.getpid()}.new")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                fresh.write_bytes(
                    msgspec.json.format(msgspec.json.encode(_Kept(dict(facts), execution)), indent=2)
                )
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Wait until no other process tries; without a folder, or where it cannot be locked, go on at once."""
        file = self._lock()
        if file is None:
            yield
            return
        # Closing it lets go.
        with file:
            yield

    def _lock(self) -> IO[str] | None:
        if self._folder is None:
            return None
        try:
            import fcntl
        except ImportError:  # Windows: two may try at once, and the last one's outcome is kept
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / "lock").open("w")
        except OSError:
            return None
        deadline = time.monotonic() + _LOCK_SECONDS
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_POLL_SECONDS)
            except OSError:  # a file system without locks
                break
            else:
                return file
        file.close()
        return None

    def _path(self, facts: Mapping[str, str]) -> Path | None:
        if self._folder is None:
            return None
        digest = hashlib.sha256(msgspec.json.encode(dict(sorted(facts.items())))).hexdigest()
        return self._folder / f"{digest[:32]}.json"


def cpu_identity() -> str:
    """Model and abilities of the CPU as the system tells them; what it does not tell is left out."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        import platform

        return platform.processor() or platform.machine()
    # Of the first core.
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    known = {key.strip(): value.strip() for key, value in lines.items()}
    abilities = known.get("flags") or known.get("Features") or ""
    name = known.get("model name") or known.get("CPU part") or ""
    return f"{name} {hashlib.sha256(abilities.encode()).hexdigest()[:16]}".strip()
