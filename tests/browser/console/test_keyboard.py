"""Every action by the keyboard alone, in both colour schemes: the focus is seen, and it is never lost."""

import re

import httpx
import pytest
from playwright.sync_api import Page, StorageState, expect

from tests.browser.console.conftest import OpenConsole, send
from tests.browser.console.pages import PASSWORD, THEMES, USER, Console
from tests.server import Server


def focused_in(page: Page, selector: str) -> bool:
    """Whether the focus is in an element, or in the browser's own frame."""
    return bool(
        page.evaluate(
            "selector => document.activeElement === document.body"
            " || document.querySelector(selector).contains(document.activeElement)",
            selector,
        )
    )


@pytest.mark.parametrize("theme", THEMES)
def test_login_and_logout(open_console: OpenConsole, console_server: Server, theme: str) -> None:
    console = open_console(console_server, color_scheme=theme).open("/admin/login")
    page = console.page
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type(USER)
    console.tab_to(page.get_by_label("Password")).type(PASSWORD)
    console.tab_to(console.button("Log in")).press("Enter")
    page.wait_for_url("**/admin")
    console.tab_to(console.button("Log out")).press("Enter")
    page.wait_for_url("**/admin/login")


@pytest.mark.parametrize("theme", THEMES)
def test_navigation_and_preferences(console: Console, theme: str) -> None:
    page = console.page
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    console.open("/admin")
    console.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    console.tab_to(skip).press("Enter")
    expect(page.locator("main")).to_be_focused()
    for name in ("Try it", "Images", "Jobs", "API keys", "Audit log", "System", "Dashboard"):
        console.tab_to(page.get_by_role("link", name=name, exact=True).first, back=name == "Dashboard")
        console.press("Enter")
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    menu = page.get_by_label("Colours")
    # Two presses pass "light": the page that comes in between must not lose the menu.
    console.tab_to(menu).press("ArrowDown")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(menu).to_be_focused()
    console.press("ArrowDown")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(menu).to_be_focused()


