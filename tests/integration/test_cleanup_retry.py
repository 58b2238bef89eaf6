"""Trying again at once what could not be deleted: both engines, both object stores."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from service.storage.cleanup_tasks import add_tasks, take_lease
from service.storage.engine import Database
from tests.conftest import StartServer
from tests.databases import ENGINES, with_database
from tests.s3 import S3Server
from tests.s3_faults import FaultyS3
from tests.server import Server, eventually
from tests.storage import ADMIN, STORAGE, Client, checked, s3_server, small_picture, storage_settings

__all__ = ["s3_server"]

NO_ID = "8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1"


class Stuck(NamedTuple):
    """A service with files that it cannot delete, none of which it will try within the hour."""

    server: Server
    client: Client
    settings: dict[str, str]
    folder: Path
    mend: Callable[[], None]

    def tasks(self) -> list[dict[str, Any]]:
        """What is still to be deleted."""
        items: list[dict[str, Any]] = self.client.get("cleanup").json()["items"]
        return items

    def retry(self, task_id: str = "") -> httpx.Response:
        """Try one of them, or all."""
        path = f"{task_id}/retry" if task_id else "retry"
        return self.client.http.post(f"/api/v1/admin/cleanup/{path}", auth=ADMIN)


@pytest.fixture(params=list(product(ENGINES, ("folder", "s3"))), ids="-".join)
def stuck(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stuck]:
    engine, store = request.param
    settings = storage_settings(request, tmp_path, engine, store)
    with ExitStack() as stack:
        proxy = None
        if store == "s3":
            s3: S3Server = request.getfixturevalue("s3_server")
            proxy = stack.enter_context(FaultyS3(s3.port))
            settings["S3_ENDPOINT"] = proxy.endpoint
        server = stack.enter_context(Server(tmp_path, settings))
        client = Client(server)
        image = client.mask(small_picture(1)).headers["x-image-id"]
        mend = (
            _break_s3(proxy) if proxy is not None else _break_folder(Path(settings["DATA_DIR"]) / "objects")
        )
        with_database(settings, _hold_lease)
        assert client.delete(image).status_code == 204

        def tried() -> list[bool]:
            return [task["attempts"] > 0 for task in client.get("cleanup").json()["items"]]

        assert eventually(lambda: tried() == [True, True], 30)
        with_database(settings, _put_off)
        yield Stuck(server, client, settings, tmp_path, mend)


def _break_s3(proxy: FaultyS3) -> Callable[[], None]:
    proxy.fail("refuse")
    return lambda: proxy.fail("none")


def _break_folder(objects: Path) -> Callable[[], None]:
    """Each folder of files becomes a link to itself: deleting in it fails, whoever asks."""
    folders = [path for path in objects.glob("[!.]*/*") if path.is_dir()]
    away = [path.with_name(f".{path.name}") for path in folders]
    for path, hidden in zip(folders, away, strict=True):
        path.rename(hidden)
        path.symlink_to(path.name)

    def mend() -> None:
        for path, hidden in zip(folders, away, strict=True):
            path.unlink()
            hidden.rename(path)

    return mend


async def _hold_lease(database: Database) -> None:
    """Let the service's own cleaner wait: it would try the same tasks meanwhile."""
    async with database.transaction():
        await database.fetch("DELETE FROM lease")
        assert await take_lease(database, "cleanup", uuid4(), 3600)


async def _put_off(database: Database) -> None:
    await database.fetch("UPDATE cleanup_task SET due_at = {}", datetime.now(UTC) + timedelta(hours=1))


