"""What only S3 does: presigned links, buckets, failing and slow servers."""

import asyncio
import logging
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from service.errors import SettingsError
from service.storage.objects import StoreUnavailable
from service.storage.s3_store import deadline
from service.storage.stores import open_store
from tests.object_stores import PICTURE, linked, new_key, read, s3_store
from tests.s3 import ACCESS_KEY, SECRET_KEY, S3Server, s3_settings
from tests.s3_faults import Fault, FaultyS3


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
            assert time.perf_counter() - started < deadline(len(PICTURE)) + 1

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