@pytest.mark.parametrize("theme", THEMES)
def test_key_from_beginning_to_end(
    open_console: OpenConsole, console_server: Server, session: StorageState, theme: str
) -> None:
    console = open_console(console_server, session, color_scheme=theme)
    page = console.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=console.origin)
    console.open("/admin/keys")
    console.tab_to(console.button("New key")).press("Enter")
    name = page.locator("#new-key").get_by_label("Name")
    expect(name).to_be_focused()
    for _ in range(20):
        console.press("Tab")
        assert focused_in(page, "#new-key")
    console.press("Escape")
    expect(console.button("New key")).to_be_focused()

    console.press("Enter").type(f"Keyboard {theme}")
    console.tab_to(page.locator("#new-key").get_by_label("Requests per day")).type("50")
    console.press("Enter")
    key = page.locator("#key-value")
    expect(key).to_have_text(re.compile("xyl_.+"))
    assert focused_in(page, "#key-made")
    console.tab_to(console.button("Copy key")).press("Enter")
    expect(console.button("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key.inner_text()
    console.tab_to(console.button("I have copied it")).press("Enter")
    expect(page.locator("#key-made")).to_be_hidden()
    expect(console.button("New key")).to_be_focused()

    card = console.key(f"Keyboard {theme}")
    edit = card.get_by_role("button", name="Edit")
    console.tab_to(edit).press("Enter")
    expect(page.locator("#edit-key").get_by_label("Name")).to_be_focused()
    console.type(f"Renamed {theme}").press("Enter")
    card = console.key(f"Renamed {theme}")
    expect(card).to_be_visible()
    expect(card.get_by_role("button", name="Edit")).to_be_focused()

    revoke = card.get_by_role("button", name="Revoke")
    console.tab_to(revoke).press("Enter")
    expect(page.locator("#confirm [data-close]")).to_be_focused()
    console.press("Enter")
    expect(page.locator("#confirm")).to_be_hidden()
    expect(revoke).to_be_focused()
    console.press("Enter")
    console.tab_to(page.locator("#confirm-yes")).press("Space")
    expect(card).to_contain_text("revoked")
    expect(card.get_by_role("button", name="Reactivate")).to_be_focused()
    console.press("Space")
    expect(card).to_contain_text("active")
    console.tab_to(card.get_by_role("button", name="Delete")).press("Enter")
    for _ in range(10):
        console.press("Tab")
        assert focused_in(page, "#confirm")
    console.tab_to(page.locator("#confirm-yes")).press("Enter")
    expect(card).to_have_count(0)
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("theme", THEMES)
def test_try_it(
    open_console: OpenConsole, console_server: Server, session: StorageState, face_png: bytes, theme: str
) -> None:
    console = open_console(console_server, session, color_scheme=theme).open("/admin/try")
    page = console.page
    console.tab_to(page.locator("#picture"))
    chooser = console.choose_file_by_enter()
    chooser.set_files({"name": "faces.png", "mimeType": "image/png", "buffer": face_png})
    expect(page.locator("#found")).to_have_text("3 faces")

    after = page.locator("#after")
    first = after.get_attribute("src") or ""
    console.tab_to(page.locator("[name=method]:checked")).press("ArrowRight")
    expect(page.get_by_role("radio", name="Oval")).to_be_checked()
    expect(after).not_to_have_attribute("src", first)
    console.tab_to(page.locator("#strength")).press("Home", "ArrowRight")
    expect(page.locator("#strength-shown")).to_have_text("2")
    cut = page.locator("#cut")
    console.tab_to(cut).press("Home")
    expect(cut).to_have_value("0")
    console.press("ArrowRight")
    expect(cut).to_have_value("1")
    assert page.locator("#compare").evaluate("element => element.style.getPropertyValue('--cut')") == "1%"
    console.tab_to(page.get_by_label("Boxes"), back=True).press("Space")
    expect(page.locator("#faces .boxes")).to_be_hidden()
    console.tab_to(page.get_by_text("The same as a command")).press("Enter")
    expect(page.locator("#trial-curl")).to_contain_text("strength=2")
    with page.expect_download():
        console.tab_to(page.locator("#download"), back=True).press("Enter")


def test_picture_from_the_clipboard(console: Console, face_png: bytes) -> None:
    page = console.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=console.origin)
    console.open("/admin/try")
    page.evaluate(
        """async (bytes) => {
            const picture = new Blob([Uint8Array.from(bytes)], {type: "image/png"});
            await navigator.clipboard.write([new ClipboardItem({"image/png": picture})]);
        }""",
        list(face_png),
    )
    console.press("Control+V")
    expect(page.locator("#found")).to_have_text("3 faces")


@pytest.mark.parametrize("theme", THEMES)
def test_stored_picture(
    open_console: OpenConsole,
    storing_server: Server,
    storing_session: StorageState,
    stored: httpx.Client,
    face_png: bytes,
    theme: str,
) -> None:
    send(stored, "mask", f"unwanted {theme}.png", face_png + theme.encode())
    console = open_console(storing_server, storing_session, color_scheme=theme)
    page = console.page
    page.clock.install()
    console.open("/admin/images")
    console.tab_to(page.get_by_label("Name")).type(f"unwanted {theme}")
    page.clock.run_for(1000)
    card = page.locator(".gallery li")
    expect(card).to_have_count(1)
    console.tab_to(card.get_by_role("link")).press("Enter")
    cut = page.locator("#cut")
    expect(cut).to_be_visible()
    console.tab_to(cut).press("End")
    expect(cut).to_have_value("100")
    console.tab_to(page.get_by_label("Landmarks"), back=True).press("Space")
    expect(page.locator("#faces .landmarks")).to_be_hidden()
    page.go_back()
    expect(card).to_have_count(1)

    delete = card.get_by_role("button", name="Delete")
    console.tab_to(delete).press("Enter")
    console.tab_to(page.locator("#confirm-yes")).press("Enter")
    undo = console.button("Undo")
    expect(undo).to_be_focused()
    expect(card).to_be_hidden()
    console.tab_to(undo).press("Enter")
    expect(card).to_be_visible()
    expect(delete).to_be_focused()
    console.press("Enter")
    console.tab_to(page.locator("#confirm-yes")).press("Enter")
    expect(card).to_be_hidden()
    page.clock.run_for(11_000)
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page.locator("main")).to_be_focused()


def test_filters_of_jobs(storing: Console, stored: httpx.Client) -> None:
    page = storing.open("/admin/jobs").page
    method = page.get_by_label("Method")
    storing.tab_to(method).press("p")
    expect(method).to_have_value("pixelate")
    page.wait_for_url("**/admin/jobs?method=pixelate")
    storing.tab_to(page.locator("tbody a").first).press("Enter")
    expect(page.get_by_role("row", name="inference")).to_be_visible()
    storing.tab_to(page.get_by_text("The job as JSON")).press("Enter")
    expect(page.locator("#job-json")).to_be_visible()
