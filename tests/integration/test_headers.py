"""What every answer has: security headers, a request id; CORS; and what the log says of it."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import StartServer
from tests.integration.test_limits import SMALL, hold, is_free
from tests.pictures import FOREIGN
from tests.server import Server, eventually

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), microphone=()",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
}
DETECT, MASK = "/api/v1/detect", "/api/v1/mask"
ALLOWED = "https://app.example.org"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that two origins may call."""
    settings = {"CORS_ORIGINS": f"{ALLOWED}, http://localhost:3000/"}
    with Server(tmp_path_factory.mktemp("cors"), settings) as server:
        yield server


@pytest.fixture(scope="module")
def cors(shared: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared.origin, timeout=30, trust_env=False) as client:
        yield client


def check_headers(answer: httpx.Response, seen: set[str]) -> None:
    for name, value in SECURITY.items():
        assert answer.headers.get_list(name) == [value], answer.request.url
    (request_id,) = answer.headers.get_list("x-request-id")
    assert str(uuid.UUID(request_id)) == request_id
    assert request_id not in seen
    seen.add(request_id)


def test_every_answer_has_the_security_headers_and_its_own_id(client: httpx.Client) -> None:
    seen: set[str] = set()
    form: dict[str, Any] = {"files": {"image": SMALL}}
    for status, method, path, options in (
        (200, "GET", "/health", {}),
        (200, "GET", "/health/live", {}),
        (200, "GET", "/openapi.json", {}),
        (200, "POST", DETECT, form),
        (200, "POST", MASK, form),
        (400, "POST", DETECT, {}),
        (400, "POST", f"{MASK}?method=x", form),
        (400, "POST", DETECT, {"files": {"image": FOREIGN["gif"][1]}}),
        (404, "GET", "/", {}),
        (404, "GET", "/static/none.css", {}),
        (404, "GET", "/openapi.json/x", {}),
        (405, "GET", DETECT, {}),
        (405, "POST", "/health", {}),
        (413, "POST", DETECT, {"headers": {"Content-Type": "image/png"}, "content": bytes(21_000_000)}),
    ):
        answer = client.request(method, path, **options)
        assert answer.status_code == status, (path, answer.text)
        check_headers(answer, seen)
    for path in ("/docs", "/redoc"):
        check_headers(client.get(path), seen)
    for _ in range(20):
        check_headers(client.options(DETECT), seen)


def test_static_files_have_them_too(client: httpx.Client) -> None:
    page = client.get("/docs")
    if page.status_code == 503:
        pytest.skip("the front-end files are not built (make assets)")
    seen: set[str] = set()
    paths = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert paths
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200
        check_headers(answer, seen)


def test_a_busy_answer_has_them(start_server: StartServer) -> None:
    server = start_server(MAX_CONCURRENT_REQUESTS="1")
    with hold(server)[0], httpx.Client(base_url=server.origin, trust_env=False) as client:
        answer = client.post(DETECT, files={"image": SMALL})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        check_headers(answer, set())
    assert is_free(server)


@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:3000"])
def test_an_allowed_origin_may_read_the_answer(cors: httpx.Client, origin: str) -> None:
    for answer in (
        cors.post(MASK, files={"image": SMALL}, headers={"Origin": origin}),
        cors.post(MASK, headers={"Origin": origin}),
        cors.get("/nowhere", headers={"Origin": origin}),
        cors.get(DETECT, headers={"Origin": origin}),
    ):
        assert answer.headers["access-control-allow-origin"] == origin, answer.status_code
        assert "origin" in answer.headers["vary"].lower()
        exposed = {
            name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")
        }
        assert {"x-request-id", "x-face-count", "server-timing", "retry-after"} <= exposed


def test_every_own_header_of_mask_is_exposed(cors: httpx.Client) -> None:
    answer = cors.post(MASK, files={"image": SMALL}, headers={"Origin": ALLOWED})
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    own = {name for name in answer.headers if name.startswith("x-") and name not in SECURITY}
    assert own | {"server-timing"} <= exposed


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.org.evil.example", "null"])
def test_a_foreign_origin_may_not(cors: httpx.Client, origin: str) -> None:
    for answer in (
        cors.post(MASK, files={"image": SMALL}, headers={"Origin": origin}),
        cors.options(MASK, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
        cors.get("/nowhere", headers={"Origin": origin}),
    ):
        assert "access-control-allow-origin" not in answer.headers
        check_headers(answer, set())


@pytest.mark.parametrize("path", [DETECT, MASK])
def test_a_pre_flight_allows_what_browsers_send(cors: httpx.Client, path: str) -> None:
    answer = cors.options(
        path,
        headers={
            "Origin": ALLOWED,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-api-key",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "x-api-key" in allowed
    assert "content-type" in allowed
    check_headers(answer, set())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ALLOWED, "Access-Control-Request-Headers": "x-evil"},
        {"Origin": ALLOWED, "Access-Control-Request-Method": "BREW"},
        {"Origin": "https://evil.example"},
    ],
)
def test_a_pre_flight_that_is_refused_allows_nothing(cors: httpx.Client, headers: dict[str, str]) -> None:
    answer = cors.options(DETECT, headers={"Access-Control-Request-Method": "POST", **headers})
    assert answer.status_code < 500
    assert "x-evil" not in answer.headers.get("access-control-allow-headers", "")
    check_headers(answer, set())


