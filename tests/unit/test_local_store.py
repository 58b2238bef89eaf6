"""The folder of objects: whole or not there, private, links that cannot be forged, file names made harmless."""

import asyncio
import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Forbidden, StartupError
from service.settings import Settings
from service.storage import local_store
from service.storage.file_names import clean_file_name, content_disposition
from service.storage.local_store import FileLink, LocalStore, signing_key
from service.storage.objects import (
    StoreUnavailable,
    check_key,
    original_key,
    processed_key,
)
from service.storage.stores import StoreMonitor, open_store
from tests.server import eventually

SHA = "ab" * 32
ROOT = Path(__file__).parents[2]

# fmt: off
NO_KEYS = [
    "", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", ".unfinished/x", "a/.b", "A/b", "a\\b", "a b", "a/b.",
    "a\x00", "ä", "a\n", "a" * 151, "/".join("a" * 9), "a.b.c/d", "a%2fb", "a/b?c",
]
# fmt: on


def with_store(folder: Path, work: Callable[[LocalStore], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with LocalStore(folder) as store:
            return await work(store)

    return asyncio.run(run())


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


async def until(condition: Callable[[], bool]) -> None:
    assert await asyncio.to_thread(eventually, condition, 10)


def test_keys_are_of_the_shapes_that_are_allowed() -> None:
    key = original_key(SHA, ".jpg")
    assert key.startswith(f"originals/ab/{SHA}-")
    assert key.endswith(".jpg")
    assert original_key(SHA, "jpg") != key
    job = uuid4()
    assert processed_key(job, "png") == f"processed/{str(job)[:2]}/{job}.png"


@pytest.mark.parametrize("key", NO_KEYS)
def test_other_keys_are_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a key"):
        check_key(key)

    async def every_call(store: LocalStore) -> None:
        for call in (store.get, store.facts, store.exists, store.delete, store.open_range):
            with pytest.raises(ValueError, match="not a key"):
                await call(key)
        with pytest.raises(ValueError, match="not a key"):
            await store.put(key, b"x", "image/png")

    with_store(tmp_path, every_call)
    assert files_in(tmp_path) == ["signing.key"]


def test_everything_is_private(tmp_path: Path) -> None:
    key = original_key(SHA, "jpg")
    with_store(tmp_path, lambda store: store.put(key, b"picture", "image/jpeg"))
    for path in (tmp_path / "objects").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((tmp_path / "signing.key").stat().st_mode) == 0o600


def test_what_is_put_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    objects = tmp_path / "objects"

    def seen_fsync(descriptor: int) -> None:
        fsync(descriptor)
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).relative_to(objects)}")

    def seen_replace(self: Path, target: Path) -> Path:
        steps.append(f"name {target.relative_to(objects)}")
        return replace(self, target)

    async def work(store: LocalStore) -> None:
        monkeypatch.setattr(os, "fsync", seen_fsync)
        monkeypatch.setattr(Path, "replace", seen_replace)
        await store.put("originals/ab/x.jpg", b"1", "image/jpeg")
        await store.put("originals/ab/y.jpg", b"2", "image/jpeg")

    with_store(tmp_path, work)
    assert steps[0].startswith("sync .unfinished/")
    # The new folders are put into theirs first.
    assert steps[1:5] == ["sync .", "sync originals", "name originals/ab/x.jpg", "sync originals/ab"]
    assert steps[6:] == ["name originals/ab/y.jpg", "sync originals/ab"]


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def work(store: LocalStore) -> None:
        await store.put("originals/ab/old.jpg", b"before", "image/jpeg")
        with monkeypatch.context() as patch:
            if step == "write":
                write = local_store._write_through

                def half(path: Path, data: bytes) -> None:
                    write(path, data[: len(data) // 2])
                    full()

                patch.setattr(local_store, "_write_through", half)
            elif step == "fsync":
                patch.setattr(os, "fsync", full)
            else:
                patch.setattr(Path, "replace", full)
            with pytest.raises(StoreUnavailable) as caught:
                await store.put("originals/ab/new.jpg", b"picture", "image/jpeg")
            assert caught.value.detail == "the disk of the data folder is full"
            assert caught.value.status == 503
        assert not await store.exists("originals/ab/new.jpg")
        assert await store.get("originals/ab/old.jpg") == b"before"
        await store.put("originals/ab/new.jpg", b"picture", "image/jpeg")

    with_store(tmp_path, work)
    assert files_in(tmp_path / "objects") == ["originals/ab/new.jpg", "originals/ab/old.jpg"]


FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
from service.storage.local_store import LocalStore
from service.storage.objects import StoreUnavailable

async def main(folder):
    async with LocalStore(folder) as store:
        await store.put("originals/ab/old.jpg", b"x" * 1_000_000, "image/jpeg")
        try:
            await store.put("originals/ab/new.jpg", b"y" * 3_000_000, "image/jpeg")
        except StoreUnavailable as error:
            assert error.__cause__.errno == 28, error.__cause__
        else:
            sys.exit("stored on a full disk")
        assert [key async for key in store.iter_keys()] == ["originals/ab/old.jpg"]
        assert not list((folder / "objects/.unfinished").iterdir())
        assert await store.get("originals/ab/old.jpg") == b"x" * 1_000_000
        await store.check()
        await store.put("originals/ab/fill.jpg", b"z" * 1_500_000, "image/jpeg")
        try:
            await store.check()
        except StoreUnavailable as error:
            assert "full" in error.detail
        else:
            sys.exit("a full disk was not noticed")
        await store.delete("originals/ab/fill.jpg")
        await store.check()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    # A file system of 3 MB in a name space of the test's own.
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=3m tmpfs '{tmp_path}'"
    try:
        if subprocess.run([*small, mount], capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount a file system in a name space of their own")
    except FileNotFoundError:
        pytest.skip("this machine has no unshare")
    command = [*small, f'{mount} && exec "$@"', "sh", sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    unfinished = tmp_path / "objects" / ".unfinished"
    unfinished.mkdir(parents=True)
    old, young = unfinished / "old", unfinished / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)

    async def keys(store: LocalStore) -> list[str]:
        return [key async for key in store.iter_keys()]

    assert with_store(tmp_path, keys) == []
    assert files_in(tmp_path / "objects") == [".unfinished/young"]


def test_a_folder_that_is_gone_is_a_failure_and_no_missing_file(tmp_path: Path) -> None:
    async def work(store: LocalStore) -> None:
        await store.check()
        (tmp_path / "objects").rename(tmp_path / "elsewhere")
        with pytest.raises(StoreUnavailable):
            await store.put("originals/ab/x.jpg", b"1", "image/jpeg")
        with pytest.raises(StoreUnavailable, match="gone"):
            await store.check()
        (tmp_path / "elsewhere").rename(tmp_path / "objects")
        await store.put("originals/ab/x.jpg", b"1", "image/jpeg")

    with_store(tmp_path, work)


def test_a_data_folder_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartupError, match="data folder"):
        with_store(tmp_path / "data", lambda store: store.check())


def test_after_the_end_calls_fail_and_do_not_hang(tmp_path: Path) -> None:
    async def run() -> None:
        async with LocalStore(tmp_path) as store:
            pass
        with pytest.raises(StoreUnavailable):
            await store.get("originals/ab/x.jpg")

    asyncio.run(run())


def test_the_monitor_tells_what_is_wrong(tmp_path: Path) -> None:
    async def run() -> None:
        async with LocalStore(tmp_path) as store:
            monitor = StoreMonitor(store, 0.01)
            assert monitor.failure()
            async with monitor.running():
                assert monitor.failure() is None
                (tmp_path / "objects").rename(tmp_path / "elsewhere")
                await until(lambda: monitor.failure() is not None)
                (tmp_path / "elsewhere").rename(tmp_path / "objects")
                await until(lambda: monitor.failure() is None)

    asyncio.run(run())


def test_all_processes_agree_on_the_signing_key(tmp_path: Path) -> None:
    for round_ in range(20):
        folder = tmp_path / str(round_)
        folder.mkdir()
        barrier = threading.Barrier(8)

        def ask(folder: Path = folder, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait()
            return signing_key(folder)

        with ThreadPoolExecutor(8) as pool:
            keys = {task.result() for task in [pool.submit(ask) for _ in range(8)]}
        assert len(keys) == 1
        assert len(keys.pop()) == 32
        assert files_in(folder) == ["signing.key"]


@pytest.mark.parametrize("content", ["", "ab\n", "not hex", "ab" * 31, "ä" * 32])
def test_a_damaged_signing_key_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "signing.key").write_text(content)
    with pytest.raises(StartupError, match=r"signing\.key"):
        with_store(tmp_path, lambda store: store.check())


def parsed(url: str) -> tuple[FileLink, str]:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
    key = parts.path.removeprefix("/files/")
    return FileLink(key, int(query["expires"]), query["name"], query["type"], query["as"]), query["signature"]


def test_nothing_of_a_link_can_be_changed(tmp_path: Path) -> None:
    async def work(store: LocalStore) -> None:
        url = await store.url(
            "originals/ab/x.jpg", filename="Ferien & Strand.jpg", content_type="image/jpeg", expires=60
        )
        assert url.startswith("/files/originals/ab/x.jpg?expires=")
        link, signature = parsed(url)
        store.verify(link, signature)
        changed = [
            FileLink("originals/ab/y.jpg", *_rest(link)),
            FileLink(link.key, link.expires + 1, link.filename, link.content_type, link.disposition),
            FileLink(link.key, link.expires, "x.html", link.content_type, link.disposition),
            FileLink(link.key, link.expires, link.filename, "text/html", link.disposition),
            FileLink(link.key, link.expires, link.filename, link.content_type, "inline"),
        ]
        for other in changed:
            with pytest.raises(Forbidden):
                store.verify(other, signature)
        for other_signature in ("", signature[:-1], signature + "=", signature.swapcase(), "ä"):
            with pytest.raises(Forbidden):
                store.verify(link, other_signature)

    def _rest(link: FileLink) -> tuple[int, str, str, str]:
        return link.expires, link.filename, link.content_type, link.disposition

    with_store(tmp_path, work)


def test_links_of_another_service_and_old_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    async def link(store: LocalStore) -> str:
        return await store.url("originals/ab/x.jpg", filename="x", content_type="image/jpeg", expires=60)

    async def old(store: LocalStore) -> str:
        return await store.url("originals/ab/x.jpg", filename="x", content_type="image/jpeg", expires=-1)

    async def refuse(store: LocalStore) -> None:
        with pytest.raises(Forbidden, match="not made by this service"):
            store.verify(*parsed(foreign))
        with pytest.raises(Forbidden, match="expired"):
            store.verify(*parsed(await old(store)))

    foreign = with_store(tmp_path / "a", link)
    with_store(tmp_path / "b", refuse)
    # The key is kept: links outlive a restart.
    with_store(tmp_path / "a", lambda store: asyncio.to_thread(store.verify, *parsed(foreign)))


def test_without_s3_settings_it_is_the_folder_and_nothing_of_s3_is_loaded(tmp_path: Path) -> None:
    assert isinstance(open_store(Settings(), tmp_path), LocalStore)
    program = (
        "import sys; from pathlib import Path; from service.settings import Settings; import service.handlers.files;"
        "from service.storage.stores import open_store; open_store(Settings(), Path('x'));"
        "assert not {'botocore', 'aiobotocore', 'aiohttp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\Bild 1.png", "Bild 1.png"),
        ("..", "picture"),
        (".htaccess", "htaccess"),
        ("", "picture"),
        (None, "picture"),
        ('a"b\r\nSet-Cookie: x=1;.jpg', "a_b Set-Cookie_ x=1_.jpg"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("Gru\u0308\u00dfe.jpg", "Gr\u00fc\u00dfe.jpg"),
        ("\ud800\x00.png", "png"),
        ("사진 1.webp", "사진 1.webp"),
        ("x" * 300 + ".jpeg", "x" * 115 + ".jpeg"),
    ],
)
def test_file_names(text: str | None, cleaned: str) -> None:
    assert clean_file_name(text) == cleaned


def test_content_disposition() -> None:
    assert content_disposition("photo.jpg") == 'attachment; filename="photo.jpg"'
    assert content_disposition("사진 é'.jpg", "inline") == (
        "inline; filename=\"__ e_.jpg\"; filename*=UTF-8''%EC%82%AC%EC%A7%84%20%C3%A9%27.jpg"
    )


@given(st.text(max_size=200))
def test_any_name_makes_a_safe_header(text: str) -> None:
    name = clean_file_name(text)
    assert name
    assert len(name) <= 120
    assert not set(name) & set('/\\<>:"|?*\r\n\0')
    assert clean_file_name(name) == name
    header = content_disposition(text)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
