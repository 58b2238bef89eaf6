"""Model files on disk: which weights a file holds, told by its digest, and pulling a known model into the folder."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from service.detection.download import DownloadInterrupted, DownloadLimits, Progress, fetch, notes_of
from service.detection.registry import REGISTRY, ModelEntry, ModelFile, find_model
from service.errors import ModelError

__all__ = ["FileCheck", "check_file", "digest_warning", "pull_model", "sha256_of"]

_CHUNK_BYTES: Final = 1_048_576
# Far above the largest known detector, far below what an archive made to fill the disk would unpack to.
_MAX_MODEL_BYTES: Final = 64 * 2**20
# Every .onnx file begins with its ir_version: the tag of protobuf field 1.
_ONNX_FIRST_BYTE: Final = b"\x08"
_ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class FileCheck(msgspec.Struct, frozen=True):
    """What a file's digest says.

    Attributes:
        verdict: ``known``: it is what its name says; ``other``: it is another known model than its name says;
            ``unknown``: a digest that the registry does not have.
        sha256: The digest.
        model: The known model that it is, whatever its name; None if unknown.
    """

    verdict: Literal["known", "other", "unknown"]
    sha256: str
    model: str | None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def check_file(path: Path, entry: ModelEntry | None) -> FileCheck:
    """Tell which weights a file holds.

    Args:
        path: The file.
        entry: The model whose name the file bears, None for a name of the user's own.

    Raises:
        ModelError: It cannot be read.
    """
    digest = sha256_of(path)
    model = next((known.name for known in REGISTRY.values() if digest in known.sha256), None)
    if model is None:
        return FileCheck("unknown", digest, None)
    return FileCheck("known" if entry is None or entry.name == model else "other", digest, model)


def digest_warning(model: ModelFile) -> str | None:
    """One line for a model whose digest is not what its name promises, else None. Costs one reading of the file.

    Raises:
        ModelError: The file cannot be read.
    """
    check = check_file(model.path, model.entry)
    if check.verdict == "other":
        return f"{model.path} holds {check.model}, not {model.name} (SHA-256 {check.sha256})"
    if check.verdict == "unknown":
        return f"{model.path} is not a file that we know (SHA-256 {check.sha256})"
    return None


def pull_model(
    entry: ModelEntry,
    model_dir: Path,
    *,
    url: str,
    force: bool = False,
    accept_digest: str | None = None,
    limits: DownloadLimits | None = None,
    progress: Progress = lambda _received, _total: None,
) -> Path | None:
    """Download a model, check it and put it into the folder, whole or not at all.

    Args:
        entry: A model with an archive.
        model_dir: FACE_API_MODEL_DIR; made if it does not exist.
        url: Where the archive is, or the model's file itself.
        force: Replace a file that is there.
        accept_digest: A SHA-256 to accept besides the known ones.
        limits: How patient to be.
        progress: Told how far the download is.

    Returns:
        The new file, or None if the right one was there already.

    Raises:
        DownloadInterrupted: The download broke off. The part stays, if it can be resumed; the next call goes on.
        ModelError: Anything else; the message says what, in one line. Nothing is left behind.
    """
    accepted = {*entry.sha256, *([accept_digest.lower()] if accept_digest else [])}
    present = find_model(entry, model_dir)
    if present is not None and not force:
        if (digest := sha256_of(present)) in accepted:
            return None
        raise ModelError(
            f"{present} is there already, with an unknown SHA-256 {digest}; --force puts the official one beside it "
            f"or in its place"
        )
    target = model_dir / entry.file_names[0]
    part = model_dir / f"{entry.name}.part"
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"{model_dir}: cannot be made: {error.strerror}") from error
    with _only_one(model_dir / f"{entry.name}.lock"):
        keep_part = False
        try:
            fetch(url, part, limits=limits or DownloadLimits(), progress=progress)
            _install(part, target, entry, accepted)
        except (DownloadInterrupted, KeyboardInterrupt):
            # Without notes it cannot be resumed.
            keep_part = notes_of(part).exists() and part.exists()
            raise
        finally:
            if not keep_part:
                part.unlink(missing_ok=True)
                notes_of(part).unlink(missing_ok=True)
    return target


def _install(part: Path, target: Path, entry: ModelEntry, accepted: set[str]) -> None:
    """Take the model out of what was downloaded, check its digest, and rename it to its name."""
    fresh = target.with_name(target.name + ".new")
    try:
        with fresh.open("wb") as file:
            digest = _unpack(part, entry, file)
            file.flush()
            os.fsync(file.fileno())
        if digest not in accepted:
            raise ModelError(
                f"what was downloaded is not the {entry.name} that we know: SHA-256 {digest}; it was deleted. "
                f"If you trust it: --accept-digest {digest}"
            )
        fresh.replace(target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _unpack(part: Path, entry: ModelEntry, file: IO[bytes]) -> str:
    """Copy the one member wanted, or the whole download if it is no archive; gives its SHA-256."""
    if not zipfile.is_zipfile(part):
        with part.open("rb") as source:
            if source.read(1) != _ONNX_FIRST_BYTE:
                raise ModelError("what the server sent is neither an archive nor a model; it was deleted")
            source.seek(0)
            return _copy(source, file)
    wanted = entry.archive.member if entry.archive else entry.file_names[0]
    try:
        with zipfile.ZipFile(part) as archive:
            # Only the last part of a member's path counts, and we choose where it goes.
            found = [item for item in archive.infolist() if item.filename.rpartition("/")[2] == wanted]
            if len(found) != 1:
                raise ModelError(f"the archive has {len(found) or 'no'} files named {wanted}")
            with archive.open(found[0]) as source:
                return _copy(source, file)
    except _ZIP_ERRORS as error:
        raise ModelError(f"the archive is damaged: {str(error) or type(error).__name__}") from error


def _copy(source: IO[bytes], file: IO[bytes]) -> str:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > _MAX_MODEL_BYTES:
            raise ModelError(f"the model is larger than {_MAX_MODEL_BYTES} bytes: this is something else")
        digest.update(chunk)
        file.write(chunk)
    return digest.hexdigest()


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold a lock file, so that two downloads do not write into one part file.

    Raises:
        ModelError: Another process holds it, or the folder is not writable.
    """
    try:
        import fcntl
    except ImportError:  # Windows: without it the digest check still catches two writers.
        yield
        return
    try:
        file = lock.open("w")
    except OSError as error:
        raise ModelError(f"{lock.parent}: cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelError(f"another process is pulling this model; it holds {lock}") from None
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()
