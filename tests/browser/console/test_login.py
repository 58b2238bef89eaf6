"""Logging in and out, lock-out, and where a visitor without a session lands."""

from playwright.sync_api import expect

from tests.browser.console.conftest import ADMIN, OpenConsole
from tests.browser.console.pages import USER, Console
from tests.conftest import StartServer
from tests.server import Server


def test_visitor_is_led_to_the_login_and_back(open_console: OpenConsole, console_server: Server) -> None:
    console = open_console(console_server).open("/admin/keys?page=1")
    assert "/admin/login?next=/admin/keys%3Fpage%3D1" in console.page.url
    console.log_in()
    console.page.wait_for_url("**/admin/keys?page=1")
    expect(console.page.get_by_role("heading", name="API keys", level=1)).to_be_visible()


def test_login_leads_nowhere_else(open_console: OpenConsole, console_server: Server) -> None:
    console = open_console(console_server).open("/admin/login?next=//example.org/admin")
    console.log_in()
    console.page.wait_for_url(f"{console.origin}/admin")


def test_wrong_password_is_told(open_console: OpenConsole, console_server: Server) -> None:
    console = open_console(console_server).expect_status(401).open("/admin/login")
    console.log_in(USER, "wrong")
    expect(console.problem).to_have_text("Wrong user name or password.")
    expect(console.page.get_by_label("Password")).to_be_focused()


def test_logging_out_ends_the_session(open_console: OpenConsole, console_server: Server) -> None:
    console = open_console(console_server).open("/admin/login").log_in()
    console.page.wait_for_url("**/admin")
    console.page.get_by_role("button", name="Log out").click()
    console.page.wait_for_url("**/admin/login")
    console.page.go_back()
    expect(console.page.get_by_role("button", name="Log in")).to_be_visible()


def test_lock_out_shows_the_time_left(open_console: OpenConsole, start_server: StartServer) -> None:
    server = start_server(**ADMIN)
    console = open_console(server).expect_status(401, 429).open("/admin/login")
    for _ in range(10):
        with console.page.expect_response("**/auth/login"):
            console.log_in(USER, "wrong")
    console.page.get_by_role("button", name="Log in").click()
    expect(console.problem).to_contain_text("Too many failed attempts. Try again in 14 min")
    before = console.problem.inner_text()
    expect(console.problem).not_to_have_text(before)
    expect(console.page.get_by_role("button", name="Log in")).to_be_disabled()


def test_session_that_ends_leads_to_the_login(open_console: OpenConsole, console_server: Server) -> None:
    console = open_console(console_server).expect_status(401).open("/admin/login").log_in()
    console.page.wait_for_url("**/admin")
    console.open("/admin/keys")
    console.page.context.clear_cookies()
    console.page.evaluate("htmx.trigger('#keys-list', 'refresh')")
    console.page.wait_for_url("**/admin/login**")


def test_service_that_goes_away_is_told(open_console: OpenConsole, start_server: StartServer) -> None:
    server = start_server(**ADMIN)
    console: Console = open_console(server).open("/admin/login").log_in()
    console.page.wait_for_url("**/admin")
    console.page.wait_for_load_state("load")
    server.stop()
    console.page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(console.notices).to_contain_text("The service cannot be reached")
    lost = ("ERR_CONNECTION_REFUSED", "htmx:")
    console.complaints = [text for text in console.complaints if not any(word in text for word in lost)]
