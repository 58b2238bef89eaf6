"""Mutated pictures, forms and requests: 200 or a clear 4xx, and the service lives on."""

import contextlib
import socket
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.picture_corpus import by_format, corpus
from tests.pictures import flips
from tests.server import Server, multipart

PATHS = ("/api/v1/detect", "/api/v1/mask?format=jpeg")

ODD_REQUESTS = [
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 10\r\n\r\nabc",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: -1\r\n\r\nabc",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: abc\r\n\r\nabc",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 3\r\n"
    b"Content-Length: 4\r\n\r\nabc",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nX-Request-Id: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: a\r\nOrigin: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    b"POST /api/v1/detect?%ff=%fe&a=%zz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST /api/v1/detect?confidence=%ff HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST http://other.example/api/v1/detect HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /health HTTP/1.0\r\n\r\n",
    b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: \xff\r\n\r\n",
    b"GET /health HTTP/9.9\r\nHost: a\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nCookie: " + b"a=b; " * 5000 + b"\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nAccept: " + b"\xff" * 100 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"\0" * 100,
    b"",
]


def check(answer: httpx.Response) -> None:
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, answer.text
        assert list(answer.json()) == ["detail"]


def exchange(server: Server, request: bytes, shut: bool = False) -> bytes:
    """Send bytes and read until the server closes; what it says may be nothing."""
    with server.connect(5) as connection:
        answer = b""
        # The server may close before it has read everything.
        with contextlib.suppress(OSError):
            connection.sendall(request)
            if shut:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


def statuses(answer: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.fixture(autouse=True)
def alive(server: Server, client: httpx.Client) -> Iterator[None]:
    yield
    assert client.get("/health").status_code == 200
    assert not [line for line in server.log() if line["level"] == "error"]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "tiff"])
def test_mutated_pictures(client: httpx.Client, kind: str) -> None:
    for number, data in enumerate(flips(by_format()[kind].data, 60, seed=11)):
        check(client.post(PATHS[number % 2], content=data, headers={"Content-Type": "image/*"}))


def test_one_mutation_of_every_kind_of_picture(client: httpx.Client) -> None:
    for number, picture in enumerate(corpus()):
        for data in flips(picture.data, 2, seed=number):
            check(client.post(PATHS[number % 2], content=data, headers={"Content-Type": "image/*"}))


def test_mutated_forms(client: httpx.Client) -> None:
    body, headers = multipart(
        [
            ("confidence", None, None, b"0.5"),
            ("image", "photo.png", "image/png", by_format()["png"].data[:400]),
            ("max_faces", None, None, b"3"),
        ]
    )
    for data in flips(body, 250, seed=3):
        check(client.post(PATHS[0], content=data, headers=headers))


def test_forms_with_pieces_moved_doubled_or_gone(client: httpx.Client) -> None:
    body, headers = multipart(
        [
            ("confidence", None, None, b"0.5"),
            ("image", "photo.png", "image/png", by_format()["png"].data[:99]),
        ]
    )
    random = np.random.default_rng(5)
    for _ in range(200):
        start, end = sorted(random.integers(0, len(body), 2).tolist())
        to = int(random.integers(0, len(body)))
        piece = body[start:end]
        variant = [
            body[:start] + body[end:],
            body[:to] + piece + body[to:],
            body[:start] + piece[::-1] + body[end:],
        ]
        for data in variant:
            check(client.post(PATHS[0], content=data, headers=headers))


def test_truncated_forms(client: httpx.Client) -> None:
    body, headers = multipart([("image", "photo.png", "image/png", by_format()["png"].data[:300])])
    for end in range(0, len(body), 3):
        answer = client.post(PATHS[0], content=body[:end], headers=headers)
        check(answer)
        assert answer.status_code == 400


def test_random_bytes(client: httpx.Client) -> None:
    random = np.random.default_rng(9)
    for start in (
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x40\0\0\0WEBP",
        b"II*\0",
        b"MM\0*",
        b"BM",
    ):
        for size in (0, 1, 5, 50, 3000):
            data = start + random.bytes(size)
            check(client.post(PATHS[0], content=data, headers={"Content-Type": "image/*"}))


@pytest.mark.parametrize("number", range(len(ODD_REQUESTS)))
def test_odd_requests(server: Server, number: int) -> None:
    for status in statuses(exchange(server, ODD_REQUESTS[number], shut=True)):
        assert status < 500


@pytest.mark.parametrize("seed", range(3))
def test_mutated_requests(server: Server, seed: int) -> None:
    body, headers = multipart([("image", "a.png", "image/png", by_format()["png"].data[:50])])
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST /api/v1/detect?confidence=0.5 HTTP/1.1\r\nHost: a\r\n{head}".encode()
    request += f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    for data in flips(request, 30, seed):
        for status in statuses(exchange(server, data, shut=True)):
            assert status < 500, data
