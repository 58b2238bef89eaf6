"""The servers that are compared over HTTP, each in a process of its own."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from bench import CONTENDERS
from bench.plan import Plan

__all__ = ["Server", "empty_server", "plain_server", "service"]

_READY_SECONDS: Final = 120


class Server:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        key: The API key that it made; empty if none.
    """

    def __init__(self, process: "subprocess.Popen[str]", port: int, key: str = "") -> None:
        """Watch a process that is ready."""
        self.port = port
        self.key = key
        self._process = process

    def execution(self) -> str:
        """What runs the service's model, as its health says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
            execution = json.load(answer)["execution"]
        return f"{execution['provider']} {execution['precision']}"

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0.0
        for pid in self._processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / ticks
        return total

    def resident_mb(self) -> float:
        """Resident memory of all its processes, MB; what they share counts for each, so this is an upper bound."""
        pages = 0
        for pid in self._processes():
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def peak_mb(self) -> float:
        """Most memory that its processes ever held, MB, added up."""
        kilobytes = 0
        for pid in self._processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        kilobytes += int(line.split()[1])
        return round(kilobytes * 1.024 / 1e3, 1)

    def _processes(self) -> list[int]:
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


def service(plan: Plan, **settings: str) -> "contextlib.AbstractContextManager[Server]":
    """The service with its own limits out of the way, else default settings or those given (without FACE_API_)."""
    return _service(plan, settings)


@contextlib.contextmanager
def _service(plan: Plan, settings: Mapping[str, str]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        if (learnt := plan.folder / "cache").is_dir():
            # What the floor found out about this machine, so that both run the model on the same.
            shutil.copytree(learnt, Path(folder) / "cache")
        given = {
            "PORT": str(port),
            "DATA_DIR": folder,
            "MODEL": plan.model.name,
            "API_KEY_ENABLED": "false",
            "RATE_LIMIT_DETECT": "1000000/second",
            "RATE_LIMIT_MASK": "1000000/second",
            "MAX_CONCURRENT_REQUESTS": "100",
            **settings,
        }
        environment = _environment()
        if "FACE_API_MODEL_DIR" in os.environ:
            environment["FACE_API_MODEL_DIR"] = os.environ["FACE_API_MODEL_DIR"]
        environment |= {f"FACE_API_{name}": value for name, value in given.items()}
        with _process([sys.executable, "-m", "service.cli", "serve"], environment) as process:
            yield Server(process, port, _service_key(process))


@contextlib.contextmanager
def plain_server(plan: Plan) -> Iterator[Server]:
    """bench/plain_service.py under uvicorn."""
    port = _free_port()
    environment = _environment() | {"PLAIN_MODEL": str(plan.model.path), "PYTHONPATH": str(CONTENDERS)}
    command = [sys.executable, "-m", "uvicorn", "bench.plain_service:app", "--port", str(port)]
    with _process(
        [*command, "--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "120"], environment
    ) as process:
        _wait(process, port)
        yield Server(process, port)


@contextlib.contextmanager
def empty_server() -> Iterator[Server]:
    """bench/empty_service.py under granian, as the service runs."""
    port = _free_port()
    with _process([sys.executable, "-m", "bench.empty_service", str(port)], _environment()) as process:
        _wait(process, port)
        yield Server(process, port)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _service_key(process: "subprocess.Popen[str]") -> str:
    """Read what the start prints until it is ready; gives the API key, or nothing without one."""
    key = ""
    for line in process.stdout or ():
        if found := re.search(r"xyl_[0-9a-f]{48}", line):
            key = found[0]
        if line.strip() == "ready":
            return key
    raise RuntimeError("the service did not start")


def _wait(process: "subprocess.Popen[str]", port: int) -> None:
    def connects() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    _until(lambda: connects() or process.poll() is not None)
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r}: did not start")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("a server did not start")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
