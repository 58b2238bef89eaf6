"""What a person sees of a batch, on standard error: progress, failures as they happen, a summary."""

import os
import sys
import time
from contextlib import ExitStack
from typing import Self

import rich_click as click

from service.ranges import shorten

__all__ = ["Screen", "Tally", "printable"]


class Tally:
    """Counts of a batch.

    Attributes:
        total: Pictures to work on.
        done: Pictures worked on.
        faces: Faces found in them.
        faceless: Those without a face.
        failed: Inputs that failed.
        existing: Outputs that were there already.
        skipped: Other files in the folders.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.total = self.done = self.faces = self.faceless = self.failed = self.existing = self.skipped = 0

    def count(self, faces: int) -> None:
        """Count a picture and its faces."""
        self.done += 1
        self.faces += faces
        self.faceless += not faces

    def summary(self, verb: str, seconds: float, *, interrupted: bool) -> str:
        """The last line, in words.

        Args:
            verb: What was done to the pictures.
            seconds: How long it took.
            interrupted: Whether a signal cut it short.
        """
        rate = (
            f" in {seconds:.1f} s, {self.done / seconds:.1f} pictures/s" if self.done and seconds > 0 else ""
        )
        parts = [f"{_counted(self.done, 'picture')} {verb}, {_counted(self.faces, 'face')}{rate}"]
        if self.faceless:
            parts.append(f"{self.faceless} without a face")
        if self.existing:
            parts.append(f"{self.existing} there already")
        if self.skipped:
            parts.append(f"{_counted(self.skipped, 'other file')} skipped")
        parts.append(f"{self.failed} failed")
        if interrupted:
            parts.append(f"interrupted, {max(0, self.total - self.done - self.failed)} left")
        return "; ".join(parts)


class Screen:
    """Progress at a terminal, failures and the summary anywhere."""

    def __init__(self, total: int, *, quiet: bool, progress: bool = True) -> None:
        """Show nothing yet.

        Args:
            total: Pictures to come.
            quiet: Only failures are shown.
            progress: Whether a progress bar is wanted, at a terminal.
        """
        self._total = total
        self._quiet = quiet
        self._wanted = progress and not quiet and total > 1 and sys.stderr.isatty()
        self._stack = ExitStack()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._wanted:
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar = self._progress.add_task("", total=self._total, rate="")
        self._stack.enter_context(self._progress)

    def advance(self, count: int) -> None:
        """Say that `count` pictures are through."""
        if self._wanted:
            seconds = time.monotonic() - self._started
            self._progress.update(self._bar, completed=count, rate=f"{count / max(seconds, 0.001):.1f}/s")

    def failure(self, path: str, why: str) -> None:
        """Show a failure."""
        line = f"face-api: {printable(path)}: {why}"
        if self._wanted:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=True)

    def note(self, line: str) -> None:
        """Show a line unless quiet."""
        if not self._quiet:
            click.echo(line, err=True)

    def summary(self, tally: Tally, verb: str, *, interrupted: bool) -> None:
        """Show what was done, unless quiet."""
        self._stack.close()
        self._wanted = False
        self.note(tally.summary(verb, time.monotonic() - self._started, interrupted=interrupted))


def printable(path: str) -> str:
    """A path for a terminal: control characters and what is no UTF-8 escaped."""
    return shorten(os.fsencode(path).decode("utf-8", "backslashreplace"), 4096)


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
