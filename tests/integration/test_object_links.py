"""Links of the local store, over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
from litestar import Litestar

from service.handlers.errors import EXCEPTION_HANDLERS
from service.handlers.files import files_handler
from service.storage.local_store import LocalStore
from tests.object_stores import PICTURE, linked, new_key

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