def test_one_task_and_all(stuck: Stuck) -> None:
    first, second = stuck.tasks()
    answer = stuck.retry(first["id"])
    assert answer.status_code == 200, answer.text
    failed = answer.json()
    assert (failed["deleted"], failed["failed"], failed["remaining"]) == (0, 1, 2)
    again = stuck.tasks()[0]
    assert again["id"] == first["id"]
    assert again["attempts"] == first["attempts"] + 1
    assert again["last_error"] == failed["last_error"]
    assert failed["last_error"]
    assert again["next_attempt_at"] < first["next_attempt_at"]

    everything = stuck.retry().json()
    assert (everything["deleted"], everything["failed"], everything["remaining"]) == (0, 2, 2)
    assert [task["attempts"] for task in stuck.tasks()] == [first["attempts"] + 2, second["attempts"] + 1]

    with_database(stuck.settings, _put_off)
    stuck.mend()
    one = stuck.retry(second["id"])
    assert one.json() == {"deleted": 1, "failed": 0, "last_error": None, "remaining": 1}
    assert [task["id"] for task in stuck.tasks()] == [first["id"]]
    assert stuck.retry(second["id"]).status_code == 404
    rest = stuck.retry()
    assert rest.json() == {"deleted": 1, "failed": 0, "last_error": None, "remaining": 0}
    assert stuck.retry().json() == {"deleted": 0, "failed": 0, "last_error": None, "remaining": 0}
    report = checked(stuck.folder, stuck.settings)
    assert report["clean"]
    assert (report["tasks"], report["unfinished"]) == (0, 0)

    audit = stuck.client.get("audit").json()["items"]
    entries = [(entry["target"], entry["detail"]) for entry in audit if entry["action"] == "cleanup.retry"]
    # The newest first; what tried nothing is no action.
    assert entries == [
        (None, "tasks: 1"),
        (second["id"], f"file: {second['object_key']}"),
        (None, "tasks: 2"),
        (first["id"], f"file: {first['object_key']}"),
    ]
    assert {entry["actor"] for entry in audit if entry["action"] == "cleanup.retry"} == {"admin"}


def test_an_upload_under_way_is_not_touched(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**STORAGE, "DATA_DIR": str(tmp_path)}
    server = start_server(**settings)

    async def announce(database: Database) -> int:
        moment = datetime.now(UTC) + timedelta(hours=1)
        await database.fetch(
            "INSERT INTO cleanup_task (id, object_key, is_intent, attempts, due_at, created_at) "
            "VALUES ({}, {}, {}, 0, {}, {})",
            NO_ID,
            "processed/ab/upload.jpg",
            True,
            moment,
            moment,
        )
        return 1

    async def intents(database: Database) -> int:
        rows = await database.fetch(
            "SELECT COUNT(*) AS count FROM cleanup_task WHERE is_intent AND attempts = 0"
        )
        return int(rows[0]["count"])

    assert with_database(settings, announce) == 1
    http = Client(server).http
    assert http.post("/api/v1/admin/cleanup/retry", auth=ADMIN).json()["remaining"] == 0
    assert http.post(f"/api/v1/admin/cleanup/{NO_ID}/retry", auth=ADMIN).status_code == 404
    assert with_database(settings, intents) == 1


def test_who_may(start_server: StartServer) -> None:
    http = Client(start_server(**STORAGE)).http
    paths = ("/api/v1/admin/cleanup/retry", f"/api/v1/admin/cleanup/{NO_ID}/retry")
    for path in paths:
        assert http.post(path).status_code == 401
        assert http.get(path, auth=ADMIN).status_code == 405
    assert http.post("/api/v1/admin/cleanup/nothing/retry", auth=ADMIN).status_code == 404
    login = http.post("/api/v1/admin/auth/login", json={"username": "admin", "password": "a-long-secret"})
    cookie = {"Cookie": f"face_api_session={login.cookies['face_api_session']}"}
    for path, status in zip(paths, (200, 404), strict=True):
        foreign = http.post(path, headers={**cookie, "Origin": "https://example.org"})
        assert foreign.status_code == 403
        assert http.post(path, headers=cookie).status_code == status


def test_without_storage(start_server: StartServer) -> None:
    http = Client(start_server(**{**STORAGE, "STORAGE_ENABLED": "false"})).http
    for path in ("retry", f"{NO_ID}/retry"):
        answer = http.post(f"/api/v1/admin/cleanup/{path}", auth=ADMIN)
        assert answer.status_code == 501
        assert "FACE_API_STORAGE_ENABLED" in answer.json()["detail"]


def test_a_task_that_names_no_file_holds_nothing_up(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**STORAGE, "DATA_DIR": str(tmp_path)}
    client = Client(start_server(**settings))
    folder = tmp_path / "objects" / "processed" / "ab" / "folder.jpg"
    folder.mkdir(parents=True)

    async def add(database: Database) -> None:
        await add_tasks(
            database, ["processed/ab/folder.jpg", "processed/ab/folder.jpg/file.jpg", "processed/ab/gone.jpg"]
        )

    with_database(settings, add)
    assert client.http.post("/api/v1/admin/cleanup/retry", auth=ADMIN).json()["remaining"] == 0
    assert client.get("cleanup").json()["total"] == 0
