"""Rate limits through real servers: one process, several with a Redis server, and that server lost."""

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.redis_server import RedisServer
from tests.server import Server, eventually, run_to_end

LIMIT_HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


def detect(server: Server, picture: bytes = b"", **headers: str) -> tuple[int, dict[str, str], str]:
    """Ask for detection; without a picture the answer is 400, which counts as much."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer, body = server.request(
        "POST", "/api/v1/detect", picture, {"Content-Type": "image/png", **named}
    )
    return status, {name.lower(): value for name, value in answer.items()}, body.decode()


def statuses(server: Server, count: int, picture: bytes = b"") -> Counter[int]:
    """Ask `count` times at once."""
    with ThreadPoolExecutor(count) as threads:
        return Counter(threads.map(lambda _: detect(server, picture)[0], range(count)))


def warnings(server: Server) -> list[str]:
    status, _, body = server.request("GET", "/health")
    assert status == 200
    return re.findall(r"rate limits are counted per process[^\"]*", body.decode())


def test_the_limit_is_counted_told_and_kept(start_server: StartServer, face_png: bytes) -> None:
    server = start_server(RATE_LIMIT_DETECT="3/hour", RATE_LIMIT_MASK="1/hour", CORS_ORIGINS="*")
    for remaining, picture, status in ((2, face_png, 200), (1, b"", 400), (0, face_png, 200)):
        answered, headers, _ = detect(server, picture)
        assert answered == status
        assert [headers[name] for name in LIMIT_HEADERS[:2]] == ["3", str(remaining)]
        assert 3590 <= int(headers["ratelimit-reset"]) <= 3600
        assert "retry-after" not in headers
    status, headers, body = detect(server, face_png, Origin="https://example.org")
    assert status == 429
    assert [headers[name] for name in LIMIT_HEADERS[:2]] == ["3", "0"]
    assert headers["retry-after"] == headers["ratelimit-reset"]
    assert 3590 <= int(headers["retry-after"]) <= 3600
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(
        r'\{"detail":"too many requests from this address: detect allows 3 per 1 hour '
        r'\(FACE_API_RATE_LIMIT_DETECT\); retry after 3[0-9]{3} seconds"\}',
        body,
    )
    exposed = headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in (*LIMIT_HEADERS, "retry-after"))
    # Each limit counts for itself; what has none has no headers of one.
    status, answer, _ = server.request("POST", "/api/v1/mask", face_png, {"Content-Type": "image/png"})
    assert (status, answer["RateLimit-Remaining"]) == (200, "0")
    for _ in range(5):
        status, answer, _ = server.request("GET", "/health")
        assert (status, answer["RateLimit-Limit"]) == (200, None)


def test_requests_are_admitted_again_when_the_time_is_over(start_server: StartServer) -> None:
    server = start_server(RATE_LIMIT_DETECT="2/second;5/hour")
    answers = [detect(server) for _ in range(4)]
    assert [status for status, _, _ in answers].count(429) >= 1
    refused = next(headers for status, headers, _ in answers if status == 429)
    assert refused["retry-after"] == "1"
    admitted = sum(status != 429 for status, _, _ in answers)
    while admitted < 5:
        time.sleep(1.05)
        status, headers, _ = detect(server)
        assert status == 400
        admitted += 1
        assert int(headers["ratelimit-remaining"]) <= 5 - admitted
    time.sleep(1.05)
    status, headers, body = detect(server)
    assert (status, headers["ratelimit-limit"]) == (429, "5")
    assert "5 per 1 hour" in body


def test_refused_before_the_body_is_read(start_server: StartServer) -> None:
    server = start_server(RATE_LIMIT_DETECT="1/hour")
    assert detect(server)[0] == 400
    with server.connect() as connection:
        connection.sendall(
            b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 429")


def test_a_busy_server_says_so_first_and_counts_nothing(start_server: StartServer) -> None:
    server = start_server(RATE_LIMIT_DETECT="1000/hour", MAX_CONCURRENT_REQUESTS="1")
    answers: list[tuple[int, str | None]] = []

    def ask() -> int:
        status, headers, _ = detect(server)
        answers.append((status, headers.get("ratelimit-remaining")))
        return status

    def held() -> socket.socket:
        """A request that has the slot; one that comes while a probe has it is refused, and then another is sent."""
        for _ in range(50):
            connection = server.connect()
            connection.sendall(
                b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
                b"Content-Length: 1000000\r\n\r\nabc"
            )
            while not select.select([connection], [], [], 0)[0]:
                if ask() == 503:
                    return connection
            connection.close()
        pytest.fail("no slot could be held")

    with held():
        assert [ask() for _ in range(4)] == [503] * 4
    assert eventually(lambda: ask() == 400)
    assert {remaining for status, remaining in answers if status == 503} == {None}
    # What counts is the request that held the slot, and those that were answered otherwise.
    counted = 1 + sum(status == 400 for status, _ in answers)
    assert answers[-1] == (400, str(1000 - counted))


def test_a_request_without_a_good_key_counts_nothing(start_server: StartServer) -> None:
    server = start_server(RATE_LIMIT_DETECT="2/hour", API_KEY_ENABLED="true")
    [key] = set(re.findall(r"xyl_[0-9a-f]{48}", server.stdout))
    for _ in range(4):
        status, headers, _ = detect(server)
        assert (status, "ratelimit-limit" in headers) == (401, False)
    answers = [detect(server, X_API_Key=key) for _ in range(3)]
    assert [status for status, _, _ in answers] == [400, 400, 429]


@pytest.mark.parametrize("trusted", ["", "127.0.0.1", "192.0.2.0/24"])
def test_only_trusted_proxies_say_who_asks(start_server: StartServer, trusted: str) -> None:
    server = start_server(RATE_LIMIT_DETECT="1/hour", TRUSTED_PROXIES=trusted)
    addresses = ["203.0.113.1", "203.0.113.2", "198.51.100.7, 203.0.113.1", "198.51.100.8, 203.0.113.2"]
    answers = [detect(server, X_Forwarded_For=address) for address in addresses]
    believed = trusted == "127.0.0.1"
    expected = [400, 400, 429, 429] if believed else [400, 429, 429, 429]
    assert [status for status, _, _ in answers] == expected
    lines = server.log_of(answers[3][1]["x-request-id"])
    assert lines[-1]["client"] == ("203.0.113.2" if believed else "127.0.0.1")


def test_four_processes_with_redis_admit_exactly_the_limit(
    start_server: StartServer, redis: RedisServer, face_png: bytes
) -> None:
    shared = {"WORKERS": "4", "MAX_CONCURRENT_REQUESTS": "100", "RATE_LIMIT_DETECT": "20/hour"}
    server = start_server(**shared, REDIS_URL=redis.url)
    assert "per process" not in server.stdout
    assert statuses(server, 100, face_png) == {200: 20, 429: 80}
    # Nor does it matter to which process one comes later.
    assert statuses(server, 20) == {429: 20}
    assert warnings(server) == []


def test_four_processes_without_redis_count_each_for_itself_and_say_so(start_server: StartServer) -> None:
    server = start_server(WORKERS="4", MAX_CONCURRENT_REQUESTS="100", RATE_LIMIT_DETECT="20/hour")
    assert [line for line in server.stdout.splitlines() if "rate limits are per process" in line]
    answers: Counter[int] = Counter()

    def more_than_one_answers() -> bool:
        answers.update(statuses(server, 200))
        return answers[400] > 20

    # Which process takes a connection is the system's choice: on a busy machine one may take 200.
    assert eventually(more_than_one_answers, 30)
    assert set(answers) == {400, 429}
    assert 20 < answers[400] <= 80


def test_requests_go_on_while_redis_is_lost(start_server: StartServer, redis: RedisServer) -> None:
    server = start_server(RATE_LIMIT_DETECT="3/hour", REDIS_URL=redis.url)
    assert [detect(server)[0] for _ in range(4)] == [400, 400, 400, 429]
    redis.stop()
    # Limits of the process begin anew, and hold.
    assert [detect(server)[0] for _ in range(4)] == [400, 400, 400, 429]
    assert warnings(server)
    redis.start()
    assert eventually(lambda: not warnings(server), 10)
    # The new server knows of nothing, so these are shared limits again.
    assert [detect(server)[0] for _ in range(4)] == [400, 400, 400, 429]
    told = [line for line in server.log() if line["logger"] == "service.access.redis_limits"]
    assert [line["level"] for line in told] == ["info", "warning", "info"]


def test_the_loss_shows_without_any_request(start_server: StartServer, redis: RedisServer) -> None:
    server = start_server(REDIS_URL=redis.url)
    assert warnings(server) == []
    redis.stop()
    assert eventually(lambda: bool(warnings(server)), 10)


@pytest.mark.alone
def test_a_redis_that_does_not_answer_holds_up_nobody_for_long(
    start_server: StartServer, redis: RedisServer
) -> None:
    server = start_server(RATE_LIMIT_DETECT="100000/hour", REDIS_URL=redis.url)
    assert detect(server)[0] == 400
    redis.hold_up()
    try:
        started = time.monotonic()
        assert [detect(server)[0] for _ in range(40)] == [400] * 40
        # Were each one to wait, it would be four seconds.
        assert time.monotonic() - started < 2
        assert warnings(server)
    finally:
        redis.let_go()
    assert eventually(lambda: not warnings(server), 10)


def test_a_redis_that_cannot_be_reached_stops_no_start(start_server: StartServer, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        port = redis.port
    server = start_server(REDIS_URL=f"redis://user:s3cret@127.0.0.1:{port}/1", RATE_LIMIT_DETECT="1/hour")
    assert [detect(server)[0] for _ in range(2)] == [400, 429]
    assert warnings(server)
    [line] = [line for line in server.log() if line["logger"] == "service.access.redis_limits"]
    assert line["level"] == "warning"
    assert f"redis://127.0.0.1:{port}/1 is lost" in line["message"]
    assert "s3cret" not in server.stdout + server.stderr


def test_a_wrong_password_is_told_without_any(start_server: StartServer, tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="r1ght") as redis:  # noqa: S106  # a word of the test's own
        right = start_server(REDIS_URL=redis.url)
        assert warnings(right) == []
        wrong = start_server(REDIS_URL=redis.url.replace("r1ght", "s3cret"))
        assert warnings(wrong)
        assert detect(wrong)[0] == 400
        for server in (right, wrong):
            assert not re.search("s3cret|r1ght", server.stdout + server.stderr)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:s3cret@host:port"),
        ("TRUSTED_PROXIES", "proxy.s3cret"),
        ("RATE_LIMIT_LOGIN", "often"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    ended = run_to_end(tmp_path, {name: value, "API_KEY_ENABLED": "true"})
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"face-api: FACE_API_{name}")
    assert name != "REDIS_URL" or "s3cret" not in line
