"""Both object stores through the same suite."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from service.storage import local_store
from service.storage import s3_store as s3_store_module
from service.storage.local_store import LocalStore
from service.storage.objects import ObjectNotFound, ObjectStore, processed_key
from tests.object_stores import PICTURE, new_key, noise, read, s3_store

Work = Callable[[ObjectStore], Awaitable[Any]]
RunStore = Callable[[Work], Any]


@pytest.fixture(params=["local", "s3"])
def run_store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    """Do something with a fresh store of each kind."""

    def run(work: Work) -> Any:
        async def main() -> Any:
            if request.param == "local":
                async with LocalStore(tmp_path) as store:
                    return await work(store)
            async with s3_store(request.getfixturevalue("s3").endpoint) as store:
                return await work(store)

        return asyncio.run(main())

    return run


@pytest.mark.parametrize("size", [0, 1, 300_000, 6_000_000])
def test_what_is_put_comes_back_to_the_byte(run_store: RunStore, size: int) -> None:
    data = noise(size)

    async def work(store: ObjectStore) -> None:
        key = new_key()
        assert not await store.exists(key)
        await store.put(key, data, "image/jpeg")
        assert await store.exists(key)
        assert await store.get(key) == data
        facts = await store.facts(key)
        assert facts.size == size
        assert facts.etag.startswith('"')
        assert await read(store, key) == data
        for start, stop in [
            (0, 1),
            (size // 3, size // 2),
            (size // 2, None),
            (size, None),
            (size, size),
            (0, size + 9),
        ]:
            assert await read(store, key, start, stop) == data[start:stop]

    run_store(work)


def test_what_is_missing(run_store: RunStore) -> None:
    async def work(store: ObjectStore) -> None:
        await store.check()
        key = new_key()
        for call in (store.get, store.facts, store.open_range):
            with pytest.raises(ObjectNotFound):
                await call(key)
        await store.delete(key)
        await store.put(key, PICTURE, "image/jpeg")
        await store.delete(key)
        await store.delete(key)
        assert not await store.exists(key)
        with pytest.raises(ObjectNotFound):
            await store.get(key)

    run_store(work)


def test_a_bucket_or_folder_that_is_not_there_yet_is_made_by_the_first_put(run_store: RunStore) -> None:
    async def work(store: ObjectStore) -> None:
        await asyncio.gather(*(store.put(new_key(), PICTURE, "image/jpeg") for _ in range(5)))
        assert len([key async for key in store.iter_keys()]) == 5

    run_store(work)


def test_keys_by_prefix(run_store: RunStore) -> None:
    async def work(store: ObjectStore) -> None:
        originals = {new_key() for _ in range(30)}
        results = {processed_key(uuid4(), "png") for _ in range(10)}
        await asyncio.gather(*(store.put(key, b"x", "image/png") for key in originals | results))

        async def keys(prefix: str = "") -> set[str]:
            found = [key async for key in store.iter_keys(prefix)]
            assert len(set(found)) == len(found)
            return set(found)

        assert await keys() == originals | results
        assert await keys("originals/") == originals
        one = next(iter(results))
        assert await keys(one[:15]) >= {one}
        assert await keys(one) == {one}
        assert await keys("orig") == originals
        assert await keys("nothing/") == set()

    run_store(work)


@pytest.mark.parametrize("count", [20, 21, 40])
def test_more_keys_than_one_answer_holds(
    run_store: RunStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    for module in (local_store, s3_store_module):
        monkeypatch.setattr(module, "_KEYS_AT_ONCE", 20)

    async def work(store: ObjectStore) -> None:
        wanted = [f"processed/aa/{number:04d}.png" for number in range(count)]
        await asyncio.gather(*(store.put(key, b"x", "image/png") for key in wanted))
        assert sorted([key async for key in store.iter_keys("processed/")]) == wanted

    run_store(work)


def test_many_at_once_keep_their_bytes_apart(run_store: RunStore) -> None:
    async def work(store: ObjectStore) -> None:
        await store.check()
        pictures = {new_key(): noise(700 * seed, seed) for seed in range(1, 61)}

        async def one(key: str, data: bytes) -> None:
            await store.put(key, data, "image/jpeg")
            assert await store.get(key) == data
            assert await read(store, key) == data

        await asyncio.gather(*(one(key, data) for key, data in pictures.items()))
        await asyncio.gather(*(store.delete(key) for key in [*pictures, *pictures]))
        assert [key async for key in store.iter_keys()] == []

    run_store(work)
