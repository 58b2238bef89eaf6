"""API keys through real servers, on both engines."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.command import face_api
from tests.databases import ENGINES, empty_database
from tests.keys import ACCESS, ADMIN, DETECT, FIELDS, KEYS, SMALL, ask, make
from tests.server import Server, eventually

NO_ID = "8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1"


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes that ask for keys."""
    settings = empty_database(request, tmp_path_factory.mktemp("data"))
    with Server(tmp_path_factory.mktemp("service"), {**ACCESS, **settings, "WORKERS": "2"}) as server:
        yield server


@pytest.fixture
def admin(service: Server) -> Iterator[httpx.Client]:
    """The admin's client."""
    with httpx.Client(base_url=service.origin, auth=ADMIN, trust_env=False, timeout=30) as client:
        yield client


@pytest.mark.alone
def test_the_life_of_a_key(service: Server, admin: httpx.Client) -> None:
    answer = admin.post(KEYS, json={"name": "Production App"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert set(made) == FIELDS | {"key"}
    key = made.pop("key")
    assert re.fullmatch("xyl_[0-9a-f]{48}", key)
    assert made["name"] == "Production App"
    assert (made["key_prefix"], made["key_suffix"]) == (key[:8], key[-4:])
    assert made["key_preview"] == f"{key[:8]}...{key[-4:]}"
    assert (made["is_active"], made["request_count"], made["last_used_at"]) == (True, 0, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made["created_at"])
    path = f"{KEYS}/{made['id']}"
    assert admin.get(path).json() == made
    assert admin.get(path.upper().replace("/API/V1/ADMIN/API-KEYS", KEYS)).json() == made

    renamed = admin.patch(path, json={"name": " Renamed App ", "is_active": False}).json()
    assert renamed == {**made, "name": "Renamed App", "is_active": False}
    assert admin.patch(path, json={}).json() == renamed
    assert ask(service, key).status_code in (200, 403)
    assert eventually(lambda: {ask(service, key).status_code for _ in range(6)} == {403}, 1.0)
    assert ask(service, key).json() == {"detail": "this API key has been revoked"}
    assert admin.patch(path, json={"is_active": True}).json()["is_active"] is True
    assert eventually(lambda: {ask(service, key).status_code for _ in range(6)} == {200}, 1.0)

    deleted = admin.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert eventually(lambda: {ask(service, key).status_code for _ in range(6)} == {401}, 1.0)
    for answer in (admin.get(path), admin.patch(path, json={"name": "x"}), admin.delete(path)):
        assert answer.status_code == 404
        assert list(answer.json()) == ["detail"]


def test_pages(admin: httpx.Client) -> None:
    for number in range(5):
        assert admin.post(KEYS, json={"name": f"page {number}"}).status_code == 201
    first = admin.get(KEYS).json()
    total = first["total"]
    assert (first["page"], first["per_page"]) == (1, 20)
    assert set(first) == {"items", "total", "page", "per_page", "pages"}
    assert all(set(item) == FIELDS for item in first["items"])
    assert "xyl_" not in re.sub(r'"xyl_[0-9a-f]{4}(\.\.\.[0-9a-f]{4})?"', "", admin.get(KEYS).text)
    names = [item["name"] for item in admin.get(KEYS, params={"per_page": 3}).json()["items"]]
    assert names == ["page 4", "page 3", "page 2"]
    pages = -(-total // 3)
    beyond = admin.get(KEYS, params={"per_page": 3, "page": pages + 1})
    assert beyond.status_code == 200
    assert beyond.json() == {
        "items": [],
        "total": total,
        "page": pages + 1,
        "per_page": 3,
        "pages": pages,
    }
    assert admin.get(KEYS, params={"page": 2**31 - 1, "per_page": 100}).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "page=", "per_page=0", "per_page=101", "page=1&page=2", "pages=1"],
)
def test_wrong_pages(admin: httpx.Client, query: str) -> None:
    answer = admin.get(f"{KEYS}?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize(
    "key_id",
    [
        "x",
        "1",
        "0" * 32,
        "{8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1}",
        "%00",
        "'",
        "8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1",
    ],
)
def test_ids_that_are_none(admin: httpx.Client, key_id: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = admin.request(method, f"{KEYS}/{key_id}", json={} if method == "PATCH" else None)
        assert answer.status_code == 404, (method, answer.text)
        assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ("1", "object"),
        ("{}", "name"),
        ('{"name": 1}', "name=1"),
        ('{"name": null}', "name=null"),
        ('{"name": ""}', "name="),
        ('{"name": "  "}', "name="),
        ('{"name": "a\\u0000b"}', "name="),
        ('{"name": "\\ud800"}', "JSON"),
        (json.dumps({"name": "x" * 101}), "name="),
        ('{"name": "x", "nmae": 1}', "did you mean name"),
        ('{"name": "x", "is_active": false}', "is_active"),
        ('{"name": "x", "daily_quota": 0}', "daily_quota=0: expected an integer from 1 to 2147483647"),
        ('{"name": "x", "daily_quota": 1.5}', "daily_quota"),
        ('{"name": "x", "daily_quota": "5"}', "daily_quota"),
        ('{"name": "x", "daily_quota": true}', "daily_quota"),
        ('{"name": "x", "daily_quota": 1e400}', ""),
        ('{"name": "x", "daily_quota": 99999999999999999999999}', "daily_quota"),
        ('{"name": "x", "expires_at": 5}', "expires_at=5"),
        ('{"name": "x", "expires_at": "soon"}', "expires_at"),
        ('{"name": "x", "expires_at": "2020-01-01T00:00:00Z"}', "future"),
        ('{"name": "x", "expires_at": "2099-01-01T00:00:00"}', "offset"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_wrong_bodies(admin: httpx.Client, body: str, word: str) -> None:
    answer = admin.post(KEYS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_foreign_form_is_no_json(admin: httpx.Client, content_type: str) -> None:
    answer = admin.post(KEYS, content=b'{"name": "x"}', headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('{"is_active": 1}', "is_active=1: expected true or false"),
        ('{"is_active": null}', "is_active=null"),
        ('{"name": null}', "name=null"),
        ('{"id": "x"}', "unknown field 'id'"),
    ],
)
def test_wrong_changes(service: Server, admin: httpx.Client, body: str, word: str) -> None:
    path = f"{KEYS}/{make(service)['id']}"
    answer = admin.patch(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert word in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_admin_is_asked_for(service: Server, method: str) -> None:
    for auth in (None, httpx.BasicAuth("admin", "wrong"), httpx.BasicAuth("other", "secret")):
        answer = httpx.request(method, service.origin + KEYS, auth=auth, json={"name": "x"}, trust_env=False)
        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer.headers


def test_where_a_key_may_stand(service: Server) -> None:
    key, other = make(service)["key"], make(service)["key"]
    assert ask(service, key).status_code == 200
    assert ask(service, None, Authorization=f"Bearer {key}").status_code == 200
    assert ask(service, None, Authorization=f"bearer {key}").status_code == 200
    assert ask(service, key, Authorization=f"Bearer {key}").status_code == 200
    assert ask(service, key, Authorization="Basic YWRtaW46c2VjcmV0").status_code == 200
    answer = ask(service, key, Authorization=f"Bearer {other}")
    assert answer.status_code == 400
    assert "two different API keys" in answer.json()["detail"]
    for refused in (
        ask(service, None),
        ask(service, ""),
        ask(service, key[:-1]),
        ask(service, key + "0"),
        ask(service, key.upper()),
        ask(service, "xyl_" + "0" * 48),
        ask(service, "x" * 8000),
        ask(service, None, Authorization=f"Basic {key}"),
        ask(service, None, Authorization=key),
        httpx.post(f"{service.origin}{DETECT}?api_key={key}", content=SMALL, trust_env=False),
    ):
        assert refused.status_code == 401, refused.text
        assert refused.headers["WWW-Authenticate"].startswith('Bearer realm="Face API"')
        assert list(refused.json()) == ["detail"]
        assert key not in refused.text


@pytest.mark.parametrize("value", [b"\xff\xfe", "xyl_é".encode(), b"xyl_" + b"\xa0" * 48, b"x" * 60_000])
def test_credentials_of_other_bytes(service: Server, value: bytes) -> None:
    for name in (b"X-API-Key: ", b"Authorization: Bearer "):
        with service.connect() as connection:
            connection.sendall(
                b"POST /api/v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n"
                + name
                + value
                + b"\r\n\r\n"
            )
            status = int(connection.recv(12).split()[1])
        assert status in (400, 401, 431)


def test_a_refusal_does_not_wait_for_the_body(service: Server) -> None:
    with service.connect(timeout=5) as connection:
        connection.sendall(b"POST /api/v1/mask HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_an_expired_key_is_refused(service: Server) -> None:
    expires = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = make(service, expires_at=expires)
    assert ask(service, made["key"]).status_code == 200
    assert eventually(lambda: ask(service, made["key"]).status_code == 403, 4)
    assert f"expired at {made['expires_at']}" in ask(service, made["key"]).json()["detail"]


def test_a_new_key_works_at_once_in_every_process(service: Server) -> None:
    seen: set[int] = set()
    for _ in range(10):
        key = make(service)["key"]
        for _ in range(4):
            answer = ask(service, key)
            assert answer.status_code == 200, answer.text
            seen.add(answer.json()["profiling"]["worker_pid"])
    assert len(seen) == 2


@pytest.mark.alone
@pytest.mark.parametrize("how", ["revoke", "delete", "command"])
def test_a_key_taken_away_under_load_stops_within_a_second(
    service: Server, admin: httpx.Client, tmp_path: Path, how: str
) -> None:
    made = make(service, name=f"load {how}")
    answers: list[tuple[float, int, int]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            started = time.monotonic()
            answer = ask(service, made["key"])
            process = answer.json()["profiling"]["worker_pid"] if answer.status_code == 200 else 0
            answers.append((started, answer.status_code, process))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(load)
        time.sleep(1.5)
        begun = time.monotonic()
        path = f"{KEYS}/{made['id']}"
        match how:
            case "revoke":
                assert admin.patch(path, json={"is_active": False}).status_code == 200
            case "delete":
                assert admin.delete(path).status_code == 204
            case _:
                environment = {"DATA_DIR": service_setting(service, "DATA_DIR")}
                if url := service_setting(service, "DATABASE_URL"):
                    environment["DATABASE_URL"] = url
                run = face_api(tmp_path, "keys", "revoke", made["id"], settings=environment)
                assert run.returncode == 0, run.stderr
        taken = time.monotonic()
        time.sleep(2.0)
        stop.set()
    before = [(status, process) for started, status, process in answers if started < begun - 0.5]
    assert {status for status, _ in before} == {200}
    assert len({process for _, process in before}) == 2
    after = Counter(status for started, status, _ in answers if started > taken + 1.0)
    assert set(after) == {401 if how == "delete" else 403}


def service_setting(server: Server, name: str) -> str:
    """A setting of a running service."""
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    values = dict(item.decode().partition("=")[::2] for item in environment if item)
    return values.get(f"FACE_API_{name}", "")


def test_a_bad_picture_tells_the_quota_too(service: Server) -> None:
    made = make(service, daily_quota=5)
    answer = httpx.post(
        service.origin + DETECT, content=b"no picture", headers={"X-API-Key": made["key"]}, trust_env=False
    )
    assert (answer.status_code, answer.headers["X-Quota-Remaining"]) == (400, "4")
