"""Both object stores through the same suite; S3 that fails; signed links over HTTP."""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar

from service.errors import SettingsError
from service.handlers.errors import EXCEPTION_HANDLERS
from service.handlers.files import files_handler
from service.storage import local_store
from service.storage import s3_store as s3_store_module
from service.storage.local_store import LocalStore
from service.storage.objects import (
    Disposition,
    ObjectNotFound,
    ObjectStore,
    StoreUnavailable,
    original_key,
    processed_key,
)
from service.storage.s3_store import deadline
from service.storage.stores import open_store
from tests.s3 import ACCESS_KEY, SECRET_KEY, S3Server, s3_settings
from tests.s3_faults import Fault, FaultyS3

Work = Callable[[ObjectStore], Awaitable[Any]]
RunStore = Callable[[Work], Any]


def noise(size: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size)  # the same bytes each time


PICTURE = noise(300_000)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    with FaultyS3(s3.port) as proxy:
        yield proxy


@asynccontextmanager
async def s3_store(endpoint: str, bucket: str = "", **settings: str) -> AsyncIterator[ObjectStore]:
    bucket = bucket or f"test-{uuid4()}"
    async with open_store(s3_settings(endpoint, bucket, **settings), Path("unused")) as store:
        yield store


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


def new_key() -> str:
    return original_key(hashlib.sha256(uuid4().bytes).hexdigest(), "jpg")


async def read(store: ObjectStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in await store.open_range(key, start, stop)])


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


# Links of the folder, over HTTP.

UseLinks = Callable[[LocalStore, httpx.AsyncClient], Awaitable[None]]


@pytest.fixture
def run_links(tmp_path: Path) -> Callable[[UseLinks], None]:
    """Do something with a folder and a client of the handler that serves its links."""

    def run(work: UseLinks) -> None:
        async def main() -> None:
            async with LocalStore(tmp_path) as store:
                app = Litestar(
                    [files_handler(store)], exception_handlers=EXCEPTION_HANDLERS, logging_config=None
                )
                transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # httpx's types are its own
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    await work(store, client)

        asyncio.run(main())

    return run


async def linked(
    store: ObjectStore,
    data: bytes = PICTURE,
    filename: str = "photo.jpg",
    disposition: Disposition = "attachment",
) -> str:
    key = new_key()
    await store.put(key, data, "image/jpeg")
    return await store.url(
        key, filename=filename, content_type="image/jpeg", expires=60, disposition=disposition
    )


def test_a_link_downloads_the_file(run_links: Callable[[UseLinks], None]) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        url = await linked(store, filename="../Straße 1.jpg")
        answer = await client.get(url)
        assert answer.status_code == 200
        assert answer.content == PICTURE
        assert answer.headers["Content-Length"] == str(len(PICTURE))
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert answer.headers["Content-Disposition"] == (
            "attachment; filename=\"Stra_e 1.jpg\"; filename*=UTF-8''Stra%C3%9Fe%201.jpg"
        )
        head = await client.head(url)
        assert head.status_code == 200
        assert head.content == b""
        for name in ("Content-Length", "Content-Type", "ETag", "Content-Disposition"):
            assert head.headers[name] == answer.headers[name]
        shown = await client.get(await linked(store, disposition="inline"))
        assert shown.headers["Content-Disposition"] == 'inline; filename="photo.jpg"'
        assert shown.headers["ETag"] != answer.headers["ETag"]

    run_links(work)


def test_a_browser_that_has_the_file_is_told_so(run_links: Callable[[UseLinks], None]) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        url = await linked(store)
        etag = (await client.get(url)).headers["ETag"]
        for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = await client.get(url, headers={"If-None-Match": value, "Range": "bytes=0-1"})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == etag
        assert (await client.get(url, headers={"If-None-Match": '"other"'})).status_code == 200

    run_links(work)


SIZE = len(PICTURE)


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-99", 10, 100),
        ("bytes=299999-", 299_999, SIZE),
        ("bytes=0-", 0, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
        ("bytes=-999999999", 0, SIZE),
        ("Bytes=100-99999999", 100, SIZE),
    ],
)
def test_ranges(run_links: Callable[[UseLinks], None], wanted: str, start: int, stop: int) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        url = await linked(store)
        answer = await client.get(url, headers={"Range": wanted})
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["Content-Length"] == str(stop - start)
        assert answer.content == PICTURE[start:stop]
        etag = answer.headers["ETag"]
        same = await client.get(url, headers={"Range": wanted, "If-Range": etag})
        assert same.status_code == 206
        changed = await client.get(url, headers={"Range": wanted, "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, PICTURE)

    run_links(work)


@pytest.mark.parametrize(
    "wanted", ["bytes=300000-", "bytes=999999-9999999", "bytes=-0", "bytes=300000-300000"]
)
def test_ranges_outside_the_file(run_links: Callable[[UseLinks], None], wanted: str) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        answer = await client.get(await linked(store), headers={"Range": wanted})
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
        assert list(answer.json()) == ["detail"]

    run_links(work)


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=5-1",
        "bytes=-",
        "bytes=0-1,5-6",
        "pages=1-2",
        "bytes=a-b",
        "bytes=٣-٤",
        "",
        f"bytes={'9' * 5000}-",
    ],
)
def test_ranges_that_are_none_get_the_whole_file(run_links: Callable[[UseLinks], None], wanted: str) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        answer = await client.get(await linked(store), headers={b"Range": wanted.encode()})
        assert (answer.status_code, answer.content) == (200, PICTURE)

    run_links(work)


