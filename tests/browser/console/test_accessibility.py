"""Every page, and every dialog, notice and problem on it, in both languages, light and dark, at 360 and 1280 px.

Nothing serious for axe-core, nothing wider than the window. A state is made once in each language, and then looked at
in the four looks: the colour scheme and the width can change under an open page.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route, StorageState, expect

from tests.browser.console.conftest import OpenConsole, send
from tests.browser.console.pages import USER, Console
from tests.server import Server, eventually

LANGUAGES = ("en", "ko")


class Looks:
    """Looks at a console and gathers what is wrong."""

    def __init__(self, console: Console, language: str, screenshots: Path, axe: str) -> None:
        self.console = console
        self.page = console.page
        self._language = language
        self._screenshots = screenshots
        self._axe = axe
        self.findings: list[str] = []

    def at(self, name: str) -> None:
        """Look at the page."""
        name = f"{name}-{self._language}"
        self.findings += self.console.look(self._screenshots, name, self._axe)

    def at_window(self, name: str) -> None:
        """Look at what stands in the window: a dialog, a notice."""
        name = f"{name}-{self._language}"
        self.findings += self.console.look(self._screenshots, name, self._axe, whole=False)


def image_id(client: httpx.Client, name: str) -> str:
    """The id of a stored picture."""
    items = client.get("/api/v1/admin/images").json()["items"]
    return str(next(item["id"] for item in items if item["filename"] == name))


@pytest.mark.parametrize("language", LANGUAGES)
def test_login_and_errors(
    open_console: OpenConsole, console_server: Server, screenshots: Path, axe: str, language: str
) -> None:
    console = open_console(console_server, locale=language).expect_status(401, 404, 429)
    looks = Looks(console, language, screenshots, axe)
    console.open("/admin/login")
    looks.at("login")
    console.log_in(USER, "wrong")
    expect(console.problem).to_be_visible()
    looks.at("login-wrong")

    def locked(route: Route) -> None:
        # The answer itself is tested where a lock-out may stay.
        detail = "too many failed logins from this address; locked for another 14 minutes"
        route.fulfill(status=429, headers={"Retry-After": "840"}, json={"detail": detail})

    console.page.route("**/auth/login", locked)
    console.log_in(USER, "wrong")
    expect(console.button("Log in")).to_be_disabled()
    looks.at("login-locked")
    console.open("/admin/nothing")
    looks.at("nothing")
    assert looks.findings == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages(
    open_console: OpenConsole,
    console_server: Server,
    session: StorageState,
    screenshots: Path,
    axe: str,
    language: str,
) -> None:
    console = open_console(console_server, session, locale=language)
    looks = Looks(console, language, screenshots, axe)
    for name, path in {
        "dashboard": "",
        "storage-off": "/images",
        "audit": "/audit",
        "audit-past-the-end": "/audit?page=999",
        "system": "/system",
    }.items():
        console.open(f"/admin{path}")
        looks.at(name)
    assert looks.findings == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_try_it(
    open_console: OpenConsole,
    console_server: Server,
    session: StorageState,
    face_png: bytes,
    screenshots: Path,
    axe: str,
    language: str,
) -> None:
    console = open_console(console_server, session, locale=language).expect_status(400)
    looks = Looks(console, language, screenshots, axe)
    console.open("/admin/try")
    looks.at("try")
    console.choose("faces.png", face_png)
    expect(console.page.locator("#faces rect")).to_have_count(3)
    for summary in console.page.locator("summary").all():
        summary.click()
    looks.at("try-result")
    console.choose("broken.png", b"hello")
    expect(console.problem).to_be_visible()
    looks.at("try-problem")
    assert looks.findings == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_keys_and_their_dialogs(
    open_console: OpenConsole,
    console_server: Server,
    session: StorageState,
    screenshots: Path,
    axe: str,
    language: str,
) -> None:
    console = open_console(console_server, session, locale=language).expect_status(400)
    looks = Looks(console, language, screenshots, axe)
    console.open("/admin/keys?page=99")
    looks.at("keys-past-the-end")
    console.open("/admin/keys")
    console.button("New key").click()
    looks.at_window("key-new")
    name = console.page.locator("#new-key [name=name]")
    name.fill("  ")
    console.button("Create").click()
    expect(console.problem).to_be_visible()
    looks.at_window("key-refused")
    console.page.keyboard.press("Escape")

    console.create_key("Front door camera with a rather long name that has to wrap", "50", "2099-01-01T10:00")
    looks.at_window("key-made")
    console.close_key()
    card = console.page.locator("li.card").first
    card.locator("[data-edit]").click()
    looks.at_window("key-edit")
    console.button("Save").click()
    expect(console.notices).to_be_visible()
    looks.at_window("key-saved")
    card.get_by_role("button", name=console.words("Revoke")).click()
    looks.at_window("key-revoke")
    console.page.locator("#confirm-yes").click()
    expect(card).to_contain_text(console.words("revoked"))
    looks.at("keys")
    card.get_by_role("button", name=console.words("Delete")).click()
    console.page.locator("#confirm-yes").click()
    expect(console.notices.filter(has_text=console.words("Deleted"))).to_be_visible()
    assert looks.findings == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_lost_service_and_refusal(
    open_console: OpenConsole,
    console_server: Server,
    session: StorageState,
    screenshots: Path,
    axe: str,
    language: str,
) -> None:
    console = open_console(console_server, session, locale=language).expect_lost().expect_status(400)
    looks = Looks(console, language, screenshots, axe)
    console.open("/admin")
    console.page.evaluate("htmx.ajax('GET', '/admin/jobs?page=0', {target: '#live'})")
    expect(console.notices).to_have_count(0)
    console.page.evaluate("htmx.ajax('GET', '/admin/keys?page=0', {target: '#live'})")
    expect(console.notices).to_be_visible()
    console.page.context.set_offline(True)
    console.page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(console.notices).to_have_count(2)
    looks.at_window("lost")
    console.page.context.set_offline(False)
    console.page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(console.notices.filter(has_text=console.words("The service answers again."))).to_be_visible()
    assert looks.findings == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_stored_pictures_and_jobs(
    open_console: OpenConsole,
    storing_server: Server,
    storing_session: StorageState,
    stored: httpx.Client,
    screenshots: Path,
    axe: str,
    language: str,
) -> None:
    console = open_console(storing_server, storing_session, locale=language)
    looks = Looks(console, language, screenshots, axe)
    image = image_id(stored, "holiday.jpg")
    job = stored.get("/api/v1/admin/jobs").json()["items"][0]["id"]
    console.open("/admin")
    console.page.locator("#days-table summary").click()
    looks.at("dashboard-stored")
    for name, path in {
        "images-none": "/images?name=nobody",
        "jobs": "/jobs",
        "jobs-none": "/jobs?min_faces=9",
        "image": f"/images/{image}",
    }.items():
        console.open(f"/admin{path}")
        looks.at(name)
    console.open(f"/admin/jobs/{job}")
    console.page.locator("summary").click()
    looks.at("job")
    console.open("/admin/images")
    looks.at("images")
    console.page.locator("[data-delete-image]").first.click()
    looks.at_window("image-delete")
    # Looking takes longer than the time to say undo.
    console.page.clock.install()
    console.page.locator("#confirm-yes").click()
    expect(console.button("Undo")).to_be_visible()
    looks.at_window("image-undo")
    console.button("Undo").click()
    expect(console.page.locator(".gallery li:visible")).to_have_count(2)
    assert looks.findings == []


@contextmanager
def undeletable(objects: Path) -> Iterator[None]:
    """The folders of files become links to themselves: nothing in them can be deleted."""
    folders = [path for path in objects.glob("[!.]*/*") if path.is_dir()]
    for path in folders:
        path.rename(path.with_name(f".{path.name}"))
        path.symlink_to(path.name)
    yield
    for path in folders:
        path.unlink()
        path.with_name(f".{path.name}").rename(path)


@pytest.mark.parametrize("language", LANGUAGES)
def test_files_still_to_be_deleted(
    open_console: OpenConsole,
    storing_server: Server,
    storing_folder: Path,
    storing_session: StorageState,
    stored: httpx.Client,
    face_png: bytes,
    screenshots: Path,
    axe: str,
    language: str,
) -> None:
    console = open_console(storing_server, storing_session, locale=language)
    looks = Looks(console, language, screenshots, axe)
    send(stored, "detect", "stuck.png", face_png + language.encode())
    image = image_id(stored, "stuck.png")
    with undeletable(storing_folder / "data" / "objects"):
        assert stored.delete(f"/api/v1/admin/images/{image}").status_code == 204
        assert eventually(lambda: bool(stored.get("/api/v1/admin/cleanup").json()["items"]))
        console.open("/admin/system")
        looks.at("system-stuck")
        console.page.locator("[data-retry]").last.click()
        expect(console.notices).to_be_visible()
        looks.at_window("system-retried")
    console.page.locator("#retry-all").click()
    expect(console.page.locator("[data-retry]")).to_have_count(0)
    assert looks.findings == []
