"""The metrics of one process and of several, their documentation and the dashboard."""

import asyncio
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service import errors
from service.cli.metrics_folder import FOLDER_VARIABLE, metrics_folder
from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.errors import DatabaseUnavailable, FaceApiError, StartupError
from service.imaging.header import ImageHeader
from service.metrics import REASONS, STEPS, Endpoint, Metrics, StorageErrorKind, reason_of
from service.pipeline import DetectResult, MaskResult
from service.settings import Settings
from service.storage.engine import open_database
from service.storage.objects import StoreUnavailable
from tests.server import ROOT

PAGE = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"

FOUND = FacesFound(
    faces=np.zeros((3, 15), np.float32),
    candidates_before_nms=4,
    candidates_after_nms=3,
    det_scale=1.0,
    tensor_size=(640, 640),
    preprocess_seconds=0.002,
    blob_seconds=0.001,
    inference_seconds=0.02,
    postprocess_seconds=0.003,
    nms_seconds=0.001,
)
DETECTED = DetectResult(
    header=ImageHeader(format="jpeg", width=1920, height=1080, channels=3),
    size_bytes=300_000,
    options=DetectionOptions(confidence=0.5, nms_threshold=0.4),
    found=FOUND,
    decode_seconds=0.01,
    total_seconds=0.05,
)
MASKED = MaskResult(detected=DETECTED, picture=b"", mask_seconds=0.004, encode_seconds=0.005)


class Model:
    """What metrics read of a detector."""

    name, provider, input_size = "scrfd_free", "CPUExecutionProvider", (640, 640)


def scope(route: str | None = None, error: type[Exception] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"state": {} if error is None else {"error": error}}
    return made if route is None else made | {"path_template": route}


def used() -> Metrics:
    """Metrics of which each has been used."""
    metrics = Metrics()
    metrics.model(cast("Detector", Model()))
    metrics.started()
    metrics.finished(scope("/api/v1/mask"), "POST", 200, 0.06)
    metrics.masked("mask", MASKED)
    metrics.stored("mask", 100)
    metrics.stored("mask", None)
    return metrics


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics.render().decode()).get((name, frozenset(labels.items())))


def families() -> Iterator[Metric]:
    return (
        family
        for family in text_string_to_metric_families(used().render().decode())
        if family.name.startswith("face_api_")
    )


def full_name(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def labels_of(family: Metric) -> list[str]:
    return [label for label in family.samples[-1].labels if label != "le"]


def test_requests_are_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    for method, route, status in (
        ("GET", "/health", 200), ("HEAD", "/health", 200), ("GET", None, 404), ("BREW", None, 405), ("GET", "/x", 0)
    ):  # fmt: skip
        metrics.started()
        metrics.finished(scope(route), method, status, 0.02)
    for labels in (
        {"route": "/health", "method": "GET", "status": "200"},
        {"route": "/health", "method": "HEAD", "status": "200"},
        {"route": "unmatched", "method": "GET", "status": "404"},
        {"route": "unmatched", "method": "other", "status": "405"},
        {"route": "/x", "method": "GET", "status": "none"},
    ):
        assert value(metrics, "face_api_requests_total", **labels) == 1
    duration = {"route": "/health", "method": "GET"}
    assert value(metrics, "face_api_request_duration_seconds_sum", **duration) == 0.02
    assert value(metrics, "face_api_request_duration_seconds_bucket", le="0.01", **duration) == 0
    assert value(metrics, "face_api_request_duration_seconds_bucket", le="0.025", **duration) == 1
    assert value(metrics, "face_api_rejections_total", reason="not_found") == 1
    assert value(metrics, "face_api_rejections_total", reason="method_not_allowed") == 1


def test_in_flight_is_what_has_begun_and_not_ended() -> None:
    metrics = Metrics()
    metrics.started()
    metrics.started()
    assert value(metrics, "face_api_requests_in_flight") == 2
    metrics.finished(scope(), "GET", 200, 0.1)
    assert value(metrics, "face_api_requests_in_flight") == 1


def test_a_masked_picture_has_every_step() -> None:
    metrics = used()
    seconds = {"decode": 0.01, "preprocess": 0.002, "inference": 0.02, "postprocess": 0.003, "mask": 0.004,
               "encode": 0.005, "storage": 0.1}  # fmt: skip
    assert tuple(seconds) == STEPS
    for step, expected in seconds.items():
        labels = {"endpoint": "mask", "step": step}
        assert value(metrics, "face_api_step_duration_seconds_sum", **labels) == expected
        assert value(metrics, "face_api_step_duration_seconds_count", **labels) == 1
    assert value(metrics, "face_api_faces_sum", endpoint="mask") == 3
    assert value(metrics, "face_api_pictures_total", endpoint="mask", format="jpeg") == 1
    assert value(metrics, "face_api_picture_pixels_sum", endpoint="mask") == 1920 * 1080


def test_every_error_of_ours_has_a_reason() -> None:
    classes = [
        item
        for _, item in inspect.getmembers(errors, inspect.isclass)
        if issubclass(item, FaceApiError) and not issubclass(item, StartupError) and item is not FaceApiError
    ]
    assert {reason_of(item, 400) for item in classes} <= set(REASONS) - {"other"}


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (errors.ServerBusy, 503, "busy"), (errors.ServiceUnavailable, 503, "unavailable"),
        (errors.DatabaseUnavailable, 503, "unavailable"), (errors.TooManyRequests, 429, "rate_limit"),
        (errors.QuotaUsedUp, 429, "quota"), (errors.LockedOut, 429, "locked_out"),
        (errors.PayloadTooLarge, 413, "too_large"), (errors.ImageTooLarge, 413, "too_large"),
        (errors.CorruptImage, 400, "bad_image"), (errors.RequestError, 400, "bad_request"),
        (None, 404, "not_found"), (None, 500, "internal"), (None, 418, "other"), (None, 200, None), (None, 0, None),
    ],
)  # fmt: skip
def test_the_reason_of_a_refusal(error: type[Exception] | None, status: int, reason: str | None) -> None:
    assert reason_of(error, status) == reason


