"""Every page and every action."""

import json
import re
import urllib.request
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.console.pages import Console


def use_key(console: Console, key: str) -> int:
    """Ask the service something with a key; the picture is none, so 400 means that the key was taken."""
    answer = httpx.post(
        f"{console.origin}/api/v1/detect",
        content=b"x",
        headers={"X-API-Key": key, "Content-Type": "image/png"},
    )
    return answer.status_code


def test_dashboard_of_an_empty_system_helps(console: Console, screenshots: Path) -> None:
    console.open("/admin")
    expect(console.page.get_by_role("heading", name="Send the first picture")).to_be_visible()
    expect(console.page.locator("#first-curl")).to_contain_text(f"{console.origin}/api/v1/mask")
    expect(console.page.locator(".tile", has_text="Model")).to_contain_text("scrfd_free")
    expect(console.page.locator(".tile", has_text="Model")).to_contain_text(re.compile(r"[a-z]+ b?f\d\d$"))
    expect(console.page.locator(".tile", has_text="Database")).to_contain_text("SQLite")
    console.screenshot(screenshots, "dashboard-empty")


@pytest.mark.parametrize(("width", "in_a_row"), [(1600, 6), (1200, 3), (800, 3), (600, 2), (360, 2)])
def test_rows_of_figures_are_full(console: Console, width: int, in_a_row: int) -> None:
    console.open("/admin")
    console.page.set_viewport_size({"width": width, "height": 900})
    tiles = console.page.locator(".tile", has=console.page.locator("h3"), has_text="today")
    expect(tiles).to_have_count(6)
    tops = [box["y"] for box in (tile.bounding_box() for tile in tiles.all()) if box]
    assert [tops.count(top) for top in sorted(set(tops))] == [in_a_row] * (6 // in_a_row)


@pytest.mark.parametrize("width", [1600, 1280, 800, 400])
def test_rows_of_charts_are_full(console: Console, width: int) -> None:
    console.open("/admin")
    console.page.set_viewport_size({"width": width, "height": 900})
    console.page.evaluate(
        "for (const card of document.querySelectorAll('.charts .card')) card.hidden = false"
    )
    cards = [card.bounding_box() for card in console.page.locator(".charts .card").all()]
    ends: dict[float, float] = {}
    for box in filter(None, cards):
        ends[box["y"]] = max(ends.get(box["y"], 0), box["x"] + box["width"])
    assert len(cards) == 3
    assert max(ends.values()) - min(ends.values()) <= 1


def test_key_from_beginning_to_end(console: Console, screenshots: Path) -> None:
    console.open("/admin/keys")
    key = console.create_key("Door camera", quota="50", expires="2099-01-01T10:00")
    assert re.fullmatch(r"xyl_[0-9a-f]{48}", key)
    expect(console.page.locator("#key-curl")).to_contain_text(key)
    console.screenshot(screenshots, "key-made")
    console.close_key()
    expect(console.page.locator("body")).not_to_contain_text(key)
    assert key not in console.page.content()
    card = console.key("Door camera")
    expect(card).to_contain_text("active")
    expect(card).to_contain_text("/ 50")
    expect(card).to_contain_text("2099")
    assert use_key(console, key) == 400
    console.page.reload()
    expect(card.locator("dl")).to_contain_text(re.compile(r"Today\s*1"))

    card.get_by_role("button", name="Edit").click()
    dialog = console.page.locator("#edit-key")
    expect(dialog.get_by_label("Expires")).to_have_value("2099-01-01T10:00")
    dialog.get_by_label("Name").fill("Gate camera")
    dialog.get_by_label("Requests per day").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(console.notices).to_contain_text("Saved")
    card = console.key("Gate camera")
    expect(card).not_to_contain_text("/ 50")

    card.get_by_role("button", name="Revoke").click()
    console.page.locator("#confirm").get_by_role("button", name="Cancel").click()
    expect(card).to_contain_text("active")
    card.get_by_role("button", name="Revoke").click()
    console.page.locator("#confirm").get_by_role("button", name="Revoke").click()
    expect(card).to_contain_text("revoked")
    assert use_key(console, key) == 403
    card.get_by_role("button", name="Reactivate").click()
    expect(card).to_contain_text("active")
    assert use_key(console, key) == 400
    console.screenshot(screenshots, "keys")

    card.get_by_role("button", name="Delete").click()
    console.page.locator("#confirm").get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    assert use_key(console, key) == 401


def test_refusal_stands_in_the_form(console: Console) -> None:
    console.expect_status(400).open("/admin/keys")
    console.page.get_by_role("button", name="New key").click()
    dialog = console.page.locator("#new-key")
    dialog.get_by_label("Name").fill("   ")
    dialog.get_by_role("button", name="Create").click()
    expect(console.problem).to_contain_text("expected a text of 1 to 100 printable characters")
    dialog.get_by_label("Name").fill("Old")
    dialog.get_by_label("Expires").fill("2020-01-01T10:00")
    dialog.get_by_role("button", name="Create").click()
    expect(console.problem).to_contain_text("expected a time in the future")
    console.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_markup_in_a_name_is_text(console: Console) -> None:
    console.open("/admin/keys")
    name = "<img src=x onerror=alert(1)>\"'&"
    console.create_key(name)
    console.close_key()
    expect(console.key(name)).to_be_visible()
    console.key(name).get_by_role("button", name="Delete").click()
    expect(console.page.locator("#confirm p").first).to_contain_text(name)
    console.page.locator("#confirm").get_by_role("button", name="Delete").click()
    expect(console.key(name)).to_have_count(0)


def test_asked_again_at_once_the_question_stays(console: Console) -> None:
    console.open("/admin/keys")
    console.create_key("Asked twice")
    console.close_key()
    card = console.key("Asked twice")
    # A browser tells that a dialog was closed after what comes at once; that news must not close it again.
    card.get_by_role("button", name="Revoke").evaluate(
        """async revoke => {
            const dialog = document.getElementById("confirm");
            const told = new Promise(resolve => dialog.addEventListener("close", resolve, { once: true }));
            revoke.click();
            dialog.querySelector("[data-close]").click();
            revoke.click();
            await told;
        }"""
    )
    confirm = console.page.locator("#confirm")
    expect(confirm).to_be_visible()
    confirm.get_by_role("button", name="Revoke").click()
    expect(card).to_contain_text("revoked")
    card.get_by_role("button", name="Delete").click()
    confirm.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


def test_copying_puts_the_text_on_the_clipboard(console: Console) -> None:
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=console.origin)
    console.open("/admin/images")
    console.page.get_by_role("button", name="Copy").click()
    expect(console.page.get_by_role("button", name="Copied")).to_be_visible()
    assert console.page.evaluate("navigator.clipboard.readText()") == "FACE_API_STORAGE_ENABLED=true"


