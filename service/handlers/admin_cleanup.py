"""The admin's list of stored files that could not be deleted yet, and trying them again at once."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.types import Guard

from service.access import audit
from service.errors import DatabaseUnavailable, NotFound
from service.handlers.guards import admin_of
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors, page_operation
from service.handlers.parameters import read_parameters
from service.handlers.stored import known_id, required
from service.ranges import shorten
from service.schemas.pages import PageParameters, page_counts
from service.schemas.storage import CleanupPage, CleanupRetryResponse, CleanupTaskResponse
from service.storage.archive import Archive
from service.storage.cleanup import Retry, retry_due, retry_task
from service.storage.cleanup_tasks import CleanupTask, count_tasks, get_task, make_due, tasks_page

__all__ = ["admin_cleanup_router"]

# An admin waits for the answer; what there is no time for is due, and the cleaner does it.
_RETRY_SECONDS: Final = 5.0
# A store that stalls keeps a deletion for longer than that.
_ANSWER_SECONDS: Final = 8.0


def admin_cleanup_router(archive: Archive | None, guards: Sequence[Guard]) -> Router:
    """Build the routes.

    Args:
        archive: The storage; None where it is off: the answer is 501.
        guards: Who may come in.
    """

    @get(
        operation_id="listCleanup",
        summary="List cleanup tasks",
        operation_class=page_operation(),
        responses=admin_errors(400),
    )
    async def list_cleanup(request: Request[Any, Any, Any]) -> CleanupPage:
        """Files that nothing refers to any more and that are still to be deleted, the oldest first."""
        there = required(archive)
        parameters = read_parameters(PageParameters, {}, request.query_params.multi_items())
        tasks, total = await tasks_page(there.database, page=parameters.page, per_page=parameters.per_page)
        return CleanupPage(items=[_response(task) for task in tasks], **page_counts(total, parameters))

    @post(
        "/retry",
        status_code=200,
        operation_id="retryCleanup",
        summary="Retry all cleanup tasks",
        responses=admin_errors(403),
    )
    async def retry_all(request: Request[Any, Any, Any]) -> CleanupRetryResponse:
        """Try all of them now, whatever pause they are in; what takes longer than some seconds goes on afterwards."""
        there = required(archive)
        now = datetime.now(UTC)
        async with there.database.transaction():
            if count := await make_due(there.database, now):
                admin = admin_of(request.scope)
                await audit.record(
                    there.database, admin.username, admin.address, "cleanup.retry", detail=f"tasks: {count}"
                )
        retry = Retry()
        return await _answer(
            there, retry, retry_due(there.database, there.objects, now, retry, _RETRY_SECONDS)
        )

    @post(
        "/{task_id:str}/retry",
        status_code=200,
        operation_id="retryCleanupTask",
        summary="Retry a cleanup task",
        responses=admin_errors(403, 404),
    )
    async def retry_one(task_id: FromPath[str], request: Request[Any, Any, Any]) -> CleanupRetryResponse:
        """Try one of them now, whatever pause it is in."""
        there = required(archive)
        async with there.database.transaction():
            task = await get_task(there.database, known_id(task_id, "cleanup task"))
            if task is not None:
                admin = admin_of(request.scope)
                await audit.record(
                    there.database,
                    admin.username,
                    admin.address,
                    "cleanup.retry",
                    target=str(task.id),
                    detail=f"file: {task.object_key}",
                )
        if task is None:
            raise NotFound(f"there is no cleanup task with the id '{shorten(task_id)}'")
        retry = Retry()
        return await _answer(there, retry, retry_task(there.database, there.objects, task, retry))

    return Router(
        "/api/v1/admin/cleanup",
        route_handlers=[list_cleanup, retry_all, retry_one],
        guards=guards,
        cache_control=CacheControlHeader(no_store=True),
        security=ADMIN_SECURITY,
        tags=["Stored pictures"],
    )


async def _answer(archive: Archive, retry: Retry, work: Coroutine[Any, Any, None]) -> CleanupRetryResponse:
    """Do the work, in the background once it has taken too long to wait for."""
    await asyncio.wait((archive.recorder.in_background(_quietly(work)),), timeout=_ANSWER_SECONDS)
    return CleanupRetryResponse(
        deleted=retry.deleted,
        failed=retry.failed,
        last_error=retry.reason,
        remaining=(await count_tasks(archive.database))[0],
    )


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    # The tasks are there, and counting them tells the admin.
    with suppress(DatabaseUnavailable):
        await work


def _response(task: CleanupTask) -> CleanupTaskResponse:
    return CleanupTaskResponse(
        id=str(task.id),
        object_key=task.object_key,
        attempts=task.attempts,
        last_error=task.last_error,
        next_attempt_at=_iso(task.due_at),
        created_at=_iso(task.created_at),
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