def test_forged_links_are_refused(run_links: Callable[[UseLinks], None], tmp_path: Path) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        url, other = await linked(store), await linked(store)
        path, query = url.split("?")
        later = int(parse_qs(query)["expires"][0]) + 1
        forged = [
            path,
            f"{path}?expires=99999999999",
            f"{path}?{query[:-1]}",
            f"{path}?{query}x",
            f"{path}?{query.replace('type=image%2Fjpeg', 'type=text%2Fhtml')}",
            f"{path}?{query.replace('photo', 'other')}",
            f"{path}?{query.replace('attachment', 'inline')}",
            f"{path}?expires={later}&{query}",
            f"{path}?{query.replace('expires=', 'expires=-')}",
            f"{other.split('?')[0]}?{query}",
            f"/files/../signing.key?{query}",
            f"/files/%2e%2e/signing.key?{query}",
            f"/files//etc/passwd?{query}",
            f"/files/.unfinished/x?{query}",
            f"/files/%00?{query}",
        ]
        for address in forged:
            answer = await client.get(address)
            assert answer.status_code in ({403, 404} if ".." in address else {403}), address
            assert list(answer.json()) == ["detail"]
            assert (await client.head(address)).status_code == answer.status_code
        assert (await client.get(url)).content == PICTURE

    run_links(work)


def test_links_end(run_links: Callable[[UseLinks], None]) -> None:
    async def work(store: LocalStore, client: httpx.AsyncClient) -> None:
        key = new_key()
        await store.put(key, PICTURE, "image/jpeg")
        url = await store.url(key, filename="x.jpg", content_type="image/jpeg", expires=-2)
        answer = await client.get(url)
        assert answer.status_code == 403
        assert "expired" in answer.json()["detail"]
        url = await store.url(key, filename="x.jpg", content_type="image/jpeg", expires=60)
        await store.delete(key)
        assert (await client.get(url)).status_code == 404

    run_links(work)


# S3 alone.


def test_presigned_links_name_file_and_type(s3: S3Server) -> None:
    async def work() -> None:
        async with s3_store(s3.endpoint) as store, httpx.AsyncClient(trust_env=False) as client:
            url = await linked(store, filename="../Straße.jpg")
            answer = await client.get(url)
            assert answer.status_code == 200
            assert answer.content == PICTURE
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="Stra_e.jpg"')
            part = await client.get(url, headers={"Range": "bytes=1-3"})
            assert (part.status_code, part.content) == (206, PICTURE[1:4])
            assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]
            assert SECRET_KEY not in url

    asyncio.run(work())


def test_presigned_links_point_to_the_public_endpoint(s3: S3Server) -> None:
    async def work() -> None:
        public = "https://pictures.example.org"
        async with s3_store(s3.endpoint, "album", S3_PUBLIC_ENDPOINT=f"{public}/") as store:
            url = await store.url("originals/ab/x.jpg", filename="x", content_type="image/jpeg", expires=60)
            assert url.startswith(f"{public}/album/originals/ab/x.jpg?")

    asyncio.run(work())


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_the_check_makes_the_bucket_once(s3: S3Server, region: str) -> None:
    async def work() -> None:
        bucket = f"test-{uuid4()}"
        async with (
            s3_store(s3.endpoint, bucket, S3_REGION=region) as one,
            s3_store(s3.endpoint, bucket, S3_REGION=region) as other,
        ):
            await asyncio.gather(one.check(), other.check(), one.check())
            await one.put("originals/ab/x.jpg", b"1", "image/jpeg")
            assert await other.get("originals/ab/x.jpg") == b"1"

    asyncio.run(work())


FAILING: list[tuple[Fault, float]] = [
    ("error", 8),
    ("refuse", 8),
    ("drop_request", 8),
    ("drop_answer", 8),
    ("stall", 11),
]


