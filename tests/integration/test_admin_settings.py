"""The admin's password: at the first start, from the command line, from settings; admin access without a database."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import httpx

from tests.admin import ACCESS, AUDIT, COOKIE, LOGIN, LOGOUT, PASSWORD, SESSION, browser, status
from tests.command import command_environment, face_api
from tests.conftest import StartServer
from tests.postgres import Postgres
from tests.server import Server, eventually, run_to_end


def printed(server: Server) -> str | None:
    found = re.search(r"^admin password, shown only this once: (\S+)$", server.stdout, re.MULTILINE)
    return found.group(1) if found else None


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
