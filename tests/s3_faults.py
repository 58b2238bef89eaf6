"""A proxy before an S3 endpoint that fails in the ways that networks and servers do."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Self

__all__ = ["Fault", "FaultyS3"]

Fault = Literal["none", "error", "stall", "refuse", "drop_request", "drop_answer", "slow"]

_ERROR_BODY = b"<Error><Code>InternalError</Code><Message>We failed.</Message></Error>"
_ERROR = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_ERROR_BODY), _ERROR_BODY)
)
_PIECE = 65_536


class FaultyS3:
    """Passes bytes on until it is told to fail. A change counts for the connections that are open, too.

    The faults: ``error`` answers 500, ``stall`` takes everything and says nothing, ``refuse`` does not listen,
    ``drop_request`` and ``drop_answer`` reset the connection after the first bytes of one, ``slow`` passes pieces
    with pauses. With ``times`` a fault ends after so many connections met it.

    Attributes:
        endpoint: ``http://host:port``; the port never changes.
        connections: How many were accepted so far.
        met: How many connections met a fault.
    """

    def __init__(self, port: int) -> None:
        """Listen, and pass on to a port of the loopback address."""
        self._target = port
        self._fault: Fault = "none"
        self._times: int | None = None
        self._pause = 0.0
        self._after = 2048
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.connections = 0
        self.met = 0
        self._port = 0
        self._listen()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def fail(self, fault: Fault, *, times: int | None = None, after: int = 2048, pause: float = 0.05) -> None:
        """Fail from now on.

        Args:
            fault: How.
            times: How many connections meet the fault; None: all.
            after: Bytes that pass before a connection is dropped.
            pause: Seconds between two pieces of 64 kB when slow.
        """
        with self._lock:
            self._fault, self._times, self._after, self._pause = fault, times, after, pause
            self.met = 0
        # Clients keep connections; a fault meets new ones.
        self._cut_all()
        if fault == "refuse":
            self._close_listener()
        elif self._listener is None:
            self._listen()

    def mend(self) -> None:
        """Pass everything on again."""
        self.fail("none")

    def stop(self) -> None:
        """Close everything."""
        self._close_listener()
        self._cut_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(128)
        self._port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # close() alone leaves a thread that waits in accept() with the socket open.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client, self._next_fault()), daemon=True).start()

    def _next_fault(self) -> Fault:
        with self._lock:
            if self._fault == "none" or self._times == 0:
                return "none"
            if self._times is not None:
                self._times -= 1
            self.met += 1
            return self._fault

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        self._keep(client)
        try:
            match fault:
                case "error":
                    _read_request(client)
                    client.sendall(_ERROR)
                case "stall":
                    while client.recv(_PIECE):
                        pass
                case _:
                    self._pass_on(client, fault)
        except OSError:
            pass
        finally:
            self._forget(client)

    def _pass_on(self, client: socket.socket, fault: Fault) -> None:
        with socket.create_connection(("127.0.0.1", self._target), 10) as server:
            server.settimeout(None)
            self._keep(server)
            up = self._gate(fault, "drop_request", client, server)
            down = self._gate(fault, "drop_answer", client, server)
            sender = threading.Thread(target=_copy, args=(client, server, up), daemon=True)
            sender.start()
            _copy(server, client, down)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            sender.join(10)
            self._forget(server)

    def _gate(
        self, fault: Fault, drop: Fault, client: socket.socket, server: socket.socket
    ) -> Callable[[int], bool]:
        """What is asked after each piece whether the next may pass."""
        passed = 0

        def gate(size: int) -> bool:
            nonlocal passed
            passed += size
            if fault == "slow":
                time.sleep(self._pause * size / _PIECE)
            if fault == drop and passed > self._after:
                _reset(client)
                _reset(server)
                return False
            return True

        return gate

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _cut_all(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket, gate: Callable[[int], bool]) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            # A dropped connection ends in the middle, so that some of it has passed.
            target.sendall(piece[: len(piece) // 2])
            if not gate(len(piece)):
                return
            target.sendall(piece[len(piece) // 2 :])
        target.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)


def _read_request(client: socket.socket) -> None:
    """Take one request whole, so that the answer is not lost in a reset."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(_PIECE)
        if not piece:
            return
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    ]
    if b"expect: 100-continue" in head.lower():
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    left = int(lengths[0]) - len(body) if lengths else 0
    while left > 0 and (piece := client.recv(_PIECE)):
        left -= len(piece)
