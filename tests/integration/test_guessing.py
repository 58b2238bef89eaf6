"""Guessing the admin's password, through real servers, on both engines."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.admin import ACCESS, COOKIE, LOGIN, SESSION
from tests.attacks import BEHIND_PROXY, RIGHT, WRONG, ask, basic, session_of
from tests.conftest import StartServer
from tests.databases import ENGINES, empty_database
from tests.keys import KEYS
from tests.server import Server


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes behind a trusted proxy, so that each test has an address of its own."""
    settings = empty_database(request, tmp_path_factory.mktemp("data"))
    with Server(tmp_path_factory.mktemp("service"), {**BEHIND_PROXY, **settings, "WORKERS": "2"}) as server:
        yield server


def test_a_wrong_user_is_told_as_a_wrong_password_is(service: Server, address: dict[str, str]) -> None:
    """The count of argon2 comparisons, which is what timing would show, is held by the unit tests."""
    answers = [
        ask(service, "POST", LOGIN, address, {"username": user, "password": password})
        for user, password in (("admin", "wrong"), ("other", "wrong"), ("other", "secret"))
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, '{"detail":"wrong user name or password"}')
    }


@pytest.mark.parametrize("first", ["login", "basic"])
def test_lock_out_holds_for_both_ways(service: Server, address: dict[str, str], first: str) -> None:
    def fail() -> httpx.Response:
        if first == "login":
            return ask(service, "POST", LOGIN, address, WRONG)
        return ask(service, "GET", KEYS, {**address, **basic("admin:wrong")})

    open_session = {**address, "Cookie": f"{COOKIE}={session_of(service, address)}"}
    for number in range(9):
        assert fail().status_code == 401, number
    # The right one takes the nine back.
    assert ask(service, "GET", SESSION, {**address, **basic("admin:secret")}).status_code == 200
    for number in range(10):
        answer = fail()
        assert answer.status_code == 401, number
    assert "locked for 15 minutes" in answer.json()["detail"]
    for answer in (
        fail(),
        ask(service, "POST", LOGIN, address, RIGHT),
        ask(service, "POST", LOGIN, address, WRONG),
        ask(service, "GET", SESSION, {**address, **basic("admin:secret")}),
        ask(service, "POST", KEYS, {**address, **basic("admin:secret")}, {"name": "x"}),
    ):
        assert answer.status_code == 429
        assert 800 < int(answer.headers["Retry-After"]) <= 900
        assert "locked for another 14 minutes" in answer.json()["detail"] or "15 min" in answer.text
    # Who is in already stays in, and other addresses are not concerned.
    assert ask(service, "GET", SESSION, open_session).status_code == 200
    other = {"X-Forwarded-For": "198.51.98.1"}
    assert ask(service, "GET", SESSION, {**other, **basic("admin:secret")}).status_code == 200


def test_guesses_at_once_are_no_more_than_ten(service: Server, address: dict[str, str]) -> None:
    """Over two processes, with the right password among the later guesses."""

    def guess(number: int) -> int:
        return ask(service, "POST", LOGIN, address, {**WRONG, "password": f"guess {number}"}).status_code

    with ThreadPoolExecutor(20) as threads:
        found = Counter(threads.map(guess, range(60)))
    assert found == {401: 10, 429: 50}
    assert ask(service, "POST", LOGIN, address, RIGHT).status_code == 429


def test_addresses_of_one_network_of_version_6_are_one(service: Server) -> None:
    for number in range(10):
        guess = {"X-Forwarded-For": f"2001:db8:7::{number:x}"}
        assert ask(service, "POST", LOGIN, guess, WRONG).status_code == 401
    assert ask(service, "POST", LOGIN, {"X-Forwarded-For": "2001:db8:7::ffff"}, RIGHT).status_code == 429
    assert ask(service, "POST", LOGIN, {"X-Forwarded-For": "2001:db8:8::1"}, RIGHT).status_code == 204


def test_logins_are_limited_by_default(start_server: StartServer, database_settings: dict[str, str]) -> None:
    settings = {name: value for name, value in ACCESS.items() if name != "RATE_LIMIT_LOGIN"}
    server = start_server(**settings, **database_settings)
    for _ in range(10):
        assert ask(server, "POST", LOGIN, {}, RIGHT).status_code == 204
    answer = ask(server, "POST", LOGIN, {}, RIGHT)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "FACE_API_RATE_LIMIT_LOGIN" in answer.json()["detail"]
    # Basic is not a login, and a lock is told as such, with its own time.
    assert ask(server, "GET", SESSION, basic("admin:secret")).status_code == 200
    for _ in range(10):
        assert ask(server, "GET", SESSION, basic("admin:wrong")).status_code == 401
    answer = ask(server, "POST", LOGIN, {}, RIGHT)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 800
    assert "locked" in answer.json()["detail"]


def test_a_lock_outlives_a_restart(start_server: StartServer, database_settings: dict[str, str]) -> None:
    first = start_server(**ACCESS, **database_settings)
    for _ in range(10):
        assert ask(first, "POST", LOGIN, {}, WRONG).status_code == 401
    first.stop()
    second = start_server(**ACCESS, **database_settings)
    assert ask(second, "POST", LOGIN, {}, RIGHT).status_code == 429
