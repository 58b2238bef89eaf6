"""What the figures by day need to know of a request: handlers note it in its state, the envelope counts it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar.types import Scope

from service.schemas.detect import DetectResponse
from service.storage.activity import Series
from service.storage.activity_counter import ActivityCounter

__all__ = ["count_answer", "note_method", "note_work"]

_ENDPOINTS: Final = {"/api/v1/detect": "detect", "/api/v1/mask": "mask"}
_STATE: Final = "work"


class _Work(msgspec.Struct):
    """What is known of a request so far; the names are those of :meth:`ActivityCounter.count`."""

    method: str = ""
    milliseconds: float = 0.0
    faces: int = 0
    stored_bytes: int = 0


_NOTHING: Final = _Work()


def note_method(scope: Scope, method: str) -> None:
    """How a picture will be masked."""
    scope["state"][_STATE] = _Work(method)


def note_work(scope: Scope, answer: DetectResponse, stored_bytes: int) -> None:
    """What was found, and how many bytes were stored of it."""
    work: _Work = scope["state"].setdefault(_STATE, _Work())
    work.milliseconds = answer.processing.total_ms
    work.faces = answer.summary.face_count
    work.stored_bytes = stored_bytes


def count_answer(activity: ActivityCounter, scope: Mapping[str, Any], status: int) -> None:
    """Count the answer to a request of detect or mask; others are none of it.

    Args:
        activity: Where.
        scope: The scope as the router left it.
        status: The status of the answer.
    """
    endpoint = _ENDPOINTS.get(scope.get("path_template", ""))
    if endpoint is None or scope["method"] != "POST":
        return
    work: _Work = scope["state"].get(_STATE, _NOTHING)
    activity.count(
        Series(endpoint, work.method),
        status,
        milliseconds=work.milliseconds,
        faces=work.faces,
        stored_bytes=work.stored_bytes,
    )
