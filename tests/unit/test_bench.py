"""The benchmark: its verdict, contenders in turns, the clients, the chart."""

import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.chart import write_chart
from bench.load import Load, Request, multipart_body
from bench.report import Row, Target, lost, verdict, write_markdown
from bench.worker import Call, Done, take_turns


def _row(ratio: float, target: Target | None) -> Row:
    return verdict("suite", "case", "ours", ratio, target)


def test_ok_is_about_the_target() -> None:
    assert [_row(ratio, Target(2, floor=1.25)).ok for ratio in (2.0, 1.99, 1.0)] == [True, False, False]
    assert _row(1.0, None).ok is None


@pytest.mark.parametrize(
    ("ratio", "target", "full", "quick"),
    [
        (2.0, Target(2), False, False),
        (1.99, Target(2), True, True),
        (1.99, Target(2, floor=1.25), True, False),
        (1.25, Target(2, floor=1.25), True, False),
        (1.24, Target(2, floor=1.25), True, True),
        (0.1, None, False, False),
    ],
)
def test_what_fails_a_run(ratio: float, target: Target | None, full: bool, quick: bool) -> None:
    row = _row(ratio, target)
    assert bool(lost([row], quick=False)) is full
    assert bool(lost([row], quick=True)) is quick


def test_a_missed_target_keeps_its_reason(tmp_path: Path) -> None:
    row = _row(1.5, Target(2, floor=1.25, reason="because"))
    assert (row.target, row.floor, row.reason) == (2, 1.25, "because")
    write_markdown([row], tmp_path / "table.md")
    table, notes = (tmp_path / "table.md").read_text(encoding="utf-8").split("\n\n")
    assert "| 1.50 | ≥ 2 | MISSED |" in table
    assert "because" in notes


def _sleeper(seconds: float, not_counted: float) -> Call:
    def call() -> Done:
        time.sleep(seconds)
        return Done(faces=3, not_counted=not_counted)

    return call


def _broken() -> Call:
    raise ValueError("no model")


def test_contenders_take_turns() -> None:
    timings = take_turns({"long": partial(_sleeper, 0.02, 0.0), "part": partial(_sleeper, 0.02, 0.015)}, 0)
    assert timings["long"].median_ms >= 20
    # What is not to be counted is taken off; sleeping takes no processor time.
    assert timings["long"].median_ms > timings["part"].median_ms >= 5
    assert timings["long"].cpu_ms < 20
    assert timings["long"].faces == 3


def test_a_contender_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ValueError: no model"):
        take_turns({"broken": _broken}, 0)


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes]]
    connections: set[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers["Content-Type"], body))
        self.connections.add(self.client_address[1])
        busy = self.path == "/busy"
        answer = b"" if busy else b'{"processing":{"total_ms":12.5},"filler":"' + b"x" * 300_000 + b'"}'
        self.send_response(503 if busy else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[int, type[_Echo]]]:
    handler = type("Handler", (_Echo,), {"seen": [], "connections": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield http.server_address[1], handler
        http.shutdown()
        thread.join()


def test_the_clients(server: tuple[int, type[_Echo]]) -> None:
    port, handler = server
    kind, form = multipart_body(b"picture")
    requests = Request(port, "/raw", "image/jpeg", b"abc"), Request(port, "/form", kind, form)
    load = Load()
    try:
        result = load.run(*requests, clients=2, count=10)
        paced = load.run(requests[0], clients=2, count=5, rate=50)
        with pytest.raises(RuntimeError, match="503"):
            load.run(Request(port, "/busy", "image/jpeg", b"abc"), clients=1, count=1)
    finally:
        load.close()
    assert len(result.times_ms) == 10
    assert result.total_ms == [12.5] * 10
    # One more for each connection, before anything is timed; each client keeps its own.
    assert [path for path, _, _ in handler.seen[:12]].count("/form") == 5
    assert ("/form", kind, form) in handler.seen
    assert len(handler.connections) == 5
    # Five requests at fifty a second: the last is due after 80 ms.
    assert paced.seconds >= 0.08


def test_the_chart(tmp_path: Path) -> None:
    path = tmp_path / "latency.svg"
    write_chart({"ours <raw>": {1: 8.0, 2: 9.0, 16: 70.0}, "theirs": {1: 30.0, 2: 55.0, 16: 600.0}}, path)
    drawing = ET.parse(path).getroot()  # noqa: S314  # our own file
    name = "{http://www.w3.org/2000/svg}"
    lines = [line.attrib["points"].split() for line in drawing.iter(f"{name}polyline")]
    assert [len(points) for points in lines] == [3, 3]
    heights = [[float(point.split(",")[1]) for point in points] for points in lines]
    # Slower is higher up, and everything is inside the picture.
    assert all(theirs < ours for ours, theirs in zip(*heights, strict=True))
    assert all(0 < height < 420 for each in heights for height in each)
    assert "prefers-color-scheme: dark" in path.read_text(encoding="utf-8")