def test_pages_of_a_list_survive_back_and_reload(console: Console) -> None:
    for number in range(21):
        answer = console.page.request.post(
            f"{console.origin}/api/v1/admin/api-keys", data={"name": f"Key {number}"}
        )
        assert answer.ok
    console.open("/admin/keys")
    expect(console.key("Key 20")).to_be_visible()
    console.page.get_by_role("link", name="Next").click()
    expect(console.key("Key 0")).to_be_visible()
    assert console.page.url.endswith("/admin/keys?page=2")
    console.page.reload()
    expect(console.key("Key 0")).to_be_visible()
    console.page.go_back()
    expect(console.key("Key 20")).to_be_visible()
    expect(console.page.get_by_role("heading", name="API keys", level=1)).to_be_visible()


def test_try_it_masks_at_once_and_again_with_every_move(
    console: Console, face_png: bytes, screenshots: Path
) -> None:
    console.open("/admin/try")
    console.choose("it's me.png", face_png)
    expect(console.page.locator("#found")).to_have_text("3 faces")
    expect(console.page.locator("#faces rect")).to_have_count(3)
    expect(console.page.locator("#faces circle")).to_have_count(15)
    first = console.page.locator("#after").get_attribute("src")
    console.page.get_by_role("radio", name="Pixels").check()
    console.slide("strength", "12")
    expect(console.page.locator("#after")).not_to_have_attribute("src", first or "")
    expect(console.page.locator("#timings")).to_contain_text("inference")
    console.page.locator("#cut").press("Home")
    console.page.get_by_text("The same as a command").click()
    expect(console.page.locator("#trial-curl")).to_contain_text("method=pixelate")
    expect(console.page.locator("#trial-curl")).to_contain_text("strength=12")
    console.page.get_by_text("The answer as JSON").click()
    answer = json.loads(console.page.locator("#trial-json").inner_text())
    assert answer["masking"]["method"] == "pixelate"
    console.page.get_by_label("Boxes").uncheck()
    expect(console.page.locator("#faces .boxes")).to_be_hidden()
    console.slide("confidence", "1")
    expect(console.page.locator("#found")).to_have_text("No face was found.")
    console.screenshot(screenshots, "try")
    with console.page.expect_download() as download:
        console.page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "masked.jpg"