def test_the_backlog_is_asked_for_when_it_is_read() -> None:
    metrics = Metrics()
    counts: list[int | FaceApiError] = [3, 5, DatabaseUnavailable("gone")]

    async def count() -> int:
        item = counts.pop(0)
        if isinstance(item, FaceApiError):
            raise item
        return item

    metrics.cleanup_backlog(count)
    for expected in ("3.0", "5.0", "NaN"):
        asyncio.run(metrics.refresh())
        assert f"face_api_cleanup_backlog {expected}\n" in metrics.render().decode()


def test_storage_errors_are_counted_by_kind() -> None:
    metrics = Metrics()
    for kind in get_args(StorageErrorKind):
        assert value(metrics, "face_api_storage_errors_total", kind=kind) == 0
        metrics.storage_error(kind)
        assert value(metrics, "face_api_storage_errors_total", kind=kind) == 1


def test_a_database_that_does_not_answer_is_a_storage_error() -> None:
    metrics = Metrics()
    database = open_database(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"))
    assert database is not None
    database.on_failure = partial(metrics.storage_error, "database")

    async def ask() -> None:
        async with database:
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable):
                    await database.fetch("SELECT 1")

    asyncio.run(ask())
    assert value(metrics, "face_api_storage_errors_total", kind="database") == 2


def test_an_object_store_that_fails_a_request_is_a_storage_error() -> None:
    metrics = Metrics()
    metrics.started()
    metrics.finished(scope("/api/v1/mask", StoreUnavailable), "POST", 503, 0.1)
    assert value(metrics, "face_api_storage_errors_total", kind="object_store") == 1
    assert value(metrics, "face_api_rejections_total", reason="unavailable") == 1


def test_the_process_itself() -> None:
    metrics = Metrics()
    assert 1e6 < (value(metrics, "process_resident_memory_bytes") or 0) < 1e11
    assert value(metrics, "face_api_workers") == 1
    assert "_created" not in metrics.render().decode()


def test_two_objects_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.storage_error("database")
    assert value(other, "face_api_storage_errors_total", kind="database") == 0


# Several processes

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


# Documentation


def test_the_page_names_every_metric() -> None:
    rows = []
    for family in families():
        labels = ", ".join(f"`{label}`" for label in labels_of(family)) or "-"
        rows.append(f"| `{full_name(family)}` | {family.type} | {labels} | {family.documentation} |")
    table = re.findall(r"^\| `face_api_.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert table == rows


def test_the_page_names_every_value_of_a_label() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in (*REASONS, *STEPS, *get_args(Endpoint), *get_args(StorageErrorKind)):
        assert f"`{name}`" in page


def expressions() -> list[tuple[str, str]]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def known_labels() -> Mapping[str, set[str]]:
    """Return every series by name, with its labels and those that the scrape adds."""
    known: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(used().render().decode()):
        for sample in family.samples:
            known.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return known


@pytest.mark.parametrize(("title", "expression"), expressions(), ids=lambda text: text[:40])
def test_the_dashboard_asks_for_what_there_is(title: str, expression: str) -> None:
    known = known_labels()
    names = set(re.findall(r"\b(?:face_api|process)_\w+", expression))
    assert names
    assert names <= set(known), title
    labels = set().union(*(known[name] for name in names))
    selected = re.findall(r"(\w+)(?:=~|!=|=)\"", expression)
    grouped = [label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(", ")]
    assert {*selected, *grouped} <= labels, title
    assert ("_bucket" in expression) == ("histogram_quantile" in expression) == ("le" in grouped)
    assert expression.count("(") == expression.count(")")


def test_the_dashboard_shows_every_metric_and_is_well_laid_out() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    shown = " ".join(expression for _, expression in expressions())
    assert [family.name for family in families() if family.name not in shown] == []
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for panel in panels
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used_variables = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(dashboard)))
    assert used_variables <= variables
    assert all(
        target["datasource"]["uid"] == "${datasource}" for panel in panels for target in panel["targets"]
    )
