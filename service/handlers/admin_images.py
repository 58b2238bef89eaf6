"""The admin's endpoints of stored pictures."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from litestar import Request, Router, delete, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import Guard

from service.access import audit
from service.errors import DatabaseUnavailable, NotFound
from service.handlers.guards import admin_of
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors, page_operation
from service.handlers.parameters import read_parameters
from service.handlers.stored import (
    IMAGES_PATH,
    extension_of,
    image_facts,
    job_response,
    known_id,
    period,
    required,
)
from service.ranges import shorten
from service.schemas.pages import page_counts
from service.schemas.storage import (
    ImageParameters,
    StoredImageDetailResponse,
    StoredImagePage,
)
from service.storage import images as store
from service.storage.archive import Archive
from service.storage.cleanup import delete_objects
from service.storage.cleanup_tasks import CleanupTask
from service.storage.jobs import jobs_of_image

__all__ = ["LINK_SECONDS", "admin_images_router"]

LINK_SECONDS: Final = 300
_MOST_JOBS: Final = 1000
# The rows are gone by then; whoever deletes need not wait for a store that stalls.
_DELETE_SECONDS: Final = 2.0


def admin_images_router(archive: Archive | None, guards: Sequence[Guard]) -> Router:
    """Build the routes.

    Args:
        archive: The storage; None where it is off: the answer is 501.
        guards: Who may come in.
    """

    @get(
        operation_id="listImages",
        summary="List stored pictures",
        operation_class=page_operation(ImageParameters),
        responses=admin_errors(400),
    )
    async def list_images(request: Request[Any, Any, Any]) -> StoredImagePage:
        """The stored pictures, the newest first."""
        there = required(archive)
        parameters = read_parameters(ImageParameters, {}, request.query_params.multi_items())
        found, total = await store.images_page(
            there.database, period(parameters), page=parameters.page, per_page=parameters.per_page
        )
        return StoredImagePage(
            items=[image_facts(there, image) for image in found], **page_counts(total, parameters)
        )

    @get("/{image_id:str}", operation_id="getImage", summary="Show a picture", responses=admin_errors(404))
    async def show_image(image_id: FromPath[str]) -> StoredImageDetailResponse:
        """One stored picture with its jobs."""
        there = required(archive)
        image = await store.get_image(there.database, known_id(image_id, "picture"))
        if image is None:
            raise _not_found(image_id)
        jobs = await jobs_of_image(there.database, image.id, _MOST_JOBS)
        return StoredImageDetailResponse(
            jobs=[job_response(there, job) for job in jobs],
            **msgspec.structs.asdict(image_facts(there, image)),
        )

    @get(
        "/{image_id:str}/download",
        operation_id="downloadImage",
        summary="Download an original",
        status_code=302,
        responses=admin_errors(404),
    )
    async def download_image(image_id: FromPath[str]) -> Redirect:
        """Lead to the original, at an address that works for five minutes."""
        there = required(archive)
        image = await store.get_image(there.database, known_id(image_id, "picture"))
        if image is None:
            raise _not_found(image_id)
        if image.object_key is None:
            raise NotFound("the original of this picture is not stored")
        url = await there.objects.url(
            image.object_key,
            filename=image.filename or f"{image.id}{extension_of(image.object_key)}",
            content_type=image.content_type,
            expires=LINK_SECONDS,
        )
        return Redirect(url, status_code=302)

    @delete(
        "/{image_id:str}", operation_id="deleteImage", summary="Delete a picture", responses=admin_errors(404)
    )
    async def delete_image(image_id: FromPath[str], request: Request[Any, Any, Any]) -> None:
        """Delete a picture with its jobs at once, and its files as soon as the store does."""
        there = required(archive)
        uuid = known_id(image_id, "picture")
        async with there.database.transaction():
            tasks = await store.delete_image(there.database, uuid)
            if tasks is not None:
                admin = admin_of(request.scope)
                await audit.record(
                    there.database, admin.username, admin.address, "image.delete", target=str(uuid)
                )
        if tasks is None:
            raise _not_found(image_id)
        work = there.recorder.in_background(_delete_objects(there, tasks))
        await asyncio.wait((work,), timeout=_DELETE_SECONDS)

    return Router(
        IMAGES_PATH,
        route_handlers=[list_images, show_image, download_image, delete_image],
        guards=guards,
        cache_control=CacheControlHeader(no_store=True),
        security=ADMIN_SECURITY,
        tags=["Stored pictures"],
    )


async def _delete_objects(archive: Archive, tasks: Sequence[CleanupTask]) -> None:
    # The tasks are there; the cleaner finds them.
    with suppress(DatabaseUnavailable):
        await delete_objects(archive.database, archive.objects, tasks)


def _not_found(image_id: str) -> NotFound:
    return NotFound(f"there is no picture with the id '{shorten(image_id)}'")