def test_a_pre_flight_that_is_refused_says_why_in_json(cors: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert list(cors.options(DETECT, headers=headers).json()) == ["detail"]


def test_without_the_setting_no_origin_is_allowed(client: httpx.Client) -> None:
    answer = client.post(MASK, files={"image": SMALL}, headers={"Origin": ALLOWED})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_star_allows_everybody(start_server: StartServer) -> None:
    server = start_server(CORS_ORIGINS="*")
    headers = {"Content-Type": "image/png", "Origin": "https://anyone.example"}
    _, answer, _ = server.request("POST", DETECT, SMALL, headers)
    assert answer["Access-Control-Allow-Origin"] in ("*", "https://anyone.example")
    assert answer["Access-Control-Allow-Credentials"] is None


def test_the_log_has_one_json_line_with_the_id(server: Server, client: httpx.Client) -> None:
    for answer in (
        client.get("/health"),
        client.get("/nowhere"),
        client.post(DETECT, files={"image": SMALL}),
    ):
        (line,) = server.log_of(answer.headers["x-request-id"])
        assert line["status"] == answer.status_code
        assert line["response_bytes"] == len(answer.content)
        assert line["duration_ms"] > 0
        assert line["client"] == "127.0.0.1"
        assert {"time", "level", "logger", "message"} <= set(line)


def test_the_clients_own_id_is_logged_beside_ours(server: Server, client: httpx.Client) -> None:
    for own, logged in (("abc-123", "abc-123"), ("x" * 500, "x" * 100 + "…"), ('"},{"a":"', '"},{"a":"')):
        answer = client.get("/health", headers={"X-Request-Id": own})
        assert answer.headers["x-request-id"] != own
        (line,) = server.log_of(answer.headers["x-request-id"])
        assert line["client_request_id"] == logged


def test_paths_cannot_forge_log_lines(server: Server, client: httpx.Client) -> None:
    answer = client.get('/a%0d%0a{"level":"error"}%1b[31m')
    (line,) = server.log_of(answer.headers["x-request-id"])
    assert line["status"] == 404
    assert "\n" not in line["message"]
    assert "\x1b" not in line["message"]


def test_neither_picture_nor_file_name_nor_key_is_logged(server: Server, client: httpx.Client) -> None:
    secrets = {"name": "PRIVATE-NAME.jpg", "key": "xyl_PRIVATE_KEY", "field": "PRIVATEVALUE"}
    answers = [
        client.post(DETECT, files={"image": (secrets["name"], SMALL)}, headers={"X-API-Key": secrets["key"]}),
        client.post(DETECT, files={"image": (secrets["name"], b"PRIVATEBYTES" * 9)}),
        client.post(DETECT, files={"image": (secrets["name"], SMALL)}, data={"confidence": secrets["field"]}),
        client.post(f"{DETECT}?confidence={secrets['field']}", files={"image": SMALL}),
    ]
    for answer in answers:
        assert server.log_of(answer.headers["x-request-id"])
    assert "PRIVATE" not in server.stderr + server.stdout


def test_text_logs_are_for_people(start_server: StartServer) -> None:
    server = start_server(LOG_FORMAT="text")
    _, headers, _ = server.request("GET", "/health")
    assert server.stop() == 0
    line = next(line for line in server.stderr.splitlines() if headers["X-Request-Id"] in line)
    assert "GET /health 200" in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)


def test_what_libraries_say_of_a_picture_is_a_log_line_too(start_server: StartServer) -> None:
    server = start_server()
    broken = bytearray(SMALL)
    start = broken.index(b"IDAT") + 6
    broken[start : start + 20] = bytes(20)
    status, _, _ = server.request("POST", DETECT, bytes(broken), {"Content-Type": "image/png"})
    assert status == 400
    assert eventually(lambda: "libpng" in server.stderr)
    server.stop()
    for line in server.stderr.splitlines():
        assert json.loads(line)["message"], line
