"""The admin's endpoints of jobs."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
from litestar import Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import Guard

from service.errors import NotFound
from service.handlers.admin_images import LINK_SECONDS
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors, page_operation
from service.handlers.parameters import read_parameters
from service.handlers.stored import (
    JOBS_PATH,
    extension_of,
    job_facts,
    job_filter,
    job_response,
    known_id,
    required,
)
from service.ranges import shorten
from service.schemas.pages import page_counts
from service.schemas.storage import JobDetailResponse, JobDocument, JobPage, JobParameters
from service.storage import jobs as store
from service.storage.archive import Archive

__all__ = ["admin_jobs_router"]


def admin_jobs_router(archive: Archive | None, guards: Sequence[Guard]) -> Router:
    """Build the routes.

    Args:
        archive: The storage; None where it is off: the answer is 501.
        guards: Who may come in.
    """

    @get(
        operation_id="listJobs",
        summary="List jobs",
        operation_class=page_operation(JobParameters),
        responses=admin_errors(400),
    )
    async def list_jobs(request: Request[Any, Any, Any]) -> JobPage:
        """The stored requests, the newest first."""
        there = required(archive)
        parameters = read_parameters(JobParameters, {}, request.query_params.multi_items())
        found, total = await store.jobs_page(
            there.database, job_filter(parameters), page=parameters.page, per_page=parameters.per_page
        )
        return JobPage(items=[job_response(there, job) for job in found], **page_counts(total, parameters))

    @get("/{job_id:str}", operation_id="getJob", summary="Show a job", responses=admin_errors(404))
    async def show_job(job_id: FromPath[str]) -> JobDetailResponse:
        """One job with everything that was found."""
        there = required(archive)
        uuid = known_id(job_id, "job")
        job = await store.get_job(there.database, uuid)
        text = await store.get_job_document(there.database, uuid)
        if job is None or text is None:
            raise _not_found(job_id)
        document = msgspec.json.decode(text, type=JobDocument)
        return JobDetailResponse(
            **job_facts(there, job),
            **{name: getattr(document, name) for name in JobDocument.__struct_fields__},
        )

    @get(
        "/{job_id:str}/download",
        operation_id="downloadJob",
        summary="Download a masked picture",
        status_code=302,
        responses=admin_errors(404),
    )
    async def download_job(job_id: FromPath[str]) -> Redirect:
        """Lead to the masked picture, at an address that works for five minutes."""
        there = required(archive)
        job = await store.get_job(there.database, known_id(job_id, "job"))
        if job is None:
            raise _not_found(job_id)
        if job.result_key is None:
            raise NotFound(f"the job {job.id} has no masked picture")
        stem = PurePosixPath(job.filename).stem if job.filename else str(job.id)
        url = await there.objects.url(
            job.result_key,
            filename=f"{stem}-masked{extension_of(job.result_key)}",
            content_type=f"image/{job.result_format}",
            expires=LINK_SECONDS,
        )
        return Redirect(url, status_code=302)

    return Router(
        JOBS_PATH,
        route_handlers=[list_jobs, show_job, download_job],
        guards=guards,
        cache_control=CacheControlHeader(no_store=True),
        security=ADMIN_SECURITY,
        tags=["Stored pictures"],
    )


def _not_found(job_id: str) -> NotFound:
    return NotFound(f"there is no job with the id '{shorten(job_id)}'")
