"""The admin's statistics."""

from collections.abc import Sequence

from litestar import Router, get
from litestar.datastructures import CacheControlHeader
from litestar.types import Guard

from service.handlers.openapi import plain_operation
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors
from service.handlers.stored import required
from service.schemas.storage import StatsResponse
from service.storage.archive import Archive
from service.storage.jobs import statistics

__all__ = ["admin_stats_router"]


def admin_stats_router(archive: Archive | None, guards: Sequence[Guard]) -> Router:
    """Build the route.

    Args:
        archive: The storage; None where it is off: the answer is 501.
        guards: Who may come in.
    """

    @get(
        operation_id="stats",
        summary="Statistics",
        operation_class=plain_operation(),
        responses=admin_errors(),
    )
    async def stats() -> StatsResponse:
        """Everything that is stored, added up."""
        there = required(archive)
        found = await statistics(there.database)
        average = found.average_inference_ms
        return StatsResponse(
            total_images=found.images,
            total_jobs=found.jobs,
            total_faces_detected=found.faces,
            avg_inference_ms=None if average is None else round(average, 2),
            storage_used_bytes=found.stored_bytes,
            jobs_by_type=found.by_type,
            jobs_by_method=found.by_method,
        )

    return Router(
        "/api/v1/admin/stats",
        route_handlers=[stats],
        guards=guards,
        cache_control=CacheControlHeader(no_store=True),
        security=ADMIN_SECURITY,
        tags=["Stored pictures"],
    )