def test_try_it_says_what_is_wrong_with_a_file(console: Console) -> None:
    console.expect_status(400).open("/admin/try")
    console.choose("notes.txt", b"hello", "text/plain")
    expect(console.problem).to_have_text("That is not a picture.")
    console.choose("broken.png", b"hello", "image/png")
    expect(console.problem).to_contain_text("not")


def test_try_it_takes_a_pasted_picture(console: Console, face_png: bytes) -> None:
    console.open("/admin/try")
    console.page.evaluate(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], "pasted.png", {type: "image/png"}));
            dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
        }""",
        list(face_png),
    )
    expect(console.page.locator("#found")).to_have_text("3 faces")


def test_system_masks_secrets(console: Console) -> None:
    console.open("/admin/system")
    row = console.page.locator("tr", has_text="FACE_API_ADMIN_PASSWORD")
    expect(row).to_contain_text("***")
    assert "correct horse" not in console.page.content()
    expect(console.page.locator(".card", has_text="Model").first).to_contain_text("Apache-2.0")


def test_audit_tells_of_logins(console: Console) -> None:
    console.open("/admin/audit?per_page=100")
    expect(console.page.locator("tbody")).to_contain_text("auth.login")


def test_pages_without_storage_say_what_to_set(console: Console) -> None:
    for page in ("images", "jobs"):
        console.open(f"/admin/{page}")
        expect(console.page.locator("#storage-setting")).to_have_text("FACE_API_STORAGE_ENABLED=true")


def test_unknown_page_is_a_page(console: Console) -> None:
    console.expect_status(404).open("/admin/nothing/here")
    expect(console.page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_language_by_menu_stays(console: Console) -> None:
    console.open("/admin")
    console.page.get_by_label("Language").select_option("ko")
    expect(console.page.get_by_role("heading", name="대시보드", level=1)).to_be_visible()
    console.open("/admin/keys")
    expect(console.page.locator("html")).to_have_attribute("lang", "ko")
    console.page.get_by_label("색상").select_option("dark")
    expect(console.page.locator("html")).to_have_attribute("data-theme", "dark")


def test_keyboard_reaches_everything(console: Console) -> None:
    console.open("/admin")
    console.page.keyboard.press("Tab")
    expect(console.page.get_by_role("link", name="Skip to content")).to_be_focused()
    console.page.keyboard.press("Enter")
    expect(console.page.locator("main")).to_be_focused()


def test_answers_carry_a_strict_policy(console: Console) -> None:
    with urllib.request.urlopen(f"{console.origin}/admin/login") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert "HX-Request" in answer.headers["Vary"]
        page = answer.read().decode()
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", page)
