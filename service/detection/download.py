"""One file over HTTP into a part file: goes on where it broke off, never hangs, follows only http and https.

The standard library is enough here: one request at a time, made rarely, by a person who waits for it. A client
library would be one more thing to install for every user of the service.
"""

import re
import shutil
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn
from urllib.parse import quote, urljoin, urlsplit

import msgspec

import service
from service.errors import ModelError
from service.ranges import shorten

__all__ = ["DownloadError", "DownloadInterrupted", "DownloadLimits", "Progress", "fetch", "notes_of"]

# Called with the bytes that are there and the bytes that there will be, None if the server does not say.
Progress = Callable[[int, int | None], None]

_CHUNK_BYTES: Final = 65_536
_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)", re.ASCII)


class DownloadError(ModelError):
    """The download failed, and trying again would not help; nothing of it is worth keeping."""


class DownloadInterrupted(DownloadError):
    """The download broke off or the server has trouble; what came so far may be worth keeping."""


class DownloadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a download is.

    Attributes:
        timeout_seconds: Longest wait for a connection and between two pieces of an answer.
        stall_seconds: In each such span at least `stall_bytes` must come.
        stall_bytes: See `stall_seconds`.
        attempts: Attempts in a row that bring nothing before it gives up.
        pause_seconds: Wait before the second attempt; it doubles from one to the next.
        max_bytes: Largest file taken.
    """

    timeout_seconds: float = 20.0
    stall_seconds: float = 30.0
    stall_bytes: int = 16_384
    attempts: int = 3
    pause_seconds: float = 1.0
    max_bytes: int = 2**30


class _PartNotes(msgspec.Struct, frozen=True):
    """What a part file is a part of: kept beside it, so that a changed file on the server is not glued to it."""

    url: str
    validator: str


def notes_of(part: Path) -> Path:
    """The file beside a part file that says what it is a part of."""
    return part.with_name(part.name + ".json")


def fetch(url: str, part: Path, *, limits: DownloadLimits, progress: Progress) -> None:
    """Download `url` into `part`, going on with what is already there if the server still has the same file.

    Args:
        url: An http or https URL.
        part: Where it goes. On failure it stays as it is: the caller decides whether to keep it.
        limits: How patient to be.
        progress: Told how far it is.

    Raises:
        DownloadInterrupted: The network or the server failed in a way that may pass.
        DownloadError: Anything else: refused, missing, too large, no room.
    """
    _check_url(url)
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, part, limits, progress)
        except DownloadInterrupted:
            failures = 1 if _size(part) >= before + limits.stall_bytes else failures + 1
            if failures >= limits.attempts:
                raise
            time.sleep(limits.pause_seconds * 2 ** (failures - 1))
        else:
            return


def _attempt(url: str, part: Path, limits: DownloadLimits, progress: Progress) -> None:
    offset, validator = _kept(url, part)
    headers = {"User-Agent": f"face-api/{service.__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        with _follow(url, headers, limits) as answer:
            start, total = _span(answer.status, answer.headers, offset)
            if start and _validator(answer.headers) not in {"", validator}:
                _begin_again(part)
            _check_room(part, total, start, limits)
            if not start:
                _remember(url, part, answer.headers)
            with _open_part(part, start) as file:
                _copy(answer, file, start, total, limits, progress)
    except urllib.error.HTTPError as error:
        with error:
            _refused(error, part, offset)
    except urllib.error.URLError as error:
        raise _unreachable(url, error) from error
    except TimeoutError as error:
        raise DownloadInterrupted(f"nothing came for {limits.timeout_seconds:g} s") from error
    except HTTPException as error:
        raise DownloadInterrupted(f"the answer is not HTTP ({type(error).__name__})") from error
    except OSError as error:
        raise DownloadInterrupted(
            f"the connection broke: {error.strerror or type(error).__name__}"
        ) from error


def _follow(url: str, headers: dict[str, str], limits: DownloadLimits) -> Any:
    """Open a URL and follow its redirects: a few, to http and https only, and never from https back to http."""
    opener = _opener()
    for _ in range(_MAX_REDIRECTS + 1):
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # _check_url: http and https only
        try:
            return opener.open(request, timeout=limits.timeout_seconds)
        except urllib.error.HTTPError as error:
            target = error.headers.get("Location")
            if error.code not in _REDIRECTS or not target:
                raise
            error.close()
        # http.client reads headers as ISO-8859-1; what is not ASCII has to be quoted again.
        old, target = urlsplit(url), quote(target, safe=string.punctuation, encoding="iso-8859-1")
        try:
            url = urljoin(url, target)
            scheme = urlsplit(url).scheme
        except ValueError:
            raise DownloadError(f"{old.hostname} redirects to something that is no URL") from None
        if scheme not in {"http", "https"} or (old.scheme == "https" and scheme == "http"):
            raise DownloadError(f"{old.hostname} redirects from {old.scheme} to {scheme}; not followed")
        _check_url(url)
    raise DownloadError(f"more than {_MAX_REDIRECTS} redirects")


def _copy(
    answer: Any, file: BinaryIO, start: int, total: int | None, limits: DownloadLimits, progress: Progress
) -> None:
    received = start
    progress(received, total)
    window_start, window_bytes = time.monotonic(), 0
    while total is None or received < total:
        chunk = answer.read1(_CHUNK_BYTES if total is None else min(_CHUNK_BYTES, total - received))
        if not chunk:
            break
        received += len(chunk)
        window_bytes += len(chunk)
        if received > limits.max_bytes:
            raise DownloadError(f"more than {limits.max_bytes} bytes come; the model is smaller")
        _write(file, chunk)
        progress(received, total)
        if (now := time.monotonic()) - window_start > limits.stall_seconds:
            if window_bytes < limits.stall_bytes:
                raise DownloadInterrupted(f"only {window_bytes} bytes came in {limits.stall_seconds:g} s")
            window_start, window_bytes = now, 0
    if total is not None and received < total:
        raise DownloadInterrupted(f"the connection broke after {received} of {total} bytes")


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
        # A full disk shows here, where it cannot be taken for the network.
        file.flush()
    except OSError as error:
        raise DownloadError(f"{file.name}: cannot be written: {error.strerror}") from error


def _span(status: int, headers: HTTPMessage, offset: int) -> tuple[int, int | None]:
    """Where the answer's first byte belongs, and the size of the whole file."""
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DownloadError("the server sends it compressed, unasked")
    if status == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None or not offset or int(found[1]) != offset:
            raise DownloadError("the server sends another part than the one asked for")
        return offset, None if found[2] == "*" else int(found[2])
    if status != 200:
        raise DownloadError(f"the server answers {status}, without the file")
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isascii() and length.isdigit() else None


