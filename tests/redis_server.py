"""A Redis or Valkey server of the test's own: loopback, a free port, nothing kept on disk."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

import pytest

from tests.server import eventually, free_port

__all__ = ["RedisServer"]


class RedisServer:
    """A server that can be stopped, held up and started again on the same port."""

    def __init__(self, folder: Path, password: str = "") -> None:
        """Start it; skip the test where none is installed, except in CI, where that is a failure."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(
                "neither redis-server nor valkey-server is installed (scripts/install-system.sh does that)"
            )
        self.port = free_port()
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}"
        self._command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
        self._command += ["--requirepass", password] if password else []
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, and return once it answers."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert eventually(self._answers, 10), "the Redis server did not start"

    def stop(self) -> None:
        """Kill it: what it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def hold_up(self) -> None:
        """Let it keep its connections without answering."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """End :meth:`hold_up`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16)[:1] in {b"+", b"-"}
        except OSError:
            return False
