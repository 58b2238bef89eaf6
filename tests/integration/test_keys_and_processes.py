"""API keys and the service's processes: starts, counts, kills, quotas, the command line."""

import json
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.command import face_api
from tests.conftest import StartServer
from tests.keys import ACCESS, ADMIN, DETECT, FIELDS, KEYS, ask, facts, make, printed_key
from tests.pictures import encoded, scene
from tests.server import eventually


def test_the_first_start_makes_one_key_and_prints_it_once(
    start_server: StartServer, database_settings: dict[str, str], tmp_path: Path
) -> None:
    first = start_server(**ACCESS, **database_settings)
    key = printed_key(first)
    assert key is not None
    lines = first.stdout.splitlines()
    assert lines.index(next(line for line in lines if line.endswith(key))) < lines.index("ready")
    assert ask(first, key).status_code == 200
    command = next(line for line in lines if "curl" in line).partition("curl")[2]
    assert key in command
    if shutil.which("curl"):
        (tmp_path / "photo.jpg").write_bytes(encoded(scene(), "JPEG"))
        run = subprocess.run(
            ["curl", "-sf", "--noproxy", "*", *shlex.split(command)], cwd=tmp_path, check=False, timeout=30
        )
        assert run.returncode == 0
        assert (tmp_path / "masked.jpg").read_bytes().startswith(b"\xff\xd8")
    first.stop()
    second = start_server(**ACCESS, **database_settings)
    assert "xyl_" not in second.stdout.replace("xyl_your_api_key_here", "")
    assert "API keys: 1;" in second.stdout
    assert ask(second, key).status_code == 200
    assert key not in first.stderr + second.stderr


def test_a_start_after_the_last_key_was_deleted_makes_none(
    start_server: StartServer, database_settings: dict[str, str]
) -> None:
    first = start_server(**ACCESS, **database_settings)
    for item in httpx.get(first.origin + KEYS, auth=ADMIN, trust_env=False).json()["items"]:
        url = f"{first.origin}{KEYS}/{item['id']}"
        assert httpx.delete(url, auth=ADMIN, trust_env=False).status_code == 204
    first.stop()
    second = start_server(**ACCESS, **database_settings)
    assert printed_key(second) is None
    assert "there is no API key" in second.stdout


@pytest.mark.parametrize("workers", ["1", "3"])
def test_counts_are_exact_after_a_clean_stop(
    start_server: StartServer, database_settings: dict[str, str], workers: str
) -> None:
    server = start_server(**ACCESS, **database_settings, WORKERS=workers)
    made = [make(server), make(server, daily_quota=1000)]
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda number: ask(server, made[number % 2]["key"]), range(60)):
            assert answer.status_code == 200
        # A refused picture is a request too; a refused key is none.
        bad = httpx.post(server.origin + DETECT, headers={"X-API-Key": made[0]["key"]}, trust_env=False)
        assert bad.status_code == 400
    assert server.stop() == 0
    again = start_server(**ACCESS, **database_settings)
    first, second = (facts(again, item["id"]) for item in made)
    assert (first["request_count"], first["used_today"]) == (31, 31)
    assert (second["request_count"], second["used_today"]) == (30, 30)
    assert first["last_used_at"] is not None


@pytest.mark.alone
def test_a_kill_loses_at_most_a_second(start_server: StartServer, database_settings: dict[str, str]) -> None:
    server = start_server(**ACCESS, **database_settings)
    made = make(server)
    times = []
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert ask(server, made["key"]).status_code == 200
        times.append(time.monotonic())
    children = children_of(server.process.pid)
    killed = time.monotonic()
    for pid in (server.process.pid, *children):
        send(pid, signal.SIGKILL)
    server.stop(signal.SIGKILL)
    again = start_server(**ACCESS, **database_settings)
    counted = facts(again, made["id"])["request_count"]
    assert sum(moment < killed - 1 for moment in times) <= counted <= len(times)


