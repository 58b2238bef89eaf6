"""SIGTERM and SIGINT: requests in flight finish, and the process ends with status 0; so they do when it is killed."""

import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import StartServer
from tests.faces import face_scene
from tests.integration.test_limits import SMALL, begin, hold, read_answer
from tests.pictures import encoded
from tests.server import ROOT, Server, child_processes, eventually, free_port, service_environment


def refuses_connections(server: Server) -> bool:
    try:
        server.connect(1).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_ends_at_once(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server()
    idle = http.client.HTTPConnection("127.0.0.1", server.port)
    idle.request("GET", "/health")
    idle.getresponse().read()
    assert server.stop(number, seconds=10) == 0
    idle.close()
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_slow_upload_finishes(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server()
    with begin(server, len(SMALL), body=SMALL[:20]) as slow:
        # Accepted before this one was, so in flight when it is answered.
        assert server.request("GET", "/health")[0] == 200
        server.process.send_signal(number)
        assert eventually(lambda: refuses_connections(server), 10)
        slow.sendall(SMALL[20:])
        status, _, body = read_answer(slow)
        assert status == 200
        assert body.endswith(b"}")
    assert server.stop(number, seconds=15) == 0
    assert "Traceback" not in server.stderr


def test_pictures_under_way_finish(start_server: StartServer) -> None:
    server = start_server(MAX_CONCURRENT_REQUESTS="3")
    big = encoded(np.tile(face_scene(), (4, 4, 1)), "PNG", compress_level=1)
    connections = hold(server, 3, path="/api/v1/mask?format=png", data=big, sent=len(big))
    server.process.send_signal(signal.SIGTERM)
    for connection in connections:
        with connection:
            status, headers, body = read_answer(connection)
            assert status == 200
            assert len(body) == int(headers["Content-Length"])
    assert server.stop() == 0
    assert "Traceback" not in server.stderr


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("workers", ["1", "3"])
def test_server_processes_do_not_outlive_their_parent(
    start_server: StartServer, tmp_path: Path, workers: str
) -> None:
    server = start_server(WORKERS=workers, STORAGE_ENABLED="true")
    slow = begin(server, len(SMALL), body=SMALL[:20])
    assert server.request("GET", "/health")[0] == 200
    processes = server.workers()
    assert len(processes) == int(workers)
    server.process.kill()
    with slow:
        assert eventually(lambda: refuses_connections(server), 10)
        # What it had begun is answered.
        slow.sendall(SMALL[20:])
        assert read_answer(slow)[0] == 200
    assert eventually(lambda: all(map(gone, processes)), 10)
    again = Server(tmp_path, {"PORT": str(server.port)})
    assert again.stop() == 0


def starting(tmp_path: Path) -> subprocess.Popen[str]:
    """Start a service of two processes; it leads a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve"],
        cwd=ROOT,
        env=service_environment(tmp_path, {"PORT": str(free_port()), "WORKERS": "2"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert eventually(lambda: len(child_processes(process.pid)) == 2, 30)
    return process


def ends(process: subprocess.Popen[str]) -> None:
    try:
        _, errors = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert "Unexpected exit" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [0, 0.3, 0.8])
def test_a_service_that_is_starting_ends_when_told(
    tmp_path: Path, delay: float, number: signal.Signals
) -> None:
    process = starting(tmp_path)
    time.sleep(delay)
    # A terminal's Ctrl-C goes to all of them, a supervisor's SIGTERM to the parent.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    ends(process)


def handles(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_twice_before_it_serves(tmp_path: Path, number: signal.Signals) -> None:
    process = starting(tmp_path)
    workers = child_processes(process.pid)
    # From here until it serves, a second word would once stop a process for ever.
    assert eventually(lambda: all(handles(pid, signal.SIGTERM) for pid in workers), 30)
    os.killpg(process.pid, number)
    ends(process)


def test_the_main_process_hears_it_last(tmp_path: Path) -> None:
    """All processes are told at once, and the others have ended before the main one gets to hear it."""
    process = starting(tmp_path)
    workers = child_processes(process.pid)
    assert eventually(lambda: all(handles(pid, signal.SIGTERM) for pid in workers), 30)
    process.send_signal(signal.SIGSTOP)
    os.killpg(process.pid, signal.SIGTERM)
    assert eventually(lambda: all(map(gone, workers)), 15)
    process.send_signal(signal.SIGCONT)
    ends(process)
