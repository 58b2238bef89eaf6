"""Stored pictures and jobs: lists, search, filters in the address, details, deleting."""

import re
from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.console.conftest import send
from tests.browser.console.pages import Console


def test_images_are_found_by_name_and_day(storing: Console, stored: httpx.Client, screenshots: Path) -> None:
    storing.open("/admin/images")
    cards = storing.page.locator(".gallery li")
    expect(cards).to_have_count(2)
    expect(cards.locator("img").first).to_have_js_property("complete", value=True)
    assert cards.locator("img").first.evaluate("image => image.naturalWidth") == 320
    storing.screenshot(screenshots, "images")
    storing.page.get_by_label("Name").fill("PARTY")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("office party.png")
    assert storing.page.url.endswith("/admin/images?name=PARTY")
    storing.page.reload()
    expect(cards).to_have_count(1)
    storing.page.get_by_label("Name").fill("100%_")
    expect(storing.page.get_by_role("heading", name="Nothing found")).to_be_visible()
    storing.page.go_back()
    expect(cards).to_have_count(1)
    storing.open("/admin/images?since=2020-01-01&until=2020-01-02")
    expect(cards).to_have_count(0)
    storing.open("/admin/images?until=2999-01-01")
    expect(cards).to_have_count(2)


def test_image_shows_faces_jobs_and_both_pictures(
    storing: Console, stored: httpx.Client, screenshots: Path
) -> None:
    storing.open("/admin/images?name=holiday")
    storing.page.get_by_role("link", name="holiday.jpg").click()
    expect(storing.page.locator("#faces rect")).to_have_count(3)
    expect(storing.page.locator(".joblist li")).to_have_count(2)
    expect(storing.page.locator("#before")).to_have_js_property("complete", value=True)
    expect(storing.page.locator("#after")).to_have_js_property("complete", value=True)
    assert storing.page.locator("#after").evaluate("image => image.naturalWidth") > 0
    storing.page.locator("#cut").press("Home")
    storing.page.get_by_label("Landmarks").uncheck()
    expect(storing.page.locator("#faces .landmarks")).to_be_hidden()
    storing.screenshot(screenshots, "image")
    with storing.page.expect_download() as download:
        storing.page.get_by_role("button", name="Download original").click()
    assert download.value.suggested_filename == "holiday.jpg"
    storing.page.get_by_role("link", name="detect", exact=True).click()
    expect(storing.page.locator("#after")).to_have_count(0)
    expect(storing.page.locator("#faces rect")).to_have_count(3)


def test_filters_of_jobs_stand_in_the_address(
    storing: Console, stored: httpx.Client, screenshots: Path
) -> None:
    storing.open("/admin/jobs")
    rows = storing.page.locator("tbody tr")
    total = rows.count()
    assert total >= 3
    storing.screenshot(screenshots, "jobs")
    storing.page.get_by_label("Method").select_option("pixelate")
    expect(rows).to_have_count(1)
    assert storing.page.url.endswith("/admin/jobs?method=pixelate")
    storing.page.reload()
    expect(storing.page.get_by_label("Method")).to_have_value("pixelate")
    expect(rows).to_have_count(1)
    storing.page.go_back()
    expect(rows).to_have_count(total)
    expect(storing.page.get_by_label("Method")).to_have_value("")
    storing.expect_status(400).page.get_by_label("Least faces").fill("7")
    storing.page.get_by_label("Least faces").press("Enter")
    expect(storing.page.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_job_shows_where_the_time_went(storing: Console, stored: httpx.Client, screenshots: Path) -> None:
    storing.open("/admin/jobs?method=pixelate")
    storing.page.locator("tbody tr a").first.click()
    expect(storing.page.get_by_role("row", name="inference")).to_be_visible()
    expect(storing.page.locator(".waterfall rect").first).to_be_visible()
    storing.screenshot(screenshots, "job")
    storing.page.get_by_text("The job as JSON").click()
    expect(storing.page.locator("#job-json")).to_contain_text('"method": "pixelate"')
    storing.page.get_by_role("button", name="Show the picture").click()
    expect(storing.page.locator("#faces rect")).to_have_count(3)


def test_deleting_can_be_undone_for_some_seconds(
    storing: Console, stored: httpx.Client, face_png: bytes
) -> None:
    send(stored, "detect", "mistake.png", face_png + b"more")
    storing.page.clock.install()
    storing.open("/admin/images?name=mistake")
    card = storing.page.locator(".gallery li")
    confirm = storing.page.locator("#confirm")
    card.get_by_role("button", name="Delete").click()
    confirm.get_by_role("button", name="Delete").click()
    expect(card).to_be_hidden()
    storing.page.get_by_role("button", name="Undo").click()
    expect(card).to_be_visible()
    storing.page.reload()
    expect(card).to_be_visible()
    card.get_by_role("button", name="Delete").click()
    confirm.get_by_role("button", name="Delete").click()
    storing.page.clock.run_for(11_000)
    expect(storing.page.get_by_role("heading", name="Nothing found")).to_be_visible()
    assert stored.get("/api/v1/admin/images").json()["total"] == 2


def test_leaving_the_page_deletes_at_once(storing: Console, stored: httpx.Client, face_png: bytes) -> None:
    send(stored, "detect", "second.png", face_png + b"less")
    # The list may be read before the picture is gone, and its small copy after.
    storing.expect_status(404).open("/admin/images?name=second")
    storing.page.locator(".gallery li").get_by_role("button", name="Delete").click()
    storing.page.locator("#confirm").get_by_role("button", name="Delete").click()
    storing.open("/admin/images?name=second")
    storing.page.wait_for_timeout(500)
    storing.page.reload()
    expect(storing.page.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_dashboard_adds_up_what_is_stored(storing: Console, stored: httpx.Client, screenshots: Path) -> None:
    storing.open("/admin")
    tile = storing.page.locator("#live .tile")
    expect(tile.filter(has_text="Images")).to_contain_text("2")
    expect(storing.page.locator(".chart canvas")).to_have_count(4)
    expect(storing.page.locator("#methods")).to_contain_text("pixelate")
    storing.page.get_by_text("The days as a table").click()
    expect(storing.page.locator("#days tbody tr").last).to_contain_text(".")
    with storing.page.expect_response("**/admin"):
        storing.page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(storing.page.locator("#days-table")).to_have_attribute("open", "")
    storing.screenshot(screenshots, "dashboard")
    before = storing.page.locator("#days tbody tr td").nth(1).inner_text()
    storing.page.locator("#methods").get_by_role("link", name="mask · pixelate").click()
    expect(storing.page).to_have_url(re.compile(r"/admin\?method=pixelate$"))
    storing.page.get_by_text("The days as a table").click()
    expect(storing.page.locator("#days tbody tr td").nth(1)).not_to_have_text(before)
    storing.page.get_by_role("link", name="7 days").click()
    expect(storing.page).to_have_url(re.compile(r"/admin\?days=7&method=pixelate$"))
    expect(storing.page.locator("#chart-requests")).to_have_accessible_name(re.compile("requests, "))
    storing.page.get_by_role("link", name="Show all methods").click()
    expect(storing.page).to_have_url(re.compile(r"/admin\?days=7$"))
    storing.page.locator("#methods").get_by_role("link", name="Jobs pixelate").click()
    expect(storing.page.locator("tbody tr")).to_have_count(1)
