"""Metrics for Prometheus: what is counted, and how several server processes count together.

With several processes each writes its figures to files of a common folder, and whoever is asked reads them all.
prometheus_client is switched to that by PROMETHEUS_MULTIPROC_DIR, which it looks at once, when it is imported:
``face-api serve`` sets the variable before it starts its processes, and nothing else imports this module before.
"""

import os
import platform
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

import service
from service import errors
from service.detection.detector import Detector
from service.detection.runtime import runtime_version
from service.errors import FaceApiError
from service.imaging.opencv import opencv_version
from service.pipeline import DetectResult, MaskResult
from service.storage.objects import StoreUnavailable

__all__ = ["CONTENT_TYPE", "REASONS", "STEPS", "Endpoint", "Metrics", "StorageErrorKind", "reason_of"]

# The format that every version of Prometheus reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4"
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

Endpoint = Literal["detect", "mask", "test_mask"]
StorageErrorKind = Literal["database", "object_store"]

STEPS: Final = ("decode", "preprocess", "inference", "postprocess", "mask", "encode", "storage")

# Why a request is refused, by the class of the error; the nearest base counts.
_REASON_BY_CLASS: Final[Mapping[type[FaceApiError], str]] = {
    errors.RequestError: "bad_request",
    errors.PayloadTooLarge: "too_large",
    errors.ImageError: "bad_image",
    errors.ImageTooLarge: "too_large",
    errors.UploadTimeout: "upload_timeout",
    errors.ClientDisconnected: "disconnected",
    errors.TooManyRequests: "rate_limit",
    errors.QuotaUsedUp: "quota",
    errors.LockedOut: "locked_out",
    errors.ServerBusy: "busy",
    errors.NotAuthenticated: "unauthorized",
    errors.Forbidden: "forbidden",
    errors.NotFound: "not_found",
    errors.NotConfigured: "not_configured",
    errors.ServiceUnavailable: "unavailable",
    FaceApiError: "other",
}
# For what the framework refuses by itself.
_REASON_BY_STATUS: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    500: "internal",
}
REASONS: Final = tuple(sorted({*_REASON_BY_CLASS.values(), *_REASON_BY_STATUS.values()}))

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# No route took the request.
_UNMATCHED: Final = "unmatched"

_REQUEST_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip
_STEP_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0
)  # fmt: skip
_FACES: Final = (0, 1, 2, 3, 5, 10, 20, 50, 100)
_PIXELS: Final = (1e5, 3e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7)


def reason_of(error: type[Exception] | None, status: int) -> str | None:
    """Why a request was refused; None if it was not.

    Args:
        error: The class of what was raised, if it is known.
        status: The status of the answer.
    """
    for base in error.__mro__ if error is not None else ():
        if reason := _REASON_BY_CLASS.get(base):
            return reason
    return None if status < 400 else _REASON_BY_STATUS.get(status, "other")