def _refused(error: urllib.error.HTTPError, part: Path, offset: int) -> NoReturn:
    if error.code == 416 and offset:
        _begin_again(part)
    text = f"the server answers {error.code} {error.reason}".rstrip()
    if error.code in {408, 425, 429} or error.code >= 500:
        raise DownloadInterrupted(text) from error
    raise DownloadError(text) from error


def _unreachable(url: str, error: urllib.error.URLError) -> DownloadError:
    reason = error.reason
    where = urlsplit(url).hostname
    if isinstance(reason, TimeoutError):
        return DownloadInterrupted(f"{where} does not answer")
    text = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or str(reason)
    return DownloadInterrupted(f"{where} cannot be reached: {text}")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that are none
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise DownloadError(f"{shorten(url, 200)}: expected a URL that begins with http:// or https://")
    if "@" in parts.netloc:
        raise DownloadError(f"{parts.hostname}: a URL with a user name is not supported")


def _begin_again(part: Path) -> NoReturn:
    """What we kept is no part of what the server has now."""
    part.unlink(missing_ok=True)
    raise DownloadInterrupted("the file on the server changed")


def _open_part(part: Path, start: int) -> BinaryIO:
    try:
        return part.open("ab" if start else "wb")
    except OSError as error:
        raise DownloadError(f"{part}: cannot be written: {error.strerror}") from error


def _check_room(part: Path, total: int | None, start: int, limits: DownloadLimits) -> None:
    if total is None:
        return
    if total > limits.max_bytes:
        raise DownloadError(f"the file has {total} bytes; at most {limits.max_bytes} are taken")
    free = shutil.disk_usage(part.parent).free
    if total - start > free:
        raise DownloadError(f"{part.parent}: {total - start} bytes are needed, {free} are free")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _kept(url: str, part: Path) -> tuple[int, str]:
    """How much of `url` is in the part file, and the validator that says of which version; 0 if none is usable."""
    try:
        notes = msgspec.json.decode(notes_of(part).read_bytes(), type=_PartNotes)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return 0, ""
    return (_size(part), notes.validator) if notes.url == url else (0, "")


def _validator(headers: HTTPMessage) -> str:
    tag = headers.get("ETag", "")
    # If-Range takes strong tags only.
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _remember(url: str, part: Path, headers: HTTPMessage) -> None:
    # Without a validator nothing says that a rest would fit to what we have: then it is not resumed.
    validator = _validator(headers)
    try:
        if validator:
            notes_of(part).write_bytes(msgspec.json.encode(_PartNotes(url, validator)))
        else:
            notes_of(part).unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(f"{part.parent}: cannot be written: {error.strerror}") from error


def _opener() -> urllib.request.OpenerDirector:
    """An opener that follows nothing and has no handlers for file:, ftp: and data:, as the usual one has."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
