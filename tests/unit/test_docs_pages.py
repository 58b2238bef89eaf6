"""The documentation pages and static files, in a small application around their router."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from admin_ui import STATIC_DIR
from service.handlers.docs import docs_router, read_static
from service.handlers.errors import EXCEPTION_HANDLERS

PAGES = {"/docs": "docs/swagger.html", "/redoc": "docs/redoc.html"}


@pytest.fixture
def static_dir(tmp_path: Path) -> Path:
    """Our own pages, and a vendor folder with stand-ins."""
    folder = tmp_path / "static"
    for source in (STATIC_DIR / "docs").iterdir():
        target = folder / "docs" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (folder / "vendor").mkdir()
    (folder / "vendor" / "manifest.json").write_text("{}")
    (folder / "vendor" / "LICENSE").write_text("a licence")
    (folder / ".hidden").write_text("hidden")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def client(static_dir: Path) -> Iterator[TestClient[Litestar]]:
    app = Litestar([docs_router(static_dir)], exception_handlers=EXCEPTION_HANDLERS)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(("path", "file"), PAGES.items())
def test_page_is_served_with_a_strict_policy(client: TestClient[Litestar], path: str, file: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == (STATIC_DIR / file).read_bytes()
    directives = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["connect-src"] == "'self'"
    assert not re.search(r"https?:|\*", answer.headers["content-security-policy"])


@pytest.mark.parametrize("file", PAGES.values())
def test_page_has_nothing_inline_and_nothing_from_elsewhere(file: str) -> None:
    page = (STATIC_DIR / file).read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page) == []
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert [address for address in addresses if not re.match(r"/(static/|openapi\.json$)", address)] == []


@pytest.mark.parametrize("file", PAGES.values())
def test_own_files_named_by_a_page_exist(file: str) -> None:
    page = (STATIC_DIR / file).read_text(encoding="utf-8")
    own = re.findall(r'"/static/(docs/[^"]+)"', page)
    assert own
    assert [name for name in own if not (STATIC_DIR / name).is_file()] == []


@pytest.mark.parametrize("path", PAGES)
def test_page_without_vendor_files_names_the_remedy(static_dir: Path, path: str) -> None:
    (static_dir / "vendor" / "manifest.json").unlink()
    app = Litestar([docs_router(static_dir)], exception_handlers=EXCEPTION_HANDLERS)
    with TestClient(app) as client:
        answer = client.get(path)
        assert answer.status_code == 503
        assert list(answer.json()) == ["detail"]
        assert "make assets" in answer.json()["detail"]
        assert client.get("/static/docs/docs.css").status_code == 200


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert read_static(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("docs/docs.css", "text/css; charset=utf-8"),
        ("docs/swagger-init.js", "text/javascript; charset=utf-8"),
        ("docs/favicon.svg", "image/svg+xml"),
        ("vendor/manifest.json", "application/json"),
        ("vendor/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_static_file(client: TestClient[Litestar], static_dir: Path, name: str, media_type: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.content == (static_dir / name).read_bytes()
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", [*PAGES, "/static/docs/docs.css"])
def test_head_has_the_headers_of_get_and_no_body(client: TestClient[Litestar], path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == get.headers


@pytest.mark.parametrize("path", [*PAGES, "/static/docs/docs.css"])
def test_a_known_etag_is_answered_304(client: TestClient[Litestar], path: str) -> None:
    etag = client.get(path).headers["etag"]
    for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get(path, headers={"If-None-Match": value})
        assert (answer.status_code, answer.content) == (304, b""), value
        assert answer.headers["etag"] == etag
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "docs/../../secret.txt",
        "docs/%2e%2e/%2e%2e/secret.txt",
        "..%5csecret.txt",
        "%2fetc/passwd",
        "/etc/passwd",
        "docs/docs.css/more",
        "docs/docs.css%00",
        "docs",
        "docs/",
        "",
        ".hidden",
        "docs/swagger.html",
        "x" * 5000,
        "%ff%fe",
    ],
)
def test_anything_else_is_404(client: TestClient[Litestar], static_dir: Path, name: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 404
    assert list(answer.json()) == ["detail"]
    assert str(static_dir) not in answer.text
    assert len(answer.text) < 400


@pytest.mark.parametrize("path", [*PAGES, "/static/docs/docs.css"])
def test_other_methods_are_405(client: TestClient[Litestar], path: str) -> None:
    answer = client.post(path)
    assert answer.status_code == 405
    assert list(answer.json()) == ["detail"]


def test_the_openapi_document_leaves_them_out(static_dir: Path) -> None:
    assert Litestar([docs_router(static_dir)]).openapi_schema.paths == {}