class Metrics:
    """The metrics of one process, or of several that share a folder. Thread-safe."""

    def __init__(self) -> None:
        """Make all metrics, each with nothing counted yet.

        Raises:
            RuntimeError: The folder was set after prometheus_client was imported.
        """
        folder = os.environ.get(FOLDER_VARIABLE)
        if bool(folder) is not values.ValueClass._multiprocess:
            raise RuntimeError(f"{FOLDER_VARIABLE} has to be set before prometheus_client is imported")
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
        self._folder = Path(folder) if folder else None
        # With a folder what this process holds is a part of the files, and read from there.
        own = CollectorRegistry() if folder is None else None
        self._registry = own or CollectorRegistry()
        if folder is not None:
            self._registry.register(_Files(Path(folder)))
        self._registry.register(_Processes(self._pids))
        self._backlog: Callable[[], Awaitable[int]] | None = None
        self._make_request_metrics(own)
        self._make_picture_metrics(own)
        self._make_state_metrics(own)

    def _make_request_metrics(self, registry: CollectorRegistry | None) -> None:
        self._requests = Counter(
            "face_api_requests_total", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "face_api_request_duration_seconds",
            "Time from the request's head to the end of the answer.",
            ["route", "method"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "face_api_requests_in_flight",
            "Requests being answered now, this one included.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._rejections = Counter(
            "face_api_rejections_total", "Requests refused, by reason.", ["reason"], registry=registry
        )
        for reason in REASONS:
            self._rejections.labels(reason)

    def _make_picture_metrics(self, registry: CollectorRegistry | None) -> None:
        self._step_seconds = Histogram(
            "face_api_step_duration_seconds",
            "Time that each step took for one picture.",
            ["endpoint", "step"],
            buckets=_STEP_SECONDS,
            registry=registry,
        )
        # Looking them up by their labels costs as much as counting.
        self._steps: dict[tuple[str, str], Histogram] = {}
        self._pictures = Counter(
            "face_api_pictures_total", "Pictures processed.", ["endpoint", "format"], registry=registry
        )
        self._picture_faces = Histogram(
            "face_api_faces",
            "Faces found in one picture; the sum is that of all faces.",
            ["endpoint"],
            buckets=_FACES,
            registry=registry,
        )
        self._picture_pixels = Histogram(
            "face_api_picture_pixels",
            "Pixels of a picture.",
            ["endpoint"],
            buckets=_PIXELS,
            registry=registry,
        )

    def _make_state_metrics(self, registry: CollectorRegistry | None) -> None:
        self._storage_errors = Counter(
            "face_api_storage_errors_total",
            "Queries that the database did not answer, and requests that the object store failed.",
            ["kind"],
            registry=registry,
        )
        for kind in ("database", "object_store"):
            self._storage_errors.labels(kind)
        self._cleanup_backlog = Gauge(
            "face_api_cleanup_backlog",
            "Stored objects that wait to be deleted; NaN if that cannot be told now.",
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._workers = Gauge(
            "face_api_workers", "Server processes.", multiprocess_mode="livesum", registry=registry
        )
        self._workers.set(1)
        self._build_info = Gauge(
            "face_api_build_info",
            "Versions; the value is always 1.",
            ["version", "python", "onnxruntime", "opencv"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._build_info.labels(
            service.__version__, platform.python_version(), runtime_version(), opencv_version()
        ).set(1)
        self._model_info = Gauge(
            "face_api_model_info",
            "The detector and what runs it; the value is always 1.",
            ["model", "provider", "input_size"],
            multiprocess_mode="livemax",
            registry=registry,
        )

    def model(self, detector: Detector) -> None:
        """Tell which detector is loaded."""
        size = "{}x{}".format(*detector.input_size)
        self._model_info.labels(detector.name, detector.provider, size).set(1)

    def started(self) -> None:
        """A request has begun."""
        self._in_flight.inc()

    def finished(self, scope: Mapping[str, Any], method: str, status: int, seconds: float) -> None:
        """A request has ended.

        Args:
            scope: The scope as the router left it: the path's template, and the error's class in its state.
            method: The method that the client sent.
            status: The status of the answer; 0 if there was none.
            seconds: How long it took.
        """
        self._in_flight.dec()
        route = scope.get("path_template", _UNMATCHED)
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status or "none")).inc()
        self._request_seconds.labels(route, method).observe(seconds)
        if status >= 400:
            error = scope["state"].get("error")
            if reason := reason_of(error, status):
                self._rejections.labels(reason).inc()
            if error is not None and issubclass(error, StoreUnavailable):
                self.storage_error("object_store")

    def detected(self, endpoint: Endpoint, result: DetectResult) -> None:
        """A picture has been searched."""
        found, header = result.found, result.header
        self.step(endpoint, "decode", result.decode_seconds)
        self.step(endpoint, "preprocess", found.preprocess_seconds)
        self.step(endpoint, "inference", found.inference_seconds)
        self.step(endpoint, "postprocess", found.postprocess_seconds)
        self._pictures.labels(endpoint, header.format).inc()
        self._picture_faces.labels(endpoint).observe(len(found.faces))
        self._picture_pixels.labels(endpoint).observe(header.width * header.height)

    def masked(self, endpoint: Endpoint, result: MaskResult) -> None:
        """A picture has been searched and masked."""
        self.detected(endpoint, result.detected)
        self.step(endpoint, "mask", result.mask_seconds)
        self.step(endpoint, "encode", result.encode_seconds)

    def step(self, endpoint: Endpoint, step: str, seconds: float) -> None:
        """One of STEPS has been taken for one picture."""
        child = self._steps.get((endpoint, step))
        if child is None:
            child = self._steps[endpoint, step] = self._step_seconds.labels(endpoint, step)
        child.observe(seconds)

    def stored(self, endpoint: Endpoint, milliseconds: float | None) -> None:
        """A picture has been kept; None if none was."""
        if milliseconds is not None:
            self.step(endpoint, "storage", milliseconds / 1000)

    def storage_error(self, kind: StorageErrorKind) -> None:
        """The database did not answer a query, or the object store failed a request."""
        self._storage_errors.labels(kind).inc()

    def cleanup_backlog(self, count: Callable[[], Awaitable[int]]) -> None:
        """Ask `count` for the number of objects to delete whenever the metrics are read."""
        self._backlog = count

    async def refresh(self) -> None:
        """Ask for what is not counted along the way. In the event loop, before :meth:`render`."""
        if self._backlog is None:
            return
        try:
            self._cleanup_backlog.set(await self._backlog())
        except FaceApiError:
            self._cleanup_backlog.set(float("nan"))

    def render(self) -> bytes:
        """All metrics of all processes, in the text format of Prometheus. Reads files: not in the event loop."""
        if self._folder is None:
            return generate_latest(self._registry)
        for pid in self._pids():
            # A process that was killed has not said goodbye.
            if not _alive(pid):
                self._forget(pid)
        return generate_latest(self._registry)

    def close(self) -> None:
        """This process ends: what it counted stays, what it is doing does not."""
        self._forget(os.getpid())

    def _pids(self) -> list[int]:
        if self._folder is None:
            return [os.getpid()]
        # Every process has set a gauge of this kind.
        return sorted(int(path.stem.rpartition("_")[2]) for path in self._folder.glob("gauge_livesum_*.db"))

    def _forget(self, pid: int) -> None:
        for path in self._folder.glob(f"gauge_live*_{pid}.db") if self._folder is not None else ():
            # Another process may do the same.
            path.unlink(missing_ok=True)


class _Files(Collector):
    """What all processes have counted, from their files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        files = []
        for path in self._folder.glob("*.db"):
            # One that has just been made is empty for a moment, which the library takes for damage.
            with suppress(FileNotFoundError):
                if path.stat().st_size:
                    files.append(str(path))
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # the library's

    def describe(self) -> list[Metric]:
        """Nothing: the names are known to clash with none."""
        return []


class _Processes(Collector):
    """The usual process metrics, over all server processes: their sums, and the start of the oldest."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for pid in self._pids():
            for metric in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                (sample,) = metric.samples
                if metric.name not in merged:
                    merged[metric.name] = metric
                    continue
                (so_far,) = merged[metric.name].samples
                oldest = metric.name == "process_start_time_seconds"
                value = min(so_far.value, sample.value) if oldest else so_far.value + sample.value
                merged[metric.name].samples = [so_far._replace(value=value)]
        yield from merged.values()

    def describe(self) -> list[Metric]:
        """Nothing: the names are known to clash with none."""
        return []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
