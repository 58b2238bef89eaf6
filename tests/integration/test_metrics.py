"""GET /metrics of running services, and a log that keeps secrets."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import StartServer
from tests.server import Server, eventually, multipart

Series = dict[str, float]

TOKEN = {"Authorization": "Bearer sesame öffne dich".encode().decode("latin-1")}


def read(server: Server, **headers: str) -> Series:
    """Return all series by name and sorted labels, as Prometheus would write them."""
    status, answer, body = server.request("GET", "/metrics", headers=headers)
    assert status == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{text}"' for name, text in sorted(sample.labels.items()))
            key = sample.name + (f"{{{labels}}}" if labels else "")
            assert key not in found
            found[key] = sample.value
    return found


def requests(method: str, route: str, status: int) -> str:
    return f'face_api_requests_total{{method="{method}",route="{route}",status="{status}"}}'


def rejections(reason: str) -> str:
    return f'face_api_rejections_total{{reason="{reason}"}}'


def post(server: Server, path: str, body: bytes, **headers: str) -> int:
    return server.request("POST", path, body, {"Content-Type": "image/png", **headers})[0]


@pytest.fixture(params=["1", "3"])
def workers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_is_asked_is_counted(start_server: StartServer, workers: str, face_png: bytes) -> None:
    server = start_server(WORKERS=workers, MAX_IMAGE_BYTES="400000")
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda _: server.request("GET", "/health/live"), range(40)):
            pass
        assert set(threads.map(lambda _: post(server, "/api/v1/mask", face_png), range(6))) == {200}
    assert post(server, "/api/v1/detect", face_png) == 200
    assert post(server, "/api/v1/detect?confidence=7", face_png) == 400
    assert post(server, "/api/v1/detect", b"no picture") == 400
    assert post(server, "/api/v1/detect", bytes(400_001)) == 413
    for number in range(5):
        assert server.request("GET", f"/nothing/{number}")[0] == 404
        assert server.request("GET", f"/static/{number}.js")[0] == 404
    assert server.request("BREW", "/health")[0] == 405
    assert server.request("HEAD", "/health/live")[0] == 200

    expected = {
        requests("GET", "/health/live", 200): 40,
        requests("HEAD", "/health/live", 200): 1,
        requests("POST", "/api/v1/mask", 200): 6,
        requests("POST", "/api/v1/detect", 200): 1,
        requests("POST", "/api/v1/detect", 400): 2,
        requests("POST", "/api/v1/detect", 413): 1,
        requests("GET", "unmatched", 404): 5,
        requests("GET", "/static/{name}", 404): 5,
        requests("other", "unmatched", 405): 1,
        rejections("bad_request"): 1,
        rejections("bad_image"): 1,
        rejections("too_large"): 1,
        rejections("not_found"): 10,
        rejections("method_not_allowed"): 1,
        rejections("busy"): 0,
        'face_api_faces_sum{endpoint="mask"}': 18,
        'face_api_faces_sum{endpoint="detect"}': 3,
        'face_api_pictures_total{endpoint="mask",format="png"}': 6,
        'face_api_request_duration_seconds_count{method="POST",route="/api/v1/mask"}': 6,
        "face_api_workers": int(workers),
        "face_api_requests_in_flight": 1,
    }
    for step in ("decode", "preprocess", "inference", "postprocess", "mask", "encode"):
        expected[f'face_api_step_duration_seconds_count{{endpoint="mask",step="{step}"}}'] = 6
    # A request is counted when its answer has been sent, which may be after it has been read.
    assert eventually(lambda: expected.items() <= read(server).items()), (
        expected.items() - read(server).items()
    )
    series = read(server)
    assert 'input_size="640x640",model="scrfd_free",provider="CPUExecutionProvider"' in str(series)
    seconds = series['face_api_step_duration_seconds_sum{endpoint="mask",step="inference"}']
    total = series['face_api_request_duration_seconds_sum{method="POST",route="/api/v1/mask"}']
    assert 0 < seconds < total


def test_every_process_tells_the_same(start_server: StartServer) -> None:
    server = start_server(WORKERS="3")
    assert eventually(lambda: read(server)["face_api_workers"] == 3)
    seen = [read(server)[requests("GET", "/metrics", 200)] for _ in range(12)]
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] == 11


@pytest.mark.alone
def test_processes_that_are_replaced_leave_their_counts(start_server: StartServer, face_png: bytes) -> None:
    with _blocked(signal.SIGHUP, signal.SIGTERM):
        server = start_server(WORKERS="2")
    assert [post(server, "/api/v1/detect", face_png) for _ in range(6)] == [200] * 6
    before = read(server)
    first = set(server.workers())
    # The processes may have started less than a second ago.
    time.sleep(1)
    server.process.send_signal(signal.SIGHUP)
    # The new ones run beside the old ones for a while.
    assert eventually(lambda: len(now := set(server.workers())) == 2 and not now & first, 90), (
        first,
        server.workers(),
        server.stderr,
    )
    assert eventually(lambda: _answers(server) and read(server)["face_api_workers"] == 2, 60), server.stderr
    after = read(server)
    assert after["process_start_time_seconds"] > before["process_start_time_seconds"] + 1
    assert after[requests("POST", "/api/v1/detect", 200)] == 6
    assert after["face_api_requests_in_flight"] == 1
    assert server.stop() == 0


@contextmanager
def _blocked(*signals: signal.Signals) -> Iterator[None]:
    """Block signals, in the processes started meanwhile too."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/health/live")[0] == 200
    except OSError:
        return False