def children_of(pid: int) -> list[int]:
    """The processes that a process started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def send(pid: int, number: signal.Signals) -> None:
    import os

    os.kill(pid, number)


def test_a_quota_is_exact_over_four_processes(
    start_server: StartServer, database_settings: dict[str, str]
) -> None:
    server = start_server(**ACCESS, **database_settings, WORKERS="4")
    made = make(server, daily_quota=20)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(server, made["key"]), range(100)))
    assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 80}
    admitted = [answer for answer in answers if answer.status_code == 200]
    assert {int(answer.headers["X-Quota-Remaining"]) for answer in admitted} == set(range(20))
    for answer in answers:
        assert answer.headers["X-Quota-Limit"] == "20"
        assert 1 <= int(answer.headers["X-Quota-Reset"]) <= 86_400
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["Retry-After"] == refused.headers["X-Quota-Reset"]
    assert refused.headers["X-Quota-Remaining"] == "0"
    assert "daily quota" in refused.json()["detail"]
    assert eventually(lambda: facts(server, made["id"])["request_count"] == 20)
    assert facts(server, made["id"])["used_today"] == 20
    raised = httpx.patch(
        f"{server.origin}{KEYS}/{made['id']}", json={"daily_quota": 21}, auth=ADMIN, trust_env=False
    )
    assert raised.json()["daily_quota"] == 21
    time.sleep(1)
    assert Counter(ask(server, made["key"]).status_code for _ in range(3)) == {200: 1, 429: 2}


@pytest.mark.alone
def test_the_command_line_and_the_service_share_the_keys(
    start_server: StartServer, database_settings: dict[str, str], tmp_path: Path
) -> None:
    server = start_server(**ACCESS, **database_settings)

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return face_api(tmp_path, "keys", *arguments, settings=database_settings)

    made = run("create", "from a terminal", "--quota", "5", "--expires", "2099-01-01T00:00:00+00:00")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert ask(server, key).headers["X-Quota-Limit"] == "5"
    listed = json.loads(run("list", "--json").stdout)
    assert [item["name"] for item in listed] == ["from a terminal", "First key"]
    assert set(listed[0]) == FIELDS
    table = run("list").stdout
    assert "from a terminal" in table
    assert "1/5" in table
    assert key not in table
    assert run("revoke", "from a terminal").returncode == 0
    assert eventually(lambda: ask(server, key).status_code == 403, 1.0)
    assert "revoked" in run("list").stdout
    assert run("delete", listed[0]["id"]).returncode == 0
    assert eventually(lambda: ask(server, key).status_code == 401, 1.0)
    for wrong in (
        ("delete", "from a terminal"),
        ("revoke", "x"),
        ("create", ""),
        ("create", "x", "--expires", "x"),
    ):
        failed = run(*wrong)
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1
        assert failed.stderr.startswith("face-api: ")


def test_without_a_database(start_server: StartServer) -> None:
    server = start_server(**{**ACCESS, "API_KEY_ENABLED": "false", "DATABASE_URL": "none"})
    assert ask(server, None).status_code == 200
    calls: list[Callable[[], httpx.Response]] = [
        lambda: httpx.get(server.origin + KEYS, auth=ADMIN, trust_env=False),
        lambda: httpx.post(server.origin + KEYS, json={"name": "x"}, auth=ADMIN, trust_env=False),
        lambda: httpx.get(server.origin + KEYS + "/x", auth=ADMIN, trust_env=False),
        lambda: httpx.patch(server.origin + KEYS + "/x", json={}, auth=ADMIN, trust_env=False),
        lambda: httpx.delete(server.origin + KEYS + "/x", auth=ADMIN, trust_env=False),
    ]
    for call in calls:
        answer = call()
        assert answer.status_code == 501
        assert "FACE_API_DATABASE_URL" in answer.json()["detail"]
    assert httpx.get(server.origin + KEYS, trust_env=False).status_code == 401


def test_keys_may_be_made_while_nobody_asks_for_them(
    start_server: StartServer, database_settings: dict[str, str]
) -> None:
    server = start_server(**{**ACCESS, "API_KEY_ENABLED": "false"}, **database_settings)
    key = make(server)["key"]
    assert ask(server, None).status_code == 200
    assert ask(server, "no key").status_code == 200
    server.stop()
    asking = start_server(**ACCESS, **database_settings)
    assert printed_key(asking) is None
    assert ask(asking, key).status_code == 200
