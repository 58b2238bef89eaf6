"""Where results go: one output for each input, checked before any work, written whole or not at all."""

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from service.cli.files import PICTURE_SUFFIXES, STDIN, Discovery, Picture, identity, suffix_of
from service.schemas.parameters import ImageFormat

__all__ = ["STDOUT", "Refused", "Task", "check_outputs", "plan_outputs", "write_whole"]

STDOUT: Final = "-"

_SUFFIX: Final[dict[ImageFormat, str]] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
_SHOWN: Final = 3


class Refused(Exception):
    """Nothing was done, since the command as given cannot be carried out; the message says why."""


class Task(msgspec.Struct, frozen=True, gc=False):
    """One picture and where its result goes.

    Attributes:
        picture: The input.
        target: The output file, ``-`` for standard output, None for none.
        format: Its format; None for that of the input's bytes.
        exists: Whether the target is there already.
    """

    picture: Picture
    target: str | None = None
    format: ImageFormat | None = None
    exists: bool = False


def plan_outputs(
    found: Discovery, arguments: Sequence[str], output: str, wanted: ImageFormat | None
) -> list[Task]:
    """Name the output of each input.

    One file goes into the file `output`, or into it if it is a folder or ends with a slash; everything else goes
    into the folder `output`. The format is the wanted one, else what the name says, else JPEG.

    Raises:
        Refused: The output cannot be what it should, or two inputs have the same output.
    """
    if any(picture.source == STDIN for picture in found.pictures) and len(arguments) > 1:
        raise Refused("- (standard input) must be the only input")
    if found.single and output == STDOUT:
        return [Task(found.pictures[0], STDOUT, wanted)]
    if output == STDOUT:
        raise Refused("-o - (standard output) takes one picture; name a folder for several")
    into_folder = os.path.isdir(output) or output.endswith("/")
    if found.single and not into_folder:
        return [Task(found.pictures[0], output, _format_of_name(output, wanted))]
    if found.single and found.pictures[0].source == STDIN:
        raise Refused(f"{output} is a folder; standard input needs the name of a file, or -o -")
    if not into_folder and os.path.lexists(output):
        raise Refused(f"{output} is a file; several pictures need a folder")
    _refuse_own_folder(arguments, output)
    tasks: dict[str, Task] = {}
    for picture in found.pictures:
        task = _in_folder(picture, output, wanted)
        target = str(task.target)
        if (other := tasks.setdefault(target, task)) is not task and not _same(other.picture, picture):
            raise Refused(
                f"{other.picture.source} and {picture.source} would both become {target}; "
                "give them different names, or mask them into different folders"
            )
    return list(tasks.values())


def check_outputs(tasks: Sequence[Task], *, force: bool, resume: bool, remedy: str) -> list[Task]:
    """Look which outputs exist, and refuse what must not be overwritten.

    Args:
        tasks: From :func:`plan_outputs`.
        force: Whether existing outputs may be replaced.
        resume: Whether existing outputs are left as they are.
        remedy: What the user is told to do about existing outputs.

    Raises:
        Refused: An output is an input, is no regular file, or exists without `force` or `resume`.
    """
    checked = []
    existing: dict[tuple[int, int], str] = {}
    for task in tasks:
        status = None
        if task.target is not None and task.target != STDOUT:
            with suppress(OSError):
                status = os.lstat(task.target)
        if status is not None:
            target = str(task.target)
            if found := identity(target):
                existing[found] = target
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
                raise Refused(f"{target} exists and is not a file; it is not replaced")
            task = msgspec.structs.replace(task, exists=True)
        checked.append(task)
    _refuse_inputs(tasks, existing)
    there = [str(task.target) for task in checked if task.exists]
    if there and not (force or resume):
        raise Refused(f"{_some(there)} exist{'s' if len(there) == 1 else ''} already; {remedy}")
    return checked


def write_whole(target: str, data: bytes, *, overwrite: bool) -> None:
    """Write a file so that it appears complete or not at all; folders are made as needed.

    Raises:
        OSError: It cannot be written, or it exists and `overwrite` is off. Nothing is left behind.
    """
    folder = os.path.dirname(target) or os.curdir
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".face-api-{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _rename(temporary, target, overwrite=overwrite)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _rename(temporary: str, target: str, *, overwrite: bool) -> None:
    # Checked before the work already; somebody may have been quicker since.
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "the output exists by now", target)
    os.replace(temporary, target)


def _format_of_name(name: str, wanted: ImageFormat | None) -> ImageFormat | None:
    suffix = suffix_of(name)
    if suffix not in PICTURE_SUFFIXES:
        return wanted
    named = PICTURE_SUFFIXES[suffix]
    if named is None:
        raise Refused(f"{name}: {suffix} cannot be written; use .jpg, .png or .webp")
    if wanted not in (None, named):
        raise Refused(f"{name}: the suffix {suffix} contradicts --format {wanted}")
    return named


def _in_folder(picture: Picture, output: str, wanted: ImageFormat | None) -> Task:
    """The suffix stays where it tells the format that is written."""
    stem, suffix = os.path.splitext(picture.place)
    own = PICTURE_SUFFIXES.get(suffix.lower())
    written: ImageFormat = wanted or own or "jpeg"
    if suffix.lower() not in PICTURE_SUFFIXES:
        stem, suffix = picture.place, ""
    name = stem + (suffix if own == written else _SUFFIX[written])
    return Task(picture, os.path.join(output, name), written)


def _same(first: Picture, second: Picture) -> bool:
    try:
        return os.path.samefile(first.source, second.source)
    except OSError:
        return os.path.abspath(first.source) == os.path.abspath(second.source)


def _refuse_own_folder(arguments: Iterable[str], output: str) -> None:
    there = identity(output)
    for argument in arguments:
        if there is not None and os.path.isdir(argument) and identity(argument) == there:
            raise Refused(f"the output folder {output} is an input; choose another one")


def _refuse_inputs(tasks: Iterable[Task], existing: dict[tuple[int, int], str]) -> None:
    if not existing:
        return
    for task in tasks:
        source = task.picture.source
        found = identity(source) if source != STDIN else None
        if found is not None and (target := existing.get(found)):
            raise Refused(f"the output {target} is the input {source}; choose another place")


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
