"""Services to talk to, and a picture with faces."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.databases import database_settings, postgres
from tests.faces import face_scene
from tests.pictures import encoded
from tests.server import Server

__all__ = ["StartServer", "database_settings", "postgres"]

StartServer = Callable[..., Server]

# A job in the background of a shell, as a CI run may be, ignores these; what is ignored is inherited by every process
# that a test starts.
for _number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out our way."""
    # Here and below, so that the tests run without pytest-xdist too.
    from tests.sharing import Sharing

    return Sharing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests of a process of pytest-xdist."""
    if hasattr(config, "workerinput"):
        from tests.sharing import longest_first

        longest_first(items)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with default settings that lives as long as the session."""
    with Server(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start services with settings of the test's own: ``start_server(MAX_CONCURRENT_REQUESTS="1")``."""
    running: list[Server] = []

    def start(**settings: str) -> Server:
        running.append(Server(tmp_path_factory.mktemp("service"), settings))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client that keeps its connection to the common service."""
    with httpx.Client(base_url=server.origin, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def face_png() -> bytes:
    """Three faces, without loss."""
    return encoded(face_scene(), "PNG")


@pytest.fixture(scope="session")
def face_jpeg() -> bytes:
    """Three faces as a JPEG."""
    return encoded(face_scene(), "JPEG", quality=95)
