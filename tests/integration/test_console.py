"""The console over HTTP: who gets in, what parts it sends, and a service without a database."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import StartServer

ADMIN = {"ADMIN_USER": "admin", "ADMIN_PASSWORD": "correct horse battery staple"}
AUTH = (ADMIN["ADMIN_USER"], ADMIN["ADMIN_PASSWORD"])
PAGES = ("", "/try", "/images", "/jobs", "/keys", "/audit", "/system")


@pytest.fixture
def console(start_server: StartServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=start_server(**ADMIN).origin, trust_env=False) as client:
        yield client


def test_console_over_http(console: httpx.Client) -> None:
    for page in (*PAGES, "/images/1/small.jpg", "/jobs/1/large.jpg"):
        answer = console.get(f"/admin{page}")
        assert answer.status_code == 303, page
        assert answer.headers["Location"].startswith("/admin/login"), page
        part = console.get(f"/admin{page}", headers={"HX-Request": "true"})
        assert part.status_code == 401
        assert part.headers["HX-Redirect"].startswith("/admin/login")
        assert part.headers.get("WWW-Authenticate") is None
    for page in PAGES:
        answer = console.get(f"/admin{page}", auth=AUTH, headers={"Accept-Language": "ko"})
        assert answer.status_code == 200, page
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "HX-Request" in answer.headers["Vary"]
        assert answer.headers["Content-Language"] == "ko"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
    whole = console.get("/admin/keys", auth=AUTH).text
    part = console.get("/admin/keys", auth=AUTH, headers={"HX-Request": "true"})
    restored = console.get(
        "/admin/keys", auth=AUTH, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}
    )
    assert "<html" in whole
    assert "<html" not in part.text
    assert "<html" in restored.text

    wrong = console.get("/admin/keys?page=0", auth=AUTH)
    assert wrong.status_code == 400
    assert "page=&#39;0&#39;" in wrong.text
    assert console.get("/admin/keys?page=0", auth=AUTH, headers={"HX-Request": "true"}).json().keys() == {
        "detail"
    }
    missing = console.get("/admin/<script>", auth=AUTH)
    assert missing.status_code == 404
    assert "<script>" not in missing.text.replace("<script ", "")
    assert console.post("/admin/keys", auth=AUTH).status_code == 405
    for target in ("//example.org/admin", "/admin\\@example.org", "https://example.org/admin", "/adminx"):
        login = console.get("/admin/login", params={"next": target}).text
        assert 'data-target="/admin"' in login, target


def test_console_without_a_database(start_server: StartServer) -> None:
    server = start_server(**ADMIN, DATABASE_URL="none")
    with httpx.Client(base_url=server.origin, trust_env=False) as client:
        refused = client.get("/admin")
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
        for page in PAGES:
            answer = client.get(f"/admin{page}", auth=AUTH)
            assert answer.status_code == 200, page
        assert "FACE_API_DATABASE_URL" in client.get("/admin/keys", auth=AUTH).text
