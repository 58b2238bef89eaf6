"""Objects as files in a folder: whole or not there, on the disk once stored, downloaded by signed links of our own."""

import asyncio
import base64
import hashlib
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, Self, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from service.errors import Forbidden, StartupError
from service.storage.disk import NO_ROOM, has_room, no_room
from service.storage.file_names import clean_file_name
from service.storage.objects import Disposition, ObjectFacts, ObjectNotFound, StoreUnavailable, check_key

__all__ = ["FILES_PATH", "FileLink", "LocalStore", "signing_key"]

FILES_PATH: Final = "/files"

_FOLDER: Final = "objects"
_UNFINISHED: Final = ".unfinished"
_KEY_FILE: Final = "signing.key"
_KEY_BYTES: Final = 32
# Longer than any write takes: a younger file may be another worker's.
_UNFINISHED_SECONDS: Final = 3600.0
# They wait for the disk, not for a core.
_THREADS: Final = 4
_PIECE_BYTES: Final = 262_144
_KEYS_AT_ONCE: Final = 1000

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)


class FileLink(msgspec.Struct, frozen=True):
    """What a signed link says, its signature apart; nothing of it can be changed by who holds it.

    Attributes:
        key: The object.
        expires: Unix time in seconds.
        filename: What the download is called.
        content_type: The Content-Type of the answer.
        disposition: ``attachment`` or ``inline``.
    """

    key: str
    expires: int
    filename: str
    content_type: str
    disposition: str


