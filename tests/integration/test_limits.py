"""Slots, hang-ups and body limits, seen from the client's side of the connection."""

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import StartServer
from tests.faces import face_scene
from tests.integration.test_metrics import read
from tests.pictures import encoded, png_bomb, scene
from tests.server import Server, eventually, multipart

PATH = "/api/v1/detect"
SMALL = encoded(scene(), "PNG")
LIMIT = 200_000


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with one slot and a small limit of bytes."""
    settings = {
        "MAX_CONCURRENT_REQUESTS": "1",
        "MAX_CONCURRENT_INFERENCE": "1",
        "MAX_IMAGE_BYTES": str(LIMIT),
    }
    with Server(tmp_path_factory.mktemp("narrow"), settings) as server:
        yield server


def begin(server: Server, length: int, path: str = PATH, body: bytes = b"") -> socket.socket:
    """Send the head of a request and the beginning of its body."""
    connection = server.connect()
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def ask(server: Server, path: str = PATH, body: bytes = SMALL) -> tuple[int, http.client.HTTPMessage, bytes]:
    return server.request("POST", path, body, {"Content-Type": "image/png"})


def is_free(server: Server) -> bool:
    return eventually(lambda: ask(server)[0] == 200)


def hold(
    server: Server, count: int = 1, *, path: str = PATH, data: bytes = SMALL, sent: int = 10
) -> list[socket.socket]:
    """Take `count` slots by requests that have sent the first bytes of their body.

    Nothing is asked of the slots meanwhile: a probe could take one itself, and still has it when it is answered.
    """
    # A request is in flight until its slot is free, which is after its answer has been read.
    assert eventually(lambda: in_flight(server) == 0, 10)
    connections = [begin(server, len(data), path, data[:sent]) for _ in range(count)]
    assert eventually(lambda: in_flight(server) == count, 10)
    return connections


def in_flight(server: Server) -> int:
    """How many requests are being answered, beside the one that asks."""
    return int(read(server)["face_api_requests_in_flight"]) - 1


def read_answer(connection: socket.socket) -> tuple[int, http.client.HTTPMessage, bytes]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.headers, answer.read()


@pytest.mark.alone
def test_a_slow_sender_holds_the_slot_and_the_next_gets_503(narrow: Server) -> None:
    assert is_free(narrow)
    with hold(narrow)[0] as slow:
        # Without a single byte of the body: the refusal does not wait for it.
        for path in (PATH, "/api/v1/mask"):
            with begin(narrow, 1000, path) as second:
                started = time.monotonic()
                status, headers, body = read_answer(second)
                assert time.monotonic() - started < 1
                assert status == 503
                assert headers["Retry-After"] == "1"
                assert list(json.loads(body)) == ["detail"]
                assert "FACE_API_MAX_CONCURRENT_REQUESTS" in json.loads(body)["detail"]
        assert narrow.request("GET", "/health")[0] == 200
        assert narrow.request("GET", "/openapi.json")[0] == 200
        slow.sendall(SMALL[10:])
        assert read_answer(slow)[0] == 200
    assert is_free(narrow)


def test_a_client_that_hangs_up_while_sending_frees_its_slot(narrow: Server) -> None:
    for sent in (0, 50):
        assert is_free(narrow)
        hold(narrow, sent=sent)[0].close()
        assert is_free(narrow)


def test_a_client_that_resets_the_connection_frees_its_slot(narrow: Server) -> None:
    assert is_free(narrow)
    with hold(narrow)[0] as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert is_free(narrow)


def test_many_hang_ups_leave_every_slot_free(narrow: Server) -> None:
    form, headers = multipart([("image", "a.png", None, SMALL)])
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: {headers['Content-Type']}\r\n"
    for cut in range(0, len(form), max(1, len(form) // 30)):
        with narrow.connect() as connection:
            connection.sendall(f"{head}Content-Length: {len(form)}\r\n\r\n".encode() + form[:cut])
    assert is_free(narrow)


def test_a_client_that_hangs_up_while_its_picture_is_worked_on_frees_its_slot(
    start_server: StartServer,
) -> None:
    server = start_server(MAX_CONCURRENT_REQUESTS="1")
    big = encoded(np.tile(face_scene(), (6, 6, 1)), "PNG", compress_level=1)
    hold(server, path="/api/v1/mask?format=png", data=big, sent=len(big))[0].close()
    assert is_free(server)
    assert not [line for line in server.log() if line["level"] == "error"]


def test_every_slot_can_be_used(start_server: StartServer) -> None:
    server = start_server(MAX_CONCURRENT_REQUESTS="3")
    for connection in hold(server, 3):
        with connection:
            connection.sendall(SMALL[10:])
            assert read_answer(connection)[0] == 200
    assert is_free(server)


def too_large(status: int, body: bytes) -> None:
    assert status == 413
    assert list(json.loads(body)) == ["detail"]
    detail = json.loads(body)["detail"]
    assert "FACE_API_MAX_IMAGE_BYTES" in detail
    assert f"{LIMIT:,}" in detail or str(LIMIT) in detail


@pytest.mark.alone
def test_a_large_content_length_is_refused_before_the_body(narrow: Server) -> None:
    with begin(narrow, 10_000_000_000) as connection:
        started = time.monotonic()
        status, headers, body = read_answer(connection)
        assert time.monotonic() - started < 1
        too_large(status, body)
        assert "10,000,000,000" in json.loads(body)["detail"]
        assert headers["Connection"] == "close"
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    assert is_free(narrow)


@pytest.mark.parametrize("size", [LIMIT + 1, 3_000_000])
@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_client_that_sends_it_all_can_read_the_refusal(narrow: Server, kind: str, size: int) -> None:
    data = SMALL + bytes(size - len(SMALL))
    body, headers = multipart([("image", "a.png", None, data)])
    if kind == "raw":
        body, headers = data, {"Content-Type": "image/png"}
    status, _, answer = narrow.request("POST", PATH, body, headers)
    too_large(status, answer)
    assert is_free(narrow)


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(narrow: Server, kind: str) -> None:
    body, headers = multipart([("image", "a.png", None, SMALL + bytes(LIMIT))])
    if kind == "raw":
        body, headers = SMALL + bytes(LIMIT), {"Content-Type": "image/png"}
    with narrow.connect() as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode()
        )
        # The stream never ends by itself.
        connection.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        status, answer_headers, answer = read_answer(connection)
        too_large(status, answer)
        assert answer_headers["Connection"] == "close"
    assert is_free(narrow)


def test_the_limit_itself_is_allowed(narrow: Server) -> None:
    data = SMALL + bytes(LIMIT - len(SMALL))
    body, headers = multipart([("image", "a.png", None, data)])
    assert ask(narrow, body=data)[0] == 200
    assert narrow.request("POST", PATH, body, headers)[0] == 200


@pytest.mark.parametrize(
    "arguments", [["-F", "image=@big.bin"], ["-T", "big.bin", "-H", "Content-Type: image/png"]]
)
@pytest.mark.parametrize("expect", [[], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]])
def test_curl_can_read_the_refusal(
    narrow: Server, tmp_path: Path, arguments: list[str], expect: list[str]
) -> None:
    (tmp_path / "big.bin").write_bytes(SMALL + bytes(3_000_000))
    run = subprocess.run(
        ["curl", "-sS", "-X", "POST", *arguments, *expect, "-w", "\n%{http_code}", narrow.origin + PATH],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=20,
    )
    answer, _, status = run.stdout.rpartition(b"\n")
    assert status == b"413", run.stderr
    too_large(413, answer)


def test_a_refusal_for_another_reason_can_be_read_while_sending(narrow: Server) -> None:
    status, _, body = ask(narrow, f"{PATH}?confidence=7", bytes(LIMIT))
    assert status == 400
    assert "confidence" in json.loads(body)["detail"]
    status, _, _ = narrow.request("POST", "/nowhere", bytes(3_000_000), {"Content-Type": "image/png"})
    assert status == 404
    status, _, _ = narrow.request("PUT", PATH, bytes(3_000_000), {"Content-Type": "image/png"})
    assert status == 405


@pytest.mark.alone
def test_a_bomb_costs_no_time(server: Server) -> None:
    bomb = png_bomb()
    ask(server, body=bomb)
    started = time.monotonic()
    for _ in range(10):
        assert ask(server, body=bomb)[0] == 413
    assert time.monotonic() - started < 1


def test_the_limit_of_pixels_is_a_setting(start_server: StartServer) -> None:
    server = start_server(MAX_IMAGE_PIXELS="3900")
    assert ask(server, body=encoded(scene(75, 52), "PNG"))[0] == 200
    status, _, body = ask(server, body=encoded(scene(76, 52), "PNG"))
    assert status == 413
    assert "3900" in json.loads(body)["detail"] or "3,900" in json.loads(body)["detail"]


def test_requests_in_parallel_are_all_answered(server: Server, face_jpeg: bytes) -> None:
    connections = [begin(server, len(face_jpeg), path, face_jpeg) for path in (PATH, "/api/v1/mask") * 4]
    for connection in connections:
        with connection:
            assert read_answer(connection)[0] == 200
