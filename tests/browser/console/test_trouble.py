"""What goes wrong is said on the page: a service that is gone, a session that has ended, refusals of every kind."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Route, StorageState, expect

from admin_ui.language import read_korean_of_service
from admin_ui.phrases import Phrases
from tests.browser.console.conftest import ADMIN, OpenConsole, send
from tests.browser.console.pages import Console
from tests.conftest import StartServer
from tests.server import Server

REFUSALS = {
    400: "name=7: expected a text of 1 to 100 characters",
    403: "a page of another origin may not do this with the admin's session",
    404: "there is no API key with the id 'x'",
    409: "nothing answers with this",
    429: "too many requests from this address: mask allows 9/minute (FACE_API_RATE_LIMIT_MASK); retry after 7 seconds",
    500: "internal error; the log has more under the request id 8f14e45f",
    503: "the database cannot be reached; try again in a moment",
}


def refuse(status: int) -> Callable[[Route], None]:
    """An answer that a running service gives only with much ado."""
    return lambda route: route.fulfill(status=status, json={"detail": REFUSALS[status]})


def test_service_that_stops_under_an_open_page(open_console: OpenConsole, start_server: StartServer) -> None:
    server = start_server(**ADMIN)
    console: Console = open_console(server).open("/admin/login").log_in()
    page = console.page
    page.wait_for_url("**/admin")
    page.wait_for_load_state("load")
    keys = page.context.new_page()
    keys.goto(f"{console.origin}/admin/keys")
    console.expect_lost()
    server.stop()
    page.evaluate("htmx.trigger('#live', 'refresh')")
    lost = "The service cannot be reached. Is it running?"
    expect(console.notices).to_contain_text(lost)
    page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(console.notices).to_have_count(1)
    console.button("Log out").click()
    expect(console.notices).to_have_count(1)

    keys.get_by_role("button", name="New key").click()
    keys.locator("#new-key").get_by_label("Name").fill("Late")
    keys.locator("#new-key").get_by_role("button", name="Create").click()
    expect(keys.locator("#new-key .problem")).to_have_text(lost)
    expect(keys.locator("#new-key").get_by_label("Name")).to_have_value("Late")


def test_picture_when_the_service_is_gone(console: Console, face_png: bytes) -> None:
    console.open("/admin/try").expect_lost()
    console.page.context.set_offline(True)
    console.choose("faces.png", face_png)
    expect(console.problem).to_contain_text("The service cannot be reached")
    console.page.context.set_offline(False)
    console.slide("strength", "20")
    expect(console.page.locator("#found")).to_have_text("3 faces")
    expect(console.problem).to_have_count(0)


def test_session_that_ends_during_a_change(open_console: OpenConsole, console_server: Server) -> None:
    console = open_console(console_server).expect_status(401).open("/admin/login").log_in()
    console.page.wait_for_url("**/admin")
    console.open("/admin/keys?page=1")
    console.page.context.clear_cookies()
    console.button("New key").click()
    console.page.locator("#new-key").get_by_label("Name").fill("Late")
    console.button("Create").click()
    console.page.wait_for_url("**/admin/login?next=**")
    console.log_in()
    console.page.wait_for_url("**/admin/keys?page=1")


def test_session_that_ends_while_a_list_is_filtered(
    open_console: OpenConsole, storing_server: Server
) -> None:
    console = open_console(storing_server).expect_status(401).open("/admin/login").log_in()
    console.page.wait_for_url("**/admin")
    console.open("/admin/jobs")
    console.page.context.clear_cookies()
    console.page.get_by_label("Method").select_option("pixelate")
    console.page.wait_for_url("**/admin/login?next=**")
    console.log_in()
    console.page.wait_for_url("**/admin/jobs?**method=pixelate**")
    expect(console.page.get_by_label("Method")).to_have_value("pixelate")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_refusals_are_shown_in_the_language_of_the_page(
    open_console: OpenConsole, console_server: Server, session: StorageState, language: str
) -> None:
    console = open_console(console_server, session, locale=language).expect_status(*REFUSALS)
    page = console.page
    phrases = Phrases(read_korean_of_service() if language == "ko" else {})
    console.open("/admin/keys")
    console.button("New key").click()
    page.locator("#new-key [name=name]").fill("Refused")
    for status, detail in REFUSALS.items():
        page.route("**/api/v1/admin/api-keys", refuse(status))
        console.button("Create").click()
        expect(console.problem).to_have_text(phrases.say(detail))
        page.unroute("**/api/v1/admin/api-keys")
    page.keyboard.press("Escape")
    for status in (403, 404, 429, 503):
        page.route("**/api/v1/admin/api-keys/*", refuse(status))
        page.locator("li.card [data-edit]").first.click()
        page.locator("#edit-key [type=submit]").click()
        expect(console.problem).to_have_text(phrases.say(REFUSALS[status]))
        page.keyboard.press("Escape")
        page.unroute("**/api/v1/admin/api-keys/*")
    page.route("**/auth/logout", refuse(503))
    console.button("Log out").click()
    expect(console.notices).to_contain_text(phrases.say(REFUSALS[503]))


def test_scripts_and_service_translate_alike(
    open_console: OpenConsole, console_server: Server, session: StorageState
) -> None:
    console = open_console(console_server, session, locale="ko").open("/admin/try")
    phrases = Phrases(read_korean_of_service())
    sentences = [
        *REFUSALS.values(),
        "unknown parameter 'metod'; did you mean method?",
        "daily_quota=0: expected an integer from 1 to 9 or null",
        "corrupt TIFF: 3 strips, where 4 are needed",
        "truncated PNG: it ends inside its header; 20 bytes were received",
        "too many failed logins from this address; locked for another 14 minutes 1 second",
        "wrong user name or password",
        "unknown field '$& {hint}\n'; did you mean $1?",
    ]
    said = console.page.evaluate(
        """async (sentences) => {
            const { inPageLanguage } = await import("/static/console/phrases.js");
            return Promise.all(sentences.map(inPageLanguage));
        }""",
        sentences,
    )
    assert said == [phrases.say(sentence) for sentence in sentences]


def test_refusals_of_the_pages_themselves_are_translated(
    open_console: OpenConsole, console_server: Server, session: StorageState
) -> None:
    console = open_console(console_server, session, locale="ko").expect_status(400, 404)
    console.open("/admin/nothing")
    expect(console.problem).to_have_text("/admin/nothing 페이지가 없습니다")
    console.open("/admin/keys?page=0")
    expect(console.problem).to_contain_text("page='0': 허용되는 값은 1")
    console.open("/admin/keys")
    console.page.evaluate("htmx.ajax('GET', '/admin/keys?page=0', {target: '#keys-list'})")
    expect(console.notices).to_contain_text("page='0': 허용되는 값은 1")


def test_busy_service_is_asked_again(console: Console, face_png: bytes) -> None:
    console.expect_status(503).open("/admin/try")
    console.page.route(
        "**/test/mask",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "server busy"}),
        times=1,
    )
    console.choose("faces.png", face_png)
    expect(console.page.locator("#found")).to_have_text("3 faces")


def test_key_that_somebody_else_has_deleted(console: Console) -> None:
    console.expect_status(404).open("/admin/keys")
    console.create_key("Gone")
    console.close_key()
    card = console.key("Gone")
    path = card.locator("[data-title]").last.get_attribute("data-api") or ""
    assert console.page.request.delete(console.origin + path.removeprefix("DELETE ")).ok
    card.get_by_role("button", name="Delete").click()
    console.page.locator("#confirm-yes").click()
    expect(console.notices).to_contain_text("there is no API key with the id")
    expect(card).to_have_count(0)


def test_deletion_that_fails_is_told(storing: Console, stored: httpx.Client, face_png: bytes) -> None:
    send(stored, "detect", "stays.png", face_png + b"stays")
    storing.expect_status(503).page.clock.install()
    storing.open("/admin/images?name=stays")
    card = storing.page.locator(".gallery li")
    storing.page.route("**/api/v1/admin/images/*", refuse(503))
    card.get_by_role("button", name="Delete").click()
    storing.page.locator("#confirm-yes").click()
    expect(card).to_be_hidden()
    storing.page.clock.run_for(11_000)
    expect(storing.notices).to_contain_text(REFUSALS[503])
    expect(card).to_be_visible()
    storing.page.unroute("**/api/v1/admin/images/*")
    image = str(card.get_attribute("data-image"))
    assert stored.delete(f"/api/v1/admin/images/{image}").status_code == 204


def test_address_that_lists_do_not_know(storing: Console, stored: httpx.Client) -> None:
    storing.expect_status(400, 404)
    for path, words in {
        "/jobs?metod=solid": "unknown parameter 'metod'; did you mean method?",
        "/jobs?method=blur": "method='blur': expected one of",
        "/images?since=2026-02-30": "since='2026-02-30': expected a day",
        "/jobs/8f14e45f": "there is no job with the id '8f14e45f'",
        "/images/8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1": "there is no picture with the id",
    }.items():
        storing.open(f"/admin{path}")
        expect(storing.problem).to_contain_text(words)
        expect(storing.page.get_by_role("link", name="To the dashboard")).to_be_visible()