def test_the_folder_goes_with_the_service(tmp_path: Path) -> None:
    with Server(tmp_path, {"WORKERS": "2"}) as server:
        assert len([path for path in (tmp_path / "data" / "metrics").iterdir() if path.is_dir()]) == 1
        assert server.stop() == 0
    assert [path.name for path in (tmp_path / "data" / "metrics").iterdir()] == ["lock"]
    with Server(tmp_path, {"WORKERS": "2"}) as server:
        for process in (server.process.pid, *server.workers()):
            os.kill(process, signal.SIGKILL)
        server.process.wait()
    with Server(tmp_path, {"WORKERS": "2"}):
        assert len([path for path in (tmp_path / "data" / "metrics").iterdir() if path.is_dir()]) == 1


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that asks for a token."""
    with Server(tmp_path_factory.mktemp("guarded"), {"METRICS_TOKEN": "sesame öffne dich"}) as running:
        yield running


@pytest.mark.parametrize(
    "value",
    [
        None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer sesame", "Basic c2VzYW1l", "sesame öffne dich",
        "Bearer sesame \xf6ffne dich", "Bearer " + "a" * 5000,
    ],
)  # fmt: skip
def test_without_the_token_there_are_no_metrics(guarded: Server, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value}
    status, answer, body = guarded.request("GET", "/metrics", headers=headers)
    assert status == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="Face API metrics"'
    assert list(json.loads(body)) == ["detail"]
    assert b"sesame" not in body
    assert b"face_api_" not in body


def test_with_the_token_there_are(guarded: Server) -> None:
    series = read(guarded, **TOKEN)
    assert series[rejections("unauthorized")] >= 0
    # The rest of the service does not ask for it.
    assert guarded.request("GET", "/health")[0] == 200
    document = json.loads(guarded.request("GET", "/openapi.json")[2])
    assert document["paths"]["/metrics"]["get"]["security"] == [{"MetricsToken": []}]
    assert "401" in document["paths"]["/metrics"]["get"]["responses"]


def test_metrics_are_not_limited(start_server: StartServer) -> None:
    server = start_server(RATE_LIMIT_DETECT="1/hour", RATE_LIMIT_MASK="1/hour", RATE_LIMIT_LOGIN="1/hour")
    assert [post(server, "/api/v1/detect", b"x") for _ in range(3)] == [400, 429, 429]
    for _ in range(20):
        read(server)
    assert eventually(lambda: read(server)[rejections("rate_limit")] == 2)


def test_keys_and_quotas_are_reasons(start_server: StartServer, face_png: bytes) -> None:
    server = start_server(API_KEY_ENABLED="true")
    assert post(server, "/api/v1/detect", face_png) == 401
    assert post(server, "/api/v1/detect", face_png, **{"X-API-Key": "xyl_unknown"}) == 401
    assert eventually(lambda: read(server)[rejections("unauthorized")] == 2)


# The log

SECRETS = {
    "picture name": "SECRET-holiday.jpg",
    "query": "SECRETQUERY",
    "key": "xyl_SECRETKEY0123456789",
    "bearer": "SECRETBEARER",
    "password": "SECRETPASSWORD",
    "cookie": "SECRETCOOKIE",
    "field": "SECRETFIELD",
    "picture": "SECRETPICTURE",
}


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_log_keeps_secrets(start_server: StartServer, face_png: bytes, log_format: str) -> None:
    # base64 of "admin:SECRETPASSWORD"
    basic = "YWRtaW46U0VDUkVUUEFTU1dPUkQ="
    server = start_server(
        LOG_FORMAT=log_format,
        API_KEY_ENABLED="true",
        METRICS_TOKEN="SECRETTOKEN",  # noqa: S106  # the secret that the log must not have
        ADMIN_USER="admin",
        ADMIN_PASSWORD=SECRETS["password"],
    )
    body, form = multipart(
        [
            ("image", SECRETS["picture name"], "image/png", face_png),
            ("confidence", None, None, SECRETS["field"].encode()),
        ]
    )
    login = json.dumps({"username": "admin", "password": SECRETS["password"]}).encode()
    wrong = json.dumps({"username": "admin", "password": "SECRETGUESS"}).encode()
    detect = f"/api/v1/detect?confidence={SECRETS['query']}&api_key={SECRETS['key']}"
    exchanges: list[Callable[[], object]] = [
        lambda: server.request("POST", detect, body, {**form, "X-API-Key": SECRETS["key"]}),
        lambda: server.request(
            "POST", detect, body, {**form, "Authorization": f"Bearer {SECRETS['bearer']}"}
        ),
        lambda: server.request("GET", f"/nothing?token={SECRETS['query']}"),
        lambda: server.request("GET", "/metrics", headers={"Authorization": "Bearer SECRETTOKEN"}),
        lambda: server.request("GET", "/api/v1/admin/api-keys", headers={"Authorization": f"Basic {basic}"}),
        lambda: server.request("GET", "/health", headers={"Cookie": f"session={SECRETS['cookie']}"}),
        lambda: server.request(
            "POST", "/api/v1/admin/auth/login", login, {"Content-Type": "application/json"}
        ),
        lambda: server.request(
            "POST", "/api/v1/admin/auth/login", wrong, {"Content-Type": "application/json"}
        ),
    ]
    key = re.search(r"xyl_\w+", server.stdout)
    assert key is not None
    mine = {"X-API-Key": key[0]}
    exchanges += [
        lambda: server.request("POST", "/api/v1/detect", body, {**form, **mine}),
        lambda: server.request("POST", "/api/v1/mask", face_png, {"Content-Type": "image/png", **mine}),
        lambda: server.request(
            "POST", "/api/v1/mask", SECRETS["picture"].encode() * 10, {"Content-Type": "image/png", **mine}
        ),
    ]
    for exchange in exchanges:
        exchange()
    assert eventually(lambda: server.stderr.count("/api/v1/mask") >= 2)
    log = server.stderr
    assert "SECRET" not in log
    assert key[0] not in log
    assert basic not in log
    assert log.count("/api/v1/detect") >= 3
    lines = [line for line in log.splitlines() if "/api/" in line]
    assert all(re.search(r'request_id("?[:=]"?)[0-9a-f]{8}-', line) for line in lines)
    if log_format == "json":
        assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
