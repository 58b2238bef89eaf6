"""Attacks on the admin's access, through real servers, on both engines. Each test is one row of the table."""

import base64
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.admin import ACCESS, ADMIN, COOKIE, LOGIN, LOGOUT, SESSION
from tests.attacks import BEHIND_PROXY, RIGHT, WRONG, ask, basic, session_of
from tests.conftest import StartServer
from tests.databases import ENGINES, empty_database
from tests.keys import KEYS
from tests.server import Server

CHOSEN = "A" * 43


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes behind a trusted proxy, so that each test has an address of its own."""
    settings = empty_database(request, tmp_path_factory.mktemp("data"))
    with Server(tmp_path_factory.mktemp("service"), {**BEHIND_PROXY, **settings, "WORKERS": "2"}) as server:
        yield server


def raw(server: Server, lines: list[bytes], body: bytes = b"") -> bytes:
    """Send these lines as they are; the whole answer."""
    answer = b""
    # The server may hang up while we still send.
    with server.connect() as connection, suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
        connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def first_status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_fixation(service: Server, address: dict[str, str]) -> None:
    chosen = {**address, "Cookie": f"{COOKIE}={CHOSEN}"}
    answer = ask(service, "POST", LOGIN, chosen, RIGHT)
    value = answer.cookies[COOKIE]
    assert value != CHOSEN
    assert ask(service, "GET", SESSION, chosen).status_code == 401
    again = ask(service, "POST", LOGIN, {**address, "Cookie": f"{COOKIE}={value}"}, RIGHT).cookies[COOKIE]
    assert again != value
    # The session that came with the new login has ended.
    assert ask(service, "GET", SESSION, {**address, "Cookie": f"{COOKIE}={value}"}).status_code == 401
    assert ask(service, "GET", SESSION, {**address, "Cookie": f"{COOKIE}={again}"}).status_code == 200


def test_replay_after_logout(service: Server, address: dict[str, str]) -> None:
    cookie = {**address, "Cookie": f"{COOKIE}={session_of(service, address)}"}
    assert ask(service, "POST", LOGOUT, cookie).status_code == 204
    for _ in range(6):
        assert ask(service, "GET", SESSION, cookie).status_code == 401
        assert ask(service, "POST", KEYS, cookie, {"name": "replayed"}).status_code == 401
    assert ask(service, "POST", LOGOUT, cookie).status_code == 204


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1.evil.example:{port}"},
    {"Origin": "http://evil.example#127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1:99999"},
    {"Origin": "file://127.0.0.1:{port}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "SOMETHING"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
def test_cross_site_post(service: Server, address: dict[str, str], foreign: dict[str, str]) -> None:
    cookie = {**address, "Cookie": f"{COOKIE}={session_of(service, address)}"}
    named = {name: value.format(port=service.port) for name, value in foreign.items()}
    for method, path, body in (
        ("POST", KEYS, {"name": "foreign"}),
        ("PATCH", f"{KEYS}/8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1", {"name": "foreign"}),
        ("DELETE", f"{KEYS}/8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1", None),
        ("POST", LOGOUT, None),
    ):
        answer = ask(service, method, path, {**cookie, **named}, body)
        assert answer.status_code == 403, path
        assert list(answer.json()) == ["detail"]
        assert "set-cookie" not in answer.headers
    assert ask(service, "GET", SESSION, {**cookie, **named}).status_code == 200


OWN: list[dict[str, str]] = [
    {},
    {"Origin": "http://127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("own", OWN, ids=str)
def test_posts_of_our_own_pages_and_of_programs(
    service: Server, address: dict[str, str], own: dict[str, str]
) -> None:
    cookie = {**address, "Cookie": f"{COOKIE}={session_of(service, address)}"}
    named = {name: value.format(port=service.port) for name, value in own.items()}
    assert ask(service, "POST", KEYS, {**cookie, **named}, {"name": "own"}).status_code == 201


def test_a_foreign_form_cannot_use_basic_either(service: Server, address: dict[str, str]) -> None:
    """Browsers remember Basic as they do cookies, but a form cannot send JSON, nor DELETE."""
    headers = {**address, **basic("admin:secret"), "Origin": "https://evil.example"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = httpx.post(
            service.origin + KEYS,
            content=b'{"name": "foreign"}',
            headers={**headers, "Content-Type": kind},
            trust_env=False,
        )
        assert answer.status_code == 400


def test_forged_forwarding_headers(start_server: StartServer, database_settings: dict[str, str]) -> None:
    """Without trusted proxies nobody changes address, nor makes the connection a secure one, by saying so."""
    server = start_server(**ACCESS, **database_settings)
    value = ask(server, "POST", LOGIN, {"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}, RIGHT)
    assert "secure" not in value.headers["set-cookie"].lower()
    for number in range(10):
        forged = {
            "X-Forwarded-For": f"198.51.100.{number}",
            "X-Real-IP": f"198.51.100.{number}",
            "Forwarded": f"for=198.51.100.{number}",
        }
        assert ask(server, "POST", LOGIN, forged, WRONG).status_code == 401
    assert ask(server, "POST", LOGIN, {"X-Forwarded-For": "198.51.100.99"}, RIGHT).status_code == 429


def test_forwarding_headers_behind_a_proxy(service: Server) -> None:
    """Only what the proxy wrote counts: a client that puts addresses before it stays who it is."""
    answer = ask(service, "POST", LOGIN, {"X-Forwarded-Proto": "https"}, RIGHT)
    assert "secure" in answer.headers["set-cookie"].lower()
    cookie = {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}", "X-Forwarded-Proto": "https"}
    plain = {"Origin": f"http://127.0.0.1:{service.port}"}
    assert ask(service, "POST", KEYS, {**cookie, **plain}, {"name": "x"}).status_code == 403
    for number in range(10):
        forged = {"X-Forwarded-For": f"203.0.113.{number}, 198.51.99.1"}
        assert ask(service, "POST", LOGIN, forged, WRONG).status_code == 401
    assert ask(service, "POST", LOGIN, {"X-Forwarded-For": "198.51.99.1"}, RIGHT).status_code == 429
    assert ask(service, "POST", LOGIN, {"X-Forwarded-For": "203.0.113.1"}, RIGHT).status_code == 204


SMUGGLED: list[tuple[str, list[bytes], set[int]]] = [
    ("two Authorization headers", [b"Authorization: Basic YTpi", b"Authorization: $right"], {400}),
    ("the same one twice", [b"Authorization: $right", b"Authorization: $right"], {400}),
    ("a folded header", [b"Authorization: Basic", b" $token"], {400, 401}),
    ("a space before the colon", [b"Authorization : $right"], {400, 401}),
    ("two values in one", [b"Authorization: Basic YTpi, $right"], {401}),
    ("an underscore", [b"Authorization_: $right"], {401}),
    ("another name", [b"X-Authorization: $right"], {401}),
    # The HTTP server ends a line there, as RFC 9112 (2.2) lets it: what follows is a header like any other, checked
    # like any other. Proxies in front must not pass a bare line feed on.
    ("a bare line feed, then the right one", [b"X: y\nAuthorization: $right"], {200, 400}),
    ("a bare line feed, then a wrong one", [b"X: y\nAuthorization: Basic YTpi"], {400, 401}),
    (
        "a bare line feed, then a second one",
        [b"Authorization: $right", b"X: y\nAuthorization: $right"],
        {400},
    ),
    ("a bare carriage return", [b"X: y\rAuthorization: $right"], {400, 401}),
    ("a NUL", [b"Authorization: $right\0"], {400, 401}),
    ("two different cookies", [b"Cookie: $cookie", b"Cookie: face_api_session=" + CHOSEN.encode()], {400}),
    ("two in one header", [b"Cookie: face_api_session=" + CHOSEN.encode() + b"; $cookie"], {400}),
    ("a cookie of another name", [b"Cookie: Face_Api_Session=" + CHOSEN.encode()], {401}),
    ("a cookie within a value", [b'Cookie: x="; $cookie'], {200, 401}),
    ("a wrong Basic beside a good cookie", [b"Authorization: Basic YTpi", b"Cookie: $cookie"], {401}),
    ("the digest instead of the value", [b"Cookie: face_api_session=" + b"0" * 64], {401}),
    ("SQL in the cookie", [b"Cookie: face_api_session=' OR 1=1 --"], {401}),
    ("bytes in the cookie", [b"Cookie: face_api_session=\xff\xfe\x80"], {401}),
    ("both lengths", [b"Content-Length: 0", b"Transfer-Encoding: chunked"], {400, 401}),
]


@pytest.mark.parametrize(
    ("lines", "allowed"), [row[1:] for row in SMUGGLED], ids=[row[0] for row in SMUGGLED]
)
def test_header_smuggling(
    service: Server, address: dict[str, str], lines: list[bytes], allowed: set[int]
) -> None:
    token = base64.b64encode(b"admin:secret")
    cookie = f"{COOKIE}={session_of(service, address)}".encode()
    filled = [
        line.replace(b"$right", b"Basic " + token).replace(b"$token", token).replace(b"$cookie", cookie)
        for line in lines
    ]
    answer = raw(
        service,
        [
            f"GET {SESSION} HTTP/1.1".encode(),
            f"Host: 127.0.0.1:{service.port}".encode(),
            f"X-Forwarded-For: {address['X-Forwarded-For']}".encode(),
            *filled,
        ],
    )
    assert first_status(answer) in allowed, answer
    # One answer, and nothing that the request hid was answered beside it.
    assert answer.count(b"HTTP/1.1 ") == 1


ODD_BASIC: list[tuple[str, str]] = [
    ("nothing", "Basic"),
    ("no base64", "Basic !!!!"),
    ("cut short", "Basic YWRtaW46c2VjcmV"),
    ("no colon", "Basic YWRtaW4="),
    ("only a colon", "Basic Og=="),
    ("another scheme", "Digest username=admin"),
    ("a bearer token", "Bearer YWRtaW46c2VjcmV0"),
    ("no scheme", "YWRtaW46c2VjcmV0"),
    ("no UTF-8", "Basic " + base64.b64encode(b"\xff\xfe:\x80\x81").decode()),
    ("control characters", "Basic " + base64.b64encode(b"admin\0:secret\n").decode()),
    ("not ASCII", "Basic " + base64.b64encode("ädmin:sécret ☃".encode()).decode()),
    ("right to left", "Basic " + base64.b64encode("admin\u202e:secret".encode()).decode()),
    ("a lone surrogate", "Basic " + base64.b64encode(b"\xed\xa0\x80:\xed\xa0\x80").decode()),
    ("a long password", "Basic " + base64.b64encode(b"admin:" + b"x" * 5_000).decode()),
    ("a long name", "Basic " + base64.b64encode(b"x" * 5_000 + b":secret").decode()),
    ("full-width letters", "Basic " + base64.b64encode("ａｄｍｉｎ:secret".encode()).decode()),
    ("capitals", "Basic " + base64.b64encode(b"Admin:secret").decode()),
    ("a space behind", "Basic " + base64.b64encode(b"admin:secret ").decode()),
]


@pytest.mark.parametrize("value", [row[1] for row in ODD_BASIC], ids=[row[0] for row in ODD_BASIC])
def test_over_long_malformed_and_non_ascii_basic(
    service: Server, address: dict[str, str], value: str
) -> None:
    answer = ask(service, "GET", SESSION, {**address, "Authorization": value})
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize("size", [20_000, 200_000, 2_000_000])
def test_headers_that_are_far_too_long(service: Server, address: dict[str, str], size: int) -> None:
    answer = raw(
        service,
        [
            f"GET {SESSION} HTTP/1.1".encode(),
            b"Host: localhost",
            f"X-Forwarded-For: {address['X-Forwarded-For']}".encode(),
            b"Authorization: Basic " + base64.b64encode(b"admin:" + b"x" * size),
        ],
    )
    # The server may hang up on what no client sends.
    assert answer == b"" or 400 <= first_status(answer) < 500
    assert ask(service, "GET", SESSION, {**address, **basic("admin:secret")}).status_code == 200


ODD_LOGINS: list[tuple[str, bytes, int]] = [
    ("a long password", b'{"username":"admin","password":"' + b"x" * 2_000 + b'"}', 400),
    ("a long name", b'{"username":"' + b"x" * 200 + b'","password":"secret"}', 400),
    ("a huge body", b'{"username":"admin","password":"' + b"x" * 100_000 + b'"}', 413),
    ("not ASCII", '{"username":"ädmin","password":"sécret ☃"}'.encode(), 401),
    ("a lone surrogate", rb'{"username":"admin","password":"\ud800"}', 400),
    ("a NUL", rb'{"username":"admin\u0000","password":"secret"}', 401),
    ("no UTF-8", b'{"username":"admin","password":"\xff"}', 400),
    ("SQL", b'{"username":"admin\' OR 1=1 --","password":"\' OR \'\'=\'"}', 401),
    ("a formula", b'{"username":"{}","password":"{0}"}', 401),
    ("deep", b"[" * 10_000, 400),
    ("an array of pairs", b'[["username","admin"],["password","secret"]]', 400),
]


@pytest.mark.parametrize(
    ("body", "status"), [row[1:] for row in ODD_LOGINS], ids=[row[0] for row in ODD_LOGINS]
)
def test_over_long_malformed_and_non_ascii_logins(
    service: Server, address: dict[str, str], body: bytes, status: int
) -> None:
    answer = httpx.post(
        service.origin + LOGIN,
        content=body,
        headers={**address, "Content-Type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["detail"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("password", "spellings"),
    [
        ("pässwörd ☃ 日本", ["pässwörd ☃ 日本".encode()]),
        ("with:colons::", [b"with:colons::"]),
        # Composed or not, and as Python's requests writes it.
        ("caf\u0065\u0301", ["caf\u00e9".encode(), "cafe\u0301".encode(), "caf\u00e9".encode("latin-1")]),
    ],
)
def test_passwords_that_are_not_ascii_work_both_ways(
    start_server: StartServer, password: str, spellings: list[bytes]
) -> None:
    server = start_server(**{**ACCESS, "ADMIN_PASSWORD": password})
    for spelling in spellings:
        assert ask(server, "GET", SESSION, basic(b"admin:" + spelling)).status_code == 200
    answer = ask(server, "POST", LOGIN, {}, {"username": "admin", "password": password})
    assert answer.status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        KEYS,
        KEYS + "/",
        "/api/v1//admin/api-keys",
        "/API/V1/ADMIN/API-KEYS",
        "/api/v1/admin/../admin/api-keys",
        "/api/v1/admin/%61pi-keys",
        f"{ADMIN}/audit",
        f"{ADMIN}/auth/session",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_no_spelling_and_no_method_comes_in_without_credentials(
    service: Server, address: dict[str, str], method: str, path: str
) -> None:
    answer = raw(
        service,
        [
            f"{method} {path} HTTP/1.1".encode(),
            b"Host: localhost",
            b"Content-Length: 0",
            f"X-Forwarded-For: {address['X-Forwarded-For']}".encode(),
            b"X-HTTP-Method-Override: GET",
        ],
    )
    assert first_status(answer) in {401, 404, 405} | ({204} if method == "OPTIONS" else set()), answer
    assert b"items" not in answer


def test_pre_flight_requests_need_no_credentials_and_allow_no_foreign_cookie(
    start_server: StartServer,
) -> None:
    server = start_server(**ACCESS, CORS_ORIGINS="https://app.example")
    for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = ask(server, "OPTIONS", f"{KEYS}/x", asked)
        assert ("access-control-allow-origin" in answer.headers) is allowed
        assert "access-control-allow-credentials" not in answer.headers


def test_nothing_of_it_is_in_the_log(service: Server, address: dict[str, str]) -> None:
    value = session_of(service, address)
    ask(service, "GET", SESSION, {**address, "Cookie": f"{COOKIE}={value}"})
    ask(service, "POST", LOGIN, address, {"username": "admin", "password": "LOGGED?"})
    ask(service, "GET", SESSION, {**address, **basic("LOGGED?:LOGGED?")})
    text = service.stdout + service.stderr
    assert value not in text
    assert "LOGGED?" not in text
    assert base64.b64encode(b"LOGGED?:LOGGED?").decode() not in text
