"""Killed, cut off and starved: what was answered stays, what was not leaves nothing that is not known.

FACE_API_TEST_CRASH_REQUESTS is how many stored requests the kills are spread over; the suite makes a few of them do.
"""

import hashlib
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartServer
from tests.databases import ENGINES
from tests.postgres import Postgres
from tests.s3 import S3Server, s3_environment
from tests.s3_faults import Fault, FaultyS3
from tests.server import Server, eventually
from tests.storage import (
    STORAGE,
    Client,
    checked,
    s3_server,
    small_picture,
    storage_settings,
)

__all__ = ["s3_server"]

REQUESTS = int(os.environ.get("FACE_API_TEST_CRASH_REQUESTS", "30"))
CLIENTS = 4
# Some of them twice, so that pictures that are there already are among them.
PICTURES = [small_picture(seed) for seed in range(40)]

Answer = tuple[str, str, str, str]


class Load:
    """Clients that mask pictures until they are told to stop.

    Attributes:
        answers: Image id, job id, digest of the original and of the result, of every answer with ids.
        refused: Status of every other answer.
    """

    def __init__(self) -> None:
        """Start nobody yet."""
        self.answers: list[Answer] = []
        self.refused: list[int] = []
        self.stop = threading.Event()
        self.random = random.Random(7)  # the same each time

    def run(self, server: Server) -> None:
        """Send one picture after the other."""
        client = Client(server)
        while not self.stop.is_set():
            picture = self.random.choice(PICTURES)
            try:
                answer = client.mask(picture, method="solid", format="png")
            except httpx.HTTPError:
                # Killed in the middle; the next one tells whether it is back.
                time.sleep(0.01)
                continue
            if answer.status_code == 200:
                ids = answer.headers["x-image-id"], answer.headers["x-job-id"]
                digests = (hashlib.sha256(body).hexdigest() for body in (picture, answer.content))
                self.answers.append((*ids, *digests))  # type: ignore[arg-type]  # two and two
            else:
                self.refused.append(answer.status_code)


def assert_downloadable(client: Client, answers: list[Answer]) -> None:
    def verify(answer: Answer) -> None:
        image_id, job_id, original, result = answer
        found = client.download(f"images/{image_id}/download")
        assert hashlib.sha256(found.content).hexdigest() == original, (image_id, found.status_code)
        found = client.download(f"jobs/{job_id}/download")
        assert hashlib.sha256(found.content).hexdigest() == result, (job_id, found.status_code)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(verify, answers))


@pytest.mark.parametrize(("engine", "store"), [*product(ENGINES, ("folder",)), ("sqlite", "s3")])
def test_killed_at_any_moment(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: str,
    store: str,
) -> None:
    folder = tmp_path_factory.mktemp("data")
    settings = storage_settings(request, folder, engine, store)
    moments = random.Random(3)  # the same each time
    answers: list[Answer] = []
    kills = 0
    while len(answers) < REQUESTS:
        server = Server(tmp_path_factory.mktemp("service"), settings)
        load = Load()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(CLIENTS):
                pool.submit(load.run, server)
            eventually(lambda load=load: len(load.answers) >= 3, 20)  # type: ignore[misc]  # a default holds it
            time.sleep(moments.uniform(0, 0.8))
            kill_all(server)
            load.stop.set()
        server.stop()
        kills += 1
        answers += load.answers
        assert load.refused == []
    with Server(tmp_path_factory.mktemp("service"), settings) as server:
        report = checked(folder, settings)
        assert report["clean"], report
        assert report["status"] == 0
        assert report["jobs"] >= len(answers)
        assert_downloadable(Client(server), answers)
    assert kills >= 2


def kill_all(server: Server) -> None:
    """Kill the worker before its parent, which would start it anew."""
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(parent, signal.SIGSTOP)
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    os.kill(parent, signal.SIGKILL)


