"""Swagger UI and ReDoc in a real browser: they work, complain of nothing and ask nobody but us."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from admin_ui import STATIC_DIR
from tests.server import Server


class Visit:
    """A page, with all that it asked for and all that it complained of."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.complaints: list[str] = []
        self.requested: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requested.append(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    @property
    def strangers(self) -> list[str]:
        """Requests that left the service."""
        own = (f"{self.origin}/", f"blob:{self.origin}/", "data:")
        return [url for url in self.requested if not url.startswith(own)]


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    if not (STATIC_DIR / "vendor" / "manifest.json").is_file():
        pytest.skip("the front-end files are not built: run `make assets`")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context.new_page(), server.origin)
    yield visit
    context.close()


def test_swagger_ui_shows_the_operations(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/docs")
    operation = page.locator(".opblock", has_text="/api/v1/detect").first
    expect(operation).to_be_visible()
    operation.locator(".opblock-summary").click()
    expect(operation.locator(".opblock-body")).to_be_visible()
    expect(operation.get_by_role("button", name="Try it out")).to_be_visible()
    page.screenshot(path=screenshots / "swagger-ui.png")
    expect(page.locator(".errors-wrapper")).to_have_count(0)
    assert visit.complaints == []
    assert visit.strangers == []


def test_swagger_ui_masks_a_picture(visit: Visit, face_png: bytes, screenshots: Path) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/docs")
    operation = page.locator(".opblock", has=page.locator("[data-path='/api/v1/mask']")).first
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    upload = operation.locator("input[type=file]").first
    upload.set_input_files({"name": "faces.png", "mimeType": "image/png", "buffer": face_png})
    operation.get_by_role("button", name="Execute").click()
    picture = operation.locator(".live-responses-table img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 0
    operation.locator(".live-responses-table").screenshot(path=screenshots / "swagger-ui-mask.png")
    assert visit.complaints == []
    assert visit.strangers == []


def test_swagger_ui_sends_a_request(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/docs")
    operation = page.locator(".opblock", has=page.locator("[data-path='/health/live']")).first
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    page.screenshot(path=screenshots / "swagger-ui-request.png")
    assert f"{visit.origin}/health/live" in visit.requested
    assert visit.complaints == []
    assert visit.strangers == []


def test_redoc_shows_the_operations_and_searches(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/redoc")
    expect(page.locator("h1").first).to_be_visible()
    expect(page.get_by_text("/api/v1/detect").first).to_be_visible()
    page.screenshot(path=screenshots / "redoc.png")
    page.get_by_placeholder("Search").fill("detect")
    expect(page.locator("[data-role='search:results'] li").first).to_be_visible()
    assert visit.complaints == []
    assert visit.strangers == []
