"""The metrics of several processes add up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli.metrics_folder import FOLDER_VARIABLE, metrics_folder
from service.metrics import Metrics
from service.settings import Settings
from tests.metrics import samples
from tests.server import ROOT

WORKER = """
import sys, os
from service.metrics import Metrics
metrics = Metrics()
for _ in range(int(sys.argv[1])):
    metrics.started()
    metrics.finished({"path_template": "/x", "state": {}}, "GET", 200, 0.02)
metrics.started()
print("counted", flush=True)
for line in sys.stdin:
    if line.strip() == "close":
        metrics.close()
        break
    print(len(data := metrics.render()), flush=True)
    sys.stdout.write(data.decode())
    sys.stdout.flush()
"""


class Worker:
    """A process that counts, and reports when asked."""

    def __init__(self, folder: Path, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(count)],
            cwd=ROOT, env={**os.environ, FOLDER_VARIABLE: str(folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        assert self.output.readline() == "counted\n"

    def report(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What this process reports of all."""
        print("report", file=self.input, flush=True)
        return samples(self.output.read(int(self.output.readline())))

    def end(self, *, kill: bool = False) -> None:
        """End it, in good order or not."""
        if kill:
            self.process.kill()
        elif self.process.poll() is None:
            print("close", file=self.input, flush=True)
        self.process.wait(20)
        self.input.close()
        self.output.close()


def test_several_processes_add_up_and_the_dead_are_forgotten(tmp_path: Path) -> None:
    plain = frozenset[tuple[str, str]]()
    request = frozenset({("route", "/x"), ("method", "GET"), ("status", "200")})
    first, second, third = (Worker(tmp_path, count) for count in (2, 3, 4))
    try:
        both = first.report()
        assert both["face_api_requests_total", request] == 9
        assert both == {
            **both,
            **{key: found for key, found in second.report().items() if "process" not in key[0]},
        }
        assert both["face_api_requests_in_flight", plain] == 3
        assert both["face_api_workers", plain] == 3
        assert both["process_resident_memory_bytes", plain] > 3e7
        second.end()
        third.end(kill=True)
        (tmp_path / "counter_999999.db").touch()
        alone = first.report()
        assert alone["face_api_requests_total", request] == 9
        assert alone["face_api_requests_in_flight", plain] == 1
        assert alone["face_api_workers", plain] == 1
    finally:
        for worker in (first, second, third):
            if not worker.input.closed:
                worker.end()


def test_a_folder_named_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(RuntimeError, match="before prometheus_client is imported"):
        Metrics()


def test_the_command_that_serves_does_not_import_the_library() -> None:
    code = "import sys, service.cli.serve; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_one_process_has_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "/of/somebody/else")
    with metrics_folder(Settings(workers=1, data_dir=str(tmp_path))):
        assert FOLDER_VARIABLE not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_several_processes_get_a_new_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    settings = Settings(workers=2, data_dir=str(tmp_path))
    abandoned = tmp_path / "metrics" / "abandoned"
    abandoned.mkdir(parents=True)
    (abandoned / "lock").touch()
    (abandoned / "counter_1.db").touch()
    with metrics_folder(settings):
        first = Path(os.environ[FOLDER_VARIABLE])
        assert first.parent == tmp_path / "metrics"
        assert not abandoned.exists()
        start_another = (
            "import os, sys; from service.cli.metrics_folder import metrics_folder; "
            "from service.settings import Settings\n"
            "folder = sys.argv[1]\n"
            "with metrics_folder(Settings(workers=2, data_dir=folder)): print(os.listdir(folder + '/metrics'))"
        )
        output = subprocess.run(
            [sys.executable, "-c", start_another, str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        # Its own, ours, and what they take turns with.
        assert first.name in output
        assert output.count(",") == 2
        assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, "lock"])
    assert not first.exists()
    assert FOLDER_VARIABLE not in os.environ
