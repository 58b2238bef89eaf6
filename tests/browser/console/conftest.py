"""A service with an admin, and tabs that are logged in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, StorageState

from admin_ui import STATIC_DIR
from admin_ui.language import Language
from tests.browser.console.pages import PASSWORD, USER, Console, axe_source
from tests.server import Server

OpenConsole = Callable[..., Console]

ADMIN = {"ADMIN_USER": USER, "ADMIN_PASSWORD": PASSWORD, "RATE_LIMIT_LOGIN": "1000/minute"}


@pytest.fixture(scope="package")
def console_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that asks for keys and keeps nothing."""
    if not (STATIC_DIR / "vendor" / "manifest.json").is_file():
        pytest.skip("the front-end files are not built: run `make assets`")
    with Server(tmp_path_factory.mktemp("console"), {**ADMIN, "API_KEY_ENABLED": "true"}) as server:
        yield server


@pytest.fixture(scope="package")
def storing_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where that service keeps everything."""
    return tmp_path_factory.mktemp("storing")


@pytest.fixture(scope="package")
def storing_server(storing_folder: Path) -> Iterator[Server]:
    """A service that keeps pictures and jobs in a folder."""
    if not (STATIC_DIR / "vendor" / "manifest.json").is_file():
        pytest.skip("the front-end files are not built: run `make assets`")
    with Server(storing_folder, {**ADMIN, "STORAGE_ENABLED": "true"}) as server:
        yield server


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    source = axe_source()
    if source is None:
        pytest.skip("axe-core is not built: run `make assets`")
    return source


def _session(browser: Browser, server: Server) -> StorageState:
    context = browser.new_context(locale="en-US")
    console = Console(context, server.origin).open("/admin").log_in()
    console.page.wait_for_url("**/admin")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="package")
def session(browser: Browser, console_server: Server) -> StorageState:
    """The cookies of somebody who has logged in."""
    return _session(browser, console_server)


@pytest.fixture(scope="package")
def storing_session(browser: Browser, storing_server: Server) -> StorageState:
    """The same for the service that keeps pictures."""
    return _session(browser, storing_server)


@pytest.fixture(scope="package")
def stored(storing_server: Server, face_png: bytes, face_jpeg: bytes) -> Iterator[httpx.Client]:
    """A client; two pictures are stored, one of them with two jobs."""
    with httpx.Client(base_url=storing_server.origin, auth=(USER, PASSWORD), trust_env=False) as client:
        send(client, "detect", "holiday.jpg", face_jpeg)
        send(client, "mask", "holiday.jpg", face_jpeg, method="pixelate", strength="12")
        send(client, "mask", "office party.png", face_png)
        yield client


def send(client: httpx.Client, endpoint: str, name: str, content: bytes, **fields: str) -> None:
    answer = client.post(f"/api/v1/{endpoint}", files={"image": (name, content)}, data=fields)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def open_console(browser: Browser) -> Iterator[OpenConsole]:
    """Open tabs: ``open_console(server, session)``; at the end none of them may have complained."""
    opened = []

    def make(server: Server, state: StorageState | None = None, **options: Any) -> Console:
        options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **options}
        language: Language = "ko" if options["locale"].startswith("ko") else "en"
        context = browser.new_context(storage_state=state, **options)
        context.set_default_timeout(20_000)
        console = Console(context, server.origin, language)
        opened.append((context, console))
        return console

    yield make
    for context, _ in opened:
        context.close()
    assert [complaint for _, console in opened for complaint in console.complaints] == []


@pytest.fixture
def console(open_console: OpenConsole, console_server: Server, session: StorageState) -> Console:
    """A tab that is logged in."""
    return open_console(console_server, session)


@pytest.fixture
def storing(open_console: OpenConsole, storing_server: Server, storing_session: StorageState) -> Console:
    """A tab that is logged in where pictures are kept."""
    return open_console(storing_server, storing_session)
