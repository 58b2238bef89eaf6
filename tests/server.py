"""The service in a process of its own, started as a user starts it."""

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

__all__ = [
    "ROOT",
    "Server",
    "child_processes",
    "eventually",
    "free_port",
    "multipart",
    "run_to_end",
    "service_environment",
]

ROOT = Path(__file__).resolve().parents[1]

# The system gives out ports from 32768 on.
_FIRST_PORT = 12_000
_LAST_PORT = 32_000
_SHARES = 8

_START_SECONDS = 60.0
_STOP_SECONDS = 35.0


def _ports() -> Iterator[int]:
    """Ports below those that the system gives out by itself, other ones in each process of pytest-xdist."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    size = (_LAST_PORT - _FIRST_PORT) // _SHARES
    ports = range(_FIRST_PORT + number * size, _FIRST_PORT + (number + 1) * size)
    # Two runs on one machine begin at different places.
    return itertools.chain(ports[os.getpid() * 97 % size :], itertools.cycle(ports))


_PORTS = _ports()


def free_port() -> int:
    """A port of the loopback address that nobody listens on, and that was not returned a short while ago."""
    for port in _PORTS:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll until the condition holds; False if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


def child_processes(pid: int) -> list[int]:
    """The ids of the processes that the main thread of `pid` has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def service_environment(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a service: ours without any FACE_API_* variable, then the settings.

    Args:
        data_dir: FACE_API_DATA_DIR.
        settings: Other settings, without the prefix ``FACE_API_``.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}
    defaults = {
        "DATA_DIR": str(data_dir),
        "HOST": "127.0.0.1",
        "LOG_FORMAT": "json",
        "API_KEY_ENABLED": "false",
        # What a trial on this machine would choose is a matter of tests of its own.
        "EXECUTION_PROVIDER": "cpu",
        # The suite asks more often than a person would.
        "RATE_LIMIT_DETECT": "1000000/minute",
        "RATE_LIMIT_MASK": "1000000/minute",
    }
    return environment | {f"FACE_API_{name}": value for name, value in {**defaults, **settings}.items()}


class Server:
    """A running ``face-api serve``.

    Attributes:
        port: Where it listens.
        origin: ``http://host:port``.
        process: The process.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Start and return once it says "ready".

        Args:
            folder: Where data and output go.
            settings: Settings, without the prefix ``FACE_API_``.

        Raises:
            RuntimeError: It ended or did not get ready in time.
        """
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._ready = threading.Event()
        environment = service_environment(folder / "data", {"PORT": str(self.port), **(settings or {})})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self._errors), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        started = self._wait_until_ready()
        if not started:
            self.stop(signal.SIGKILL)
            raise RuntimeError("the service did not get ready:\n" + self.stdout + self.stderr)

    @property
    def stdout(self) -> str:
        """What it wrote to standard output so far."""
        return "".join(self._lines)

    @property
    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        return "".join(self._errors)

    def log(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in list(self._errors) if line.startswith("{")]

    def log_of(self, request_id: str) -> list[dict[str, Any]]:
        """The log lines of one request, once its access line is there."""

        def lines() -> list[dict[str, Any]]:
            return [line for line in self.log() if line.get("request_id") == request_id]

        eventually(lambda: any(line["logger"] == "service.access" for line in lines()))
        return lines()

    def workers(self) -> list[int]:
        """The ids of its server processes."""
        return child_processes(self.process.pid)

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """Open a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request over a connection of its own: status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = _STOP_SECONDS) -> int:
        """Send a signal, wait for the end and return the exit status; kill it when it does not end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None and not any(reader.is_alive() for reader in self._readers):
                stream.close()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._ready.wait(0.05):
                return True
            if self.process.poll() is not None:
                return False
        return False

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            if line == "ready\n" and lines is self._lines:
                self._ready.set()


def run_to_end(
    folder: Path, settings: Mapping[str, str], *arguments: str, seconds: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a ``face-api serve`` that is expected to end by itself.

    Args:
        folder: Where data goes.
        settings: Settings, without the prefix ``FACE_API_``.
        arguments: More arguments of ``serve``.
        seconds: Time limit.
    """
    settings = {"PORT": str(free_port()), **settings}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "serve", *arguments],
        cwd=ROOT,
        env=service_environment(folder / "data", settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )


def multipart(
    parts: Sequence[tuple[str, str | None, str | None, bytes]], boundary: str = "----boundary7"
) -> tuple[bytes, dict[str, str]]:
    """Write a multipart body.

    Args:
        parts: Name, file name, content type and content of each part.
        boundary: What separates the parts.

    Returns:
        The body and the headers that go with it.
    """
    body = b""
    for name, filename, content_type, content in parts:
        disposition = f'form-data; name="{name}"' + (
            f'; filename="{filename}"' if filename is not None else ""
        )
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        body += (
            f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{kind}\r\n".encode() + content + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}"
    }