@pytest.mark.alone
@pytest.mark.parametrize(("fault", "seconds"), FAILING)
def test_a_put_that_fails_ends_in_time_and_the_next_one_works(
    faulty: FaultyS3, caplog: pytest.LogCaptureFixture, fault: Fault, seconds: float
) -> None:
    caplog.set_level(logging.INFO)

    async def work() -> None:
        async with s3_store(faulty.endpoint) as store:
            await store.check()
            before = new_key()
            await store.put(before, PICTURE, "image/jpeg")
            faulty.fail(fault, after=20)
            started = time.perf_counter()
            key = new_key()
            with pytest.raises(StoreUnavailable) as caught:
                await store.put(key, PICTURE, "image/jpeg")
            assert time.perf_counter() - started < seconds
            assert faulty.endpoint not in caught.value.detail
            if fault != "stall":
                with pytest.raises(StoreUnavailable):
                    await store.check()
            faulty.mend()
            await store.check()
            await store.put(key, PICTURE, "image/jpeg")
            assert await store.get(key) == PICTURE
            assert await store.get(before) == PICTURE

    asyncio.run(work())
    assert SECRET_KEY not in caplog.text
    assert "Signature" not in caplog.text


@pytest.mark.parametrize("fault", ["error", "drop_request", "drop_answer", "stall"])
def test_a_fault_that_passes_is_tried_again(faulty: FaultyS3, fault: Fault) -> None:
    async def work() -> None:
        async with s3_store(faulty.endpoint) as store:
            await store.check()
            key = new_key()
            faulty.fail(fault, times=1, after=20)
            await store.put(key, PICTURE, "image/jpeg")
            assert faulty.met == 1
            faulty.mend()
            assert await store.get(key) == PICTURE

    asyncio.run(work())


def test_a_download_that_is_cut_is_never_taken_for_the_whole(faulty: FaultyS3) -> None:
    async def work() -> None:
        async with s3_store(faulty.endpoint) as store:
            key = new_key()
            await store.put(key, PICTURE, "image/jpeg")
            faulty.fail("drop_answer", after=100_000)
            with pytest.raises(StoreUnavailable):
                await store.get(key)
            with pytest.raises(StoreUnavailable):
                await read(store, key)
            faulty.fail("drop_answer", after=100_000, times=1)
            assert await store.get(key) == PICTURE

    asyncio.run(work())


@pytest.mark.alone
def test_a_slow_server_is_waited_for_within_bounds(faulty: FaultyS3) -> None:
    async def work() -> None:
        async with s3_store(faulty.endpoint) as store:
            key = new_key()
            await store.check()
            faulty.fail("slow", pause=0.2)
            await store.put(key, PICTURE, "image/jpeg")
            assert await store.get(key) == PICTURE
            faulty.fail("slow", pause=3)
            started = time.perf_counter()
            with pytest.raises(StoreUnavailable):
                await store.put(new_key(), PICTURE, "image/jpeg")
            assert time.perf_counter() - started < deadline(SIZE) + 1

    asyncio.run(work())


def test_no_connection_is_lost_to_faults(faulty: FaultyS3) -> None:
    async def work() -> None:
        async with s3_store(faulty.endpoint, MAX_CONCURRENT_REQUESTS="1") as store:
            await store.check()
            faulty.fail("drop_request")
            failed = await asyncio.gather(
                *(store.put(new_key(), PICTURE, "image/jpeg") for _ in range(20)), return_exceptions=True
            )
            assert all(isinstance(error, StoreUnavailable) for error in failed)
            faulty.mend()
            # More at once than the pool has connections.
            await asyncio.gather(*(store.put(new_key(), PICTURE, "image/jpeg") for _ in range(20)))
            assert len([key async for key in store.iter_keys()]) == 20

    asyncio.run(work())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"S3_ENDPOINT": "s3:9000"}, "S3_ENDPOINT"),
        ({"S3_ENDPOINT": "http://user:hidden@s3"}, "S3_ENDPOINT"),
        ({"S3_ENDPOINT": "http://s3:99999"}, "S3_ENDPOINT"),
        ({"S3_PUBLIC_ENDPOINT": "cdn.example.org"}, "S3_PUBLIC_ENDPOINT"),
        ({"S3_ACCESS_KEY": ""}, "S3_ACCESS_KEY"),
        ({"S3_SECRET_KEY": ""}, "S3_SECRET_KEY"),
    ],
)
def test_wrong_settings_name_the_variable(settings: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"FACE_API_{named}") as caught:
        open_store(s3_settings("http://s3:9000", "album", **settings), tmp_path)
    assert "hidden" not in caught.value.detail
    assert SECRET_KEY not in caught.value.detail


def test_secrets_are_not_in_the_store_s_name(s3: S3Server) -> None:
    store = open_store(s3_settings(s3.endpoint), Path("unused"))
    assert SECRET_KEY not in repr(store)
    assert ACCESS_KEY not in repr(store)


def test_a_closed_store_refuses(s3: S3Server) -> None:
    async def work() -> None:
        async with s3_store(s3.endpoint) as store:
            pass
        for call in (store.get, store.delete, store.exists):
            with pytest.raises(StoreUnavailable):
                await call(new_key())
        with pytest.raises(StoreUnavailable):
            await store.check()

    asyncio.run(work())