class LocalStore:
    """An :class:`ObjectStore` in ``objects`` of the data folder. Several processes may share it."""

    def __init__(self, data_dir: Path) -> None:
        """Keep objects under `data_dir`; nothing is made yet."""
        self._data_dir = data_dir
        self._root = data_dir / _FOLDER
        self._secret = b""
        # Folders whose own names this process has put on the disk.
        self._lasting: set[Path] = {self._root}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")

    async def __aenter__(self) -> Self:
        """Make the folder and the signing key where they are missing; remove what a killed process left half-written.

        Raises:
            StartupError: The data folder cannot be written.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, self._prepare)
        return self

    async def __aexit__(self, *_: object) -> None:
        """The same as :meth:`aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Finish what is being written."""
        await asyncio.to_thread(self._threads.shutdown)

    async def check(self) -> None:
        """Whether the folder can be written and has room.

        Raises:
            StoreUnavailable: Not so.
        """
        await self._run(self._check)

    async def put(self, key: str, data: bytes, content_type: str) -> None:  # noqa: ARG002  # a file has no type; links carry it
        """Store an object whole; it outlives a power cut once this returns."""
        await self._run(self._put, self._path(key), data)

    async def get(self, key: str) -> bytes:
        """The bytes of an object."""
        return await self._run(self._path(key).read_bytes)

    async def facts(self, key: str) -> ObjectFacts:
        """Size and validator of an object."""
        return await self._run(_facts, self._path(key))

    async def open_range(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` to `stop` (exclusive; None: the end) in pieces."""
        file, size = await self._run(_open_at, self._path(key), start)
        return _Pieces(self._run, file, (size if stop is None else min(stop, size)) - start)

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return await self._run(self._path(key).is_file)

    async def delete(self, key: str) -> None:
        """Delete an object; one that is missing is fine."""
        await self._run(_delete, self._path(key))

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that begin with a prefix, in no order."""
        keys = _walk(self._root, prefix)
        while some := await self._run(lambda: list(islice(keys, _KEYS_AT_ONCE))):
            for key in some:
                yield key

    async def url(
        self,
        key: str,
        *,
        filename: str,
        content_type: str,
        expires: int,
        disposition: Disposition = "attachment",
    ) -> str:
        """A link that begins with ``/files/``, served by ourselves for `expires` seconds."""
        name = clean_file_name(filename)
        link = FileLink(check_key(key), int(time.time()) + expires, name, content_type, disposition)
        query = {
            "expires": link.expires,
            "name": link.filename,
            "type": link.content_type,
            "as": link.disposition,
            "signature": self._signature(link),
        }
        return f"{FILES_PATH}/{quote(key)}?{urlencode(query)}"

    def verify(self, link: FileLink, signature: str) -> None:
        """Check a link that somebody presents.

        Raises:
            Forbidden: It is not from us, was changed, or its time is over.
        """
        if not hmac.compare_digest(self._signature(link).encode(), signature.encode()):
            raise Forbidden("this link was not made by this service, or was changed since")
        if link.expires < time.time():
            raise Forbidden("this link has expired; ask for a new one")

    def _signature(self, link: FileLink) -> str:
        if not self._secret:
            raise StoreUnavailable("the object store is not open")
        digest = hmac.digest(self._secret, msgspec.json.encode(link), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of our threads and translate what it raises."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: function(*args, **kwargs)
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectNotFound("the stored file is not there") from None
        except (OSError, RuntimeError) as error:
            logger.warning("object folder: %s", error)
            if no_room(error):
                raise StoreUnavailable(NO_ROOM) from error
            raise StoreUnavailable("the file store failed; try again in a moment") from error

    def _prepare(self) -> None:
        unfinished = self._root / _UNFINISHED
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            self._root.mkdir(mode=0o700, exist_ok=True)
            unfinished.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._data_dir)
            self._secret = signing_key(self._data_dir)
            before = time.time() - _UNFINISHED_SECONDS
            for path in unfinished.iterdir():
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        path.unlink()
        except OSError as error:
            raise StartupError(f"the data folder cannot be used: {error.strerror or error}") from error

    def _check(self) -> None:
        if not os.access(self._root / _UNFINISHED, os.W_OK | os.X_OK):
            raise StoreUnavailable("the folder of stored files is gone or cannot be written")
        if not has_room(self._root):
            raise StoreUnavailable(NO_ROOM)

    def _put(self, path: Path, data: bytes) -> None:
        unfinished = self._root / _UNFINISHED / str(uuid4())
        try:
            _write_through(unfinished, data)
            self._make_lasting(path.parent)
            unfinished.replace(path)
        except FileNotFoundError as error:
            # Somebody removed a folder.
            self._lasting = {self._root}
            raise StoreUnavailable("the folder of stored files is gone") from error
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def _make_lasting(self, folder: Path) -> None:
        """Make a folder, and put its name on the disk even if another process made it a moment ago."""
        if folder not in self._lasting:
            self._make_lasting(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(folder.parent)
            self._lasting.add(folder)


class _Pieces:
    """Reads a file piece by piece. Unlike a generator it closes the file even if it is dropped before the first."""

    def __init__(self, run: Callable[..., Awaitable[bytes]], file: BinaryIO, size: int) -> None:
        self._run = run
        self._file = file
        self._left = size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._left <= 0:
            self._file.close()
            raise StopAsyncIteration
        piece = await self._run(self._file.read, min(self._left, _PIECE_BYTES))
        if not piece:
            raise StoreUnavailable("a stored file ended early")
        self._left -= len(piece)
        return piece

    def __del__(self) -> None:
        self._file.close()


def signing_key(data_dir: Path) -> bytes:
    """The secret that links are signed with: the same for all processes that share a data folder.

    It is made by the first that asks, complete or not at all.

    Raises:
        StartupError: The file holds something else.
        OSError: It cannot be read or made.
    """
    path = data_dir / _KEY_FILE
    if not path.exists():
        draft = data_dir / f"{_KEY_FILE}.{uuid4()}"
        try:
            _write_through(draft, os.urandom(_KEY_BYTES).hex().encode() + b"\n")
            # Unlike a rename, a link does not take the place of what another process made meanwhile.
            with suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(data_dir)
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise StartupError(
            f"{_KEY_FILE} in the data folder is damaged: delete it, and a new one is made (links given out so far end)"
        )
    return secret


def _write_through(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _facts(path: Path) -> ObjectFacts:
    status = path.stat()
    mark = f"{path.name}-{status.st_size}-{status.st_mtime_ns}"
    return ObjectFacts(status.st_size, f'"{hashlib.sha256(mark.encode()).hexdigest()[:32]}"')


def _open_at(path: Path, start: int) -> tuple[BinaryIO, int]:
    file = path.open("rb")
    file.seek(start)
    return file, os.fstat(file.fileno()).st_size


def _delete(path: Path) -> None:
    # Not missing_ok: with nothing deleted there is nothing to put on the disk.
    with suppress(FileNotFoundError):
        path.unlink()
        _sync_folder(path.parent)


def _walk(root: Path, prefix: str) -> Iterator[str]:
    folders = [root]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                key = Path(entry.path).relative_to(root).as_posix()
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if key.startswith(prefix) or prefix.startswith(f"{key}/"):
                        folders.append(Path(entry.path))
                elif key.startswith(prefix):
                    yield key
