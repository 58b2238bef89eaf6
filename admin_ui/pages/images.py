"""/admin/images: the stored pictures."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta

from admin_ui.parts import Parts
from admin_ui.rendering import Pages, is_partial, link
from service.errors import NotFound
from service.handlers.guards import admin_of
from service.handlers.parameters import read_parameters
from service.handlers.stored import image_facts, job_response, known_id, period
from service.ranges import shorten
from service.schemas.pages import page_counts
from service.schemas.storage import ImageParameters, JobDocument
from service.storage.image_search import ImageSearch
from service.storage.images import get_image
from service.storage.images import images_page as read_images
from service.storage.jobs import get_job_document, jobs_of_image

__all__ = ["given", "image_pages", "whole_days"]

_PATH = "/admin/images"
_MOST_JOBS = 100


class _ImageQuery(ImageParameters, frozen=True, kw_only=True):
    """Which pictures, as the address has it."""

    name: Annotated[str, Meta(max_length=200, description="What the name contains.")] | None = None


def image_pages(pages: Pages, parts: Parts) -> list[HTTPRouteHandler]:
    """Build the routes."""

    @get("/images", name="console-images")
    async def images(request: Request[Any, Any, Any]) -> Response[str]:
        """The stored pictures, the newest first."""
        admin = admin_of(request.scope)
        if parts.archive is None:
            return pages.page(request, "storage_off.html", {"admin": admin, "subject": "images"})
        query = given(request.query_params.multi_items())
        asked = read_parameters(_ImageQuery, {"per_page": 24}, query)
        when = period(whole_days(asked))
        found, total = await read_images(
            parts.archive.database,
            ImageSearch(since=when.since, until=when.until, name=asked.name),
            page=asked.page,
            per_page=asked.per_page,
        )
        context = {
            "admin": admin,
            "images": [image_facts(parts.archive, image) for image in found],
            "query": {name: value for name, value in query if name != "page"},
            **page_counts(total, asked),
        }
        if is_partial(request):
            address = link(_PATH, dict(query))
            return pages.page(request, "images_list.html", context, headers={"HX-Push-Url": address})
        return pages.page(request, "images.html", context)

    @get("/images/{image_id:str}", name="console-image")
    async def image(request: Request[Any, Any, Any], image_id: FromPath[str]) -> Response[str]:
        """One picture, its jobs, and what one of them made of it."""
        admin = admin_of(request.scope)
        if parts.archive is None:
            return pages.page(request, "storage_off.html", {"admin": admin, "subject": "images"})
        database = parts.archive.database
        found = await get_image(database, known_id(image_id, "picture"))
        if found is None:
            raise NotFound(f"there is no picture with the id '{shorten(image_id)}'")
        jobs = await jobs_of_image(database, found.id, _MOST_JOBS)
        wanted = request.query_params.get("job")
        job = next((job for job in jobs if str(job.id) == wanted), None)
        job = job or next((job for job in jobs if job.result_key is not None), None) or next(iter(jobs), None)
        document = await get_job_document(database, job.id) if job is not None else None
        context = {
            "admin": admin,
            "image": image_facts(parts.archive, found),
            "jobs": [job_response(parts.archive, one) for one in jobs],
            "job": job_response(parts.archive, job) if job is not None else None,
            "document": msgspec.json.decode(document, type=JobDocument) if document else None,
            "faces": _faces(found.width, found.height, document),
        }
        return pages.page(request, "image.html", context)

    return [images, image]


def given(query: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What a form has filled in: fields that are left empty are sent all the same."""
    return [(name, value) for name, value in query if value.strip()]


def whole_days(asked: ImageParameters) -> ImageParameters:
    """A day that ends a period belongs to it."""
    if asked.until is None or len(asked.until) != len("2026-04-06"):
        return asked
    try:
        day = date.fromisoformat(asked.until) + timedelta(days=1)
    except (ValueError, OverflowError):
        return asked
    return msgspec.structs.replace(asked, until=day.isoformat())


def _faces(width: int, height: int, document: str | None) -> str:
    """What the script draws over the picture, as JSON."""
    detections = msgspec.json.decode(document)["detections"] if document else []
    drawn = {"image": {"width": width, "height": height}, "detections": detections}
    return msgspec.json.encode(drawn).decode()
