"""Which pictures are meant: files, folders and patterns become a list."""

import fnmatch
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from service.schemas.parameters import ImageFormat

__all__ = [
    "PICTURE_SUFFIXES",
    "STDIN",
    "Discovery",
    "Picture",
    "discover",
    "identity",
    "read_picture",
    "reason",
    "suffix_of",
]

STDIN: Final = "-"

# Suffix: the format to write it in; None for those that cannot be written, or not even be read. The latter are
# tried all the same: a photograph that stays unmasked must not go by in silence.
PICTURE_SUFFIXES: Final[dict[str, ImageFormat | None]] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".webp": "webp",
    **dict.fromkeys((".bmp", ".dib", ".tif", ".tiff")),
    **dict.fromkeys((".heic", ".heif", ".avif", ".gif", ".jxl", ".jp2")),
}

_MAGIC: Final = frozenset("*?[")


class Picture(msgspec.Struct, frozen=True, gc=False):
    """One input.

    Attributes:
        source: The file, or ``-``.
        place: Where its result stands under an output folder, with the source's own suffix.
        named: Whether the user named this very file.
    """

    source: str
    place: str
    named: bool = False


class Discovery:
    """What the arguments came to.

    Attributes:
        pictures: The inputs, in order.
        failures: What could not be looked at: path and reason.
        skipped: Files in folders that are no pictures by their suffix, hidden files and linked folders.
        single: Whether one file or standard input was asked for, so that the output is a file too.
    """

    def __init__(self, *, single: bool) -> None:
        """Start empty."""
        self.pictures: list[Picture] = []
        self.failures: list[tuple[str, str]] = []
        self.skipped = 0
        self.single = single

    def add(self, source: str, place: str) -> None:
        """Take a file found in a folder or by a pattern, if it is a picture by its suffix."""
        if is_hidden(source) or suffix_of(source) not in PICTURE_SUFFIXES:
            self.skipped += 1
        else:
            self.pictures.append(Picture(source, place))

    def fail(self, error: OSError, path: str) -> None:
        """Take down what could not be read."""
        self.failures.append((path, reason(error)))


def discover(arguments: Iterable[str], output: str | None = None) -> Discovery:
    """List the pictures that the arguments mean.

    A folder alone gives its content; of several arguments each folder keeps its name. A pattern gives what follows
    its part without wildcards. Hidden files, and links to folders that are not named themselves, are left out.

    Args:
        arguments: Files, folders, patterns with ``*``, ``?``, ``[…]`` or ``**``, or ``-``.
        output: The output folder, whose content is no input although it may lie inside one.
    """
    arguments = list(arguments)
    alone = len(arguments) == 1
    found = Discovery(single=False)
    walk = _Walk(found, identity(output) if output else None)
    for argument in arguments:
        if argument == STDIN:
            found.pictures.append(Picture(STDIN, STDIN, named=True))
            found.single = alone
        elif os.path.isdir(argument):
            name = "" if alone else os.path.basename(os.path.abspath(argument))
            walk.folder(argument, name)
        elif _MAGIC & set(argument) and not os.path.lexists(argument):
            walk.pattern(argument)
        else:
            found.pictures.append(Picture(argument, os.path.basename(argument), named=True))
            found.single = alone
    return found


def read_picture(picture: Picture, max_bytes: int) -> bytes | None:
    """Read a picture's file; None if it is larger than allowed.

    Raises:
        OSError: It cannot be read.
    """
    # A pipe that somebody named is waited for; one that lies in a folder would be waited for without end.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | (0 if picture.named else getattr(os, "O_NONBLOCK", 0))
    with open(os.open(picture.source, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not picture.named and not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_size > max_bytes:
            return None
        data = file.read(max_bytes + 1)
    return None if len(data) > max_bytes else data


def reason(error: OSError) -> str:
    """Why the operating system refused, without the path."""
    return error.strerror or str(error)


def suffix_of(path: str) -> str:
    """The suffix in small letters, with its dot."""
    return os.path.splitext(path)[1].lower()


def is_hidden(path: str) -> bool:
    """Whether a file or folder is hidden by its name."""
    return os.path.basename(path).startswith(".")


def identity(path: str) -> tuple[int, int] | None:
    """Device and number of what a path leads to; None if there is nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Walk:
    """Walks folders and patterns; links to folders are not followed, so that no circle is possible."""

    def __init__(self, found: Discovery, excluded: tuple[int, int] | None) -> None:
        self._found = found
        self._excluded = excluded

    def folder(self, folder: str, place: str) -> None:
        """Take all pictures of a folder and the folders in it."""
        waiting = [(folder, place)]
        while waiting:
            folder, place = waiting.pop()
            inside = []
            for entry in self._entries(folder):
                there = os.path.join(place, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if is_hidden(entry.name):
                        self._found.skipped += 1
                    elif not self._is_output(entry):
                        inside.append((entry.path, there))
                elif _is_linked_folder(entry):
                    self._found.skipped += 1
                else:
                    self._found.add(entry.path, there)
            waiting += reversed(inside)

    def pattern(self, pattern: str) -> None:
        """Take all pictures that match a pattern; folders that match are walked."""
        parts = pattern.split(os.sep)
        fixed = next(index for index, part in enumerate(parts) if _MAGIC & set(part))
        root = os.sep.join(parts[:fixed])
        base = root or (os.sep if fixed else "")
        tail = [part for part in parts[fixed:] if part]
        seen: set[str] = set()
        for path in self._matches(base, tail):
            if path in seen:
                continue
            seen.add(path)
            place = os.path.relpath(path, base or os.curdir)
            if not os.path.isdir(path):
                self._found.add(path, place)
            elif os.path.islink(path):
                self._found.skipped += 1
            elif "**" not in tail:
                self.folder(path, place)
        if not seen:
            self._found.failures.append((pattern, "no file matches"))

    def _matches(self, folder: str, parts: list[str]) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        if head == "**":
            yield from self._matches(folder, rest or ["*"])
            for entry in self._entries(folder or os.curdir):
                visible = not is_hidden(entry.name) and not self._is_output(entry)
                if visible and entry.is_dir(follow_symlinks=False):
                    yield from self._matches(os.path.join(folder, entry.name), parts)
        elif glob.has_magic(head):
            for entry in self._entries(folder or os.curdir):
                hidden = is_hidden(entry.name) and not head.startswith(".")
                if hidden or not fnmatch.fnmatchcase(entry.name, head):
                    continue
                path = os.path.join(folder, entry.name)
                if not rest:
                    yield path
                elif entry.is_dir(follow_symlinks=False) and not self._is_output(entry):
                    yield from self._matches(path, rest)
        else:
            path = os.path.join(folder, head)
            if not rest and os.path.lexists(path):
                yield path
            elif rest and os.path.isdir(path):
                yield from self._matches(path, rest)

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._found.fail(error, folder)
            return []

    def _is_output(self, entry: "os.DirEntry[str]") -> bool:
        return self._excluded is not None and entry.is_dir() and identity(entry.path) == self._excluded


def _is_linked_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        # A link to itself: it is read like a file, and the reason is reported then.
        return False