def test_what_a_killed_request_left_is_deleted(start_server: StartServer, tmp_path: Path) -> None:
    """An intent whose time is over is worked off after a restart."""
    from service.storage.engine import Database
    from tests.databases import with_database

    settings = {**STORAGE, "DATA_DIR": str(tmp_path)}
    orphan = tmp_path / "objects" / "originals" / "ab" / "abcd.png"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"half of a request")

    async def leave(database: Database) -> None:
        await database.fetch(
            "INSERT INTO cleanup_task (id, object_key, is_intent, attempts, due_at, created_at) "
            "VALUES ('8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1', 'originals/ab/abcd.png', TRUE, 0, "
            "'2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00')"
        )

    with_database({"DATA_DIR": str(tmp_path)}, leave)
    start_server(**settings)
    assert eventually(lambda: not orphan.exists(), 10)
    assert eventually(lambda: checked(tmp_path, settings)["tasks"] == 0, 10)


def test_s3_fails(start_server: StartServer, s3_server: S3Server, tmp_path: Path) -> None:
    """Every fault at a service of its own, side by side, since most of it is waiting."""
    faults: list[Fault] = ["error", "stall", "refuse", "drop_request", "drop_answer"]
    with ThreadPoolExecutor(len(faults)) as pool, ExitStack() as stack:
        running = []
        for fault in faults:
            proxy = stack.enter_context(FaultyS3(s3_server.port))
            bucket = s3_environment(proxy.endpoint, f"faulty-{fault.replace('_', '-')}")
            settings = {**STORAGE, "DATA_DIR": str(tmp_path / fault), **bucket}
            running.append((start_server(**settings), proxy, fault, settings))
        for future in [pool.submit(s3_scenario, *facts) for facts in running]:
            future.result()


def s3_scenario(server: Server, proxy: FaultyS3, fault: Fault, settings: dict[str, str]) -> None:
    """One service, one fault, and the time after it."""
    client = Client(server)
    good = client.mask(small_picture(1))
    assert good.status_code == 200
    # A deletion is a short request.
    proxy.fail(fault, after=100)
    started = time.monotonic()
    refused = client.mask(small_picture(2))
    assert refused.status_code == 503, fault
    assert "x-job-id" not in refused.headers
    assert refused.headers["retry-after"]
    assert time.monotonic() - started < 30
    assert client.get("stats").json()["total_jobs"] == 1
    # Deleting is done with the rows; the files follow.
    assert client.delete(good.headers["x-image-id"]).status_code == 204
    assert client.get(f"images/{good.headers['x-image-id']}").status_code == 404
    assert eventually(
        lambda: sum(task["attempts"] > 0 for task in client.get("cleanup").json()["items"]) >= 2, 60
    ), fault
    assert client.http.get("/health/live").status_code == 200
    assert eventually(lambda: client.http.get("/health").status_code == 503, 30)
    proxy.mend()
    assert eventually(lambda: client.http.get("/health").status_code == 200, 30)
    again = client.mask(small_picture(2))
    assert again.status_code == 200
    assert client.download(f"jobs/{again.headers['x-job-id']}/download").content == again.content
    assert eventually(lambda: client.get("cleanup").json()["total"] == 0, 120), fault
    report = checked(Path(settings["DATA_DIR"]), settings)
    assert report["clean"], report
    assert report["objects"] == 2


def test_postgresql_goes_and_comes_back_under_load(start_server: StartServer, tmp_path: Path) -> None:
    with Postgres() as postgres:
        settings = {
            **STORAGE,
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": postgres.new_database(),
            "WORKERS": "2",
        }
        server = start_server(**settings)
        load = Load()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(CLIENTS):
                pool.submit(load.run, server)
            try:
                assert eventually(lambda: len(load.answers) >= 10, 30)
                postgres.stop()
                assert eventually(lambda: len(load.refused) >= 3, 30)
                postgres.start()
                before = len(load.answers)
                assert eventually(lambda: len(load.answers) >= before + 10, 60)
            finally:
                load.stop.set()
        assert set(load.refused) == {503}
        client = Client(server)
        assert_downloadable(client, load.answers)
        report = checked(tmp_path, settings)
        assert report["clean"], report
        assert report["jobs"] >= len(load.answers)
