"""The load: clients that keep their connections, in a process of its own, measured on command.

Each client is a thread with a blocking socket that sends a request prepared beforehand in one call and reads the answer
to its end; nothing is parsed but the status, the length and, where the server tells it, `total_ms`. The process's own
processor time is reported, since clients and server share the machine.
"""

import itertools
import multiprocessing
import socket
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final

import msgspec

__all__ = ["Client", "Load", "LoadResult", "Request", "multipart_body"]

_TIMEOUT_SECONDS: Final = 120
_TOTAL: Final = b'"total_ms":'
_BOUNDARY: Final = "5f0d7a3e9b"


class Request(msgspec.Struct, frozen=True):
    """What is sent, again and again.

    Attributes:
        port: The server's port on 127.0.0.1.
        target: Path and query.
        content_type: Of the body.
        body: The body.
        key: API key, if any.
    """

    port: int
    target: str
    content_type: str
    body: bytes
    key: str = ""

    def as_bytes(self) -> bytes:
        """The whole request."""
        key = f"X-API-Key: {self.key}\r\n" if self.key else ""
        head = (
            f"POST {self.target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{key}"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def multipart_body(picture: bytes) -> tuple[str, bytes]:
    """Content type and body of a form with the picture as `image`, as curl -F sends it."""
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    return (
        f"multipart/form-data; boundary={_BOUNDARY}",
        head.encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode(),
    )


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients saw.

    Attributes:
        times_ms: Time of each request, from the moment it was due to the end of its answer, ms.
        total_ms: What the server said in `total_ms`, request by request; empty where it says nothing.
        seconds: From the first request to the end of the last.
        client_cpu_seconds: Processor time of all clients together.
    """

    times_ms: list[float]
    total_ms: list[float]
    seconds: float
    client_cpu_seconds: float


class _Order(msgspec.Struct, frozen=True):
    requests: tuple[Request, ...]
    clients: int
    seconds: float | None
    count: int | None
    rate: float | None


class Load:
    """The clients' process."""

    def __init__(self) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def run(
        self,
        *requests: Request,
        clients: int,
        seconds: float | None = None,
        count: int | None = None,
        rate: float | None = None,
    ) -> LoadResult:
        """Send requests, in turn if several, for a time or so many; as fast as answers come, or at a rate.

        Args:
            requests: What to send.
            clients: Connections.
            seconds: How long.
            count: How many instead.
            rate: Requests a second, evenly spaced, whether or not answers came: lateness counts as latency.

        Raises:
            RuntimeError: An answer was not 200, or a connection failed.
        """
        self._pipe.send(_Order(requests, clients, seconds, count, rate))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        result: LoadResult = answer
        return result

    def close(self) -> None:
        """End it."""
        self._pipe.send(None)
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()


def _serve(pipe: Connection) -> None:
    while (order := pipe.recv()) is not None:
        try:
            pipe.send(_run(order))
        except Exception as error:  # noqa: BLE001  # the parent raises it again
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _run(order: _Order) -> LoadResult:
    prepared = [request.as_bytes() for request in order.requests]
    ports = {request.port for request in order.requests}
    if len(ports) != 1:
        raise ValueError("one server at a time")
    port = ports.pop()
    clients = [Client(port) for _ in range(order.clients)]
    for client in clients:
        client.call(prepared[0])  # connection made, nothing timed
    schedule = _Schedule(order, prepared)
    errors: list[Exception] = []
    samples: list[tuple[float, float | None]] = []

    def work(client: Client) -> None:
        try:
            while (due := schedule.next()) is not None:
                moment, data = due
                total = client.call(data)
                samples.append(((time.perf_counter() - moment) * 1e3, total))
        except Exception as error:  # noqa: BLE001  # raised below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    cpu_started = time.process_time()
    schedule.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - schedule.started, time.process_time() - cpu_started
    for client in clients:
        client.close()
    if errors:
        raise errors[0]
    return LoadResult(
        times_ms=[ms for ms, _ in samples],
        total_ms=[total for _, total in samples if total is not None],
        seconds=seconds,
        client_cpu_seconds=cpu,
    )


class _Schedule:
    """Which request is due next, and when."""

    def __init__(self, order: _Order, prepared: Sequence[bytes]) -> None:
        self._order = order
        self._prepared = prepared
        self._numbers = itertools.count()
        self.started = 0.0

    def start(self) -> None:
        self.started = time.perf_counter()

    def next(self) -> tuple[float, bytes] | None:
        number = next(self._numbers)
        order = self._order
        moment = time.perf_counter()
        if order.rate is not None:
            moment = self.started + number / order.rate
            if (wait := moment - time.perf_counter()) > 0:
                time.sleep(wait)
        if order.seconds is not None and moment - self.started >= order.seconds:
            return None
        if order.count is not None and number >= order.count:
            return None
        return moment, self._prepared[number % len(self._prepared)]


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, data: bytes) -> float | None:
        """Send and read the answer; gives its `total_ms`, if any."""
        self._socket.sendall(data)
        answer = self._socket.recv(1 << 18)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        head = answer[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"the server answered {answer[:300]!r}")
        at = head.index(b"content-length:") + 15
        length = int(head[at : (head + b"\r\n").index(b"\r\n", at)])
        chunks, got = [answer], len(answer) - end - 4
        while got < length:
            chunks.append(self._more())
            got += len(chunks[-1])
        answer = b"".join(chunks)
        if (at := answer.find(_TOTAL, end)) >= 0:
            number = answer[at + len(_TOTAL) : at + len(_TOTAL) + 16]
            return float(number.replace(b"}", b",").split(b",")[0])
        return None

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
