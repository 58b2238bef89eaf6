"""The metrics of one process."""

import asyncio
import inspect
from functools import partial
from typing import get_args

import pytest

from service import errors
from service.errors import DatabaseUnavailable, FaceApiError, StartupError
from service.metrics import REASONS, STEPS, Metrics, StorageErrorKind, reason_of
from service.settings import Settings
from service.storage.engine import open_database
from service.storage.objects import StoreUnavailable
from tests.metrics import scope, used, value


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
