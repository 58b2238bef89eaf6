"""Object stores, and what is put into them."""

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from service.storage.objects import Disposition, ObjectStore, original_key
from service.storage.stores import open_store
from tests.s3 import s3_settings

__all__ = ["PICTURE", "linked", "new_key", "noise", "read", "s3_store"]


def noise(size: int, seed: int = 7) -> bytes:
    """Return the same bytes each time."""
    return random.Random(seed).randbytes(size)


PICTURE = noise(300_000)


@asynccontextmanager
async def s3_store(endpoint: str, bucket: str = "", **settings: str) -> AsyncIterator[ObjectStore]:
    """Open a store of a bucket, of its own if none is named."""
    bucket = bucket or f"test-{uuid4()}"
    async with open_store(s3_settings(endpoint, bucket, **settings), Path("unused")) as store:
        yield store


def new_key() -> str:
    """Return a key that no store has."""
    return original_key(hashlib.sha256(uuid4().bytes).hexdigest(), "jpg")


async def read(store: ObjectStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    """Return an object's bytes as a download gives them."""
    return b"".join([piece async for piece in await store.open_range(key, start, stop)])


async def linked(
    store: ObjectStore,
    data: bytes = PICTURE,
    filename: str = "photo.jpg",
    disposition: Disposition = "attachment",
) -> str:
    """Put a file, and return a link to it."""
    key = new_key()
    await store.put(key, data, "image/jpeg")
    return await store.url(
        key, filename=filename, content_type="image/jpeg", expires=60, disposition=disposition
    )
