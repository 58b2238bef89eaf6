"""Where the bytes of stored pictures are: one small interface, a folder or S3 behind it.

Keys are made here and never hold anything that a client chose. Objects are written once and never changed.
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal, Protocol, Self
from uuid import UUID, uuid4

import msgspec

from service.errors import NotFound, ServiceUnavailable

__all__ = [
    "Disposition",
    "ObjectFacts",
    "ObjectNotFound",
    "ObjectStore",
    "StoreUnavailable",
    "check_key",
    "original_key",
    "processed_key",
]

Disposition = Literal["attachment", "inline"]

# Lower case alone: some file systems take "A" and "a" for the same. No part begins with a dot.
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,149}(\.[a-z0-9]{1,10})?")
_MAX_PARTS: Final = 8


class ObjectNotFound(NotFound):
    """There is no object under that key."""


class StoreUnavailable(ServiceUnavailable):
    """The store did not do what was asked, or not in time. The cause is for the log, not for the caller."""

    headers: Mapping[str, str] = {"Retry-After": "1"}


class ObjectFacts(msgspec.Struct, frozen=True):
    """What is known of an object without reading it.

    Attributes:
        size: In bytes.
        etag: A strong validator, quotes included.
    """

    size: int
    etag: str


class ObjectStore(Protocol):
    """An object store of one process; use it inside ``async with``.

    Every method raises :class:`StoreUnavailable` when the store fails and ValueError for a malformed key. A call that
    is cancelled or fails may still take effect: who puts an object must be ready to delete it.
    """

    async def __aenter__(self) -> Self:
        """Start; a store that cannot be reached is no error yet.

        Raises:
            StartupError: The data folder cannot be written.
        """
        ...

    async def __aexit__(self, *_: object) -> None:
        """The same as :meth:`aclose`."""
        ...

    async def aclose(self) -> None:
        """End; calls after it fail."""
        ...

    async def check(self) -> None:
        """Find out whether objects can be stored, making the bucket where that is missing.

        Raises:
            StoreUnavailable: They cannot; the message says why in words for the operator.
        """
        ...

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object whole; it outlives a power cut once this returns."""
        ...

    async def get(self, key: str) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectNotFound: There is none.
        """
        ...

    async def facts(self, key: str) -> ObjectFacts:
        """Size and validator of an object.

        Raises:
            ObjectNotFound: There is none.
        """
        ...

    async def open_range(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` to `stop` (exclusive; None: the end) in pieces.

        Raises:
            ObjectNotFound: There is none; raised before the first piece.
        """
        ...

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        ...

    async def delete(self, key: str) -> None:
        """Delete an object; one that is missing is fine."""
        ...

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that begin with a prefix, in no order."""
        ...

    async def url(
        self,
        key: str,
        *,
        filename: str,
        content_type: str,
        expires: int,
        disposition: Disposition = "attachment",
    ) -> str:
        """An address that anybody can download the object from for a while.

        Args:
            key: The object, which need not exist.
            filename: What the download is called; cleaned here.
            content_type: The Content-Type of the answer.
            expires: Seconds from now.
            disposition: Whether a browser saves or shows it.

        Returns:
            An absolute URL, or one that begins with ``/`` and is served by ourselves.
        """
        ...


def original_key(sha256: str, extension: str) -> str:
    """A new key for an uploaded picture.

    Args:
        sha256: Digest of the picture in hex.
        extension: Of its format, with or without the dot.
    """
    return check_key(f"originals/{sha256[:2]}/{sha256}-{uuid4()}.{extension.removeprefix('.')}")


def processed_key(job_id: UUID, extension: str) -> str:
    """The key of a job's result."""
    return check_key(f"processed/{str(job_id)[:2]}/{job_id}.{extension.removeprefix('.')}")


def check_key(key: str) -> str:
    """Return the key.

    Raises:
        ValueError: It is none of ours; nothing outside the store can be named by one that passes.
    """
    parts = key.split("/")
    if len(parts) > _MAX_PARTS or not all(_KEY.fullmatch(part) for part in parts):
        raise ValueError(f"not a key of an object: {key[:200]!r}")
    return key
