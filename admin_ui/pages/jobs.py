"""/admin/jobs: what was done with the stored pictures."""

from datetime import UTC, datetime
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from admin_ui.pages.images import given, whole_days
from admin_ui.parts import Parts
from admin_ui.rendering import Pages, is_partial, link
from service.errors import NotFound
from service.handlers.guards import admin_of
from service.handlers.parameters import read_parameters
from service.handlers.stored import job_filter, job_response, known_id
from service.ranges import shorten
from service.schemas.detect import Profiling
from service.schemas.pages import page_counts
from service.schemas.storage import JobDocument, JobParameters
from service.settings import MaskMethod
from service.storage.jobs import get_job, get_job_document
from service.storage.jobs import jobs_page as read_jobs
from service.storage.keys import get_key, keys_page

__all__ = ["job_pages", "waterfall"]

_PATH = "/admin/jobs"
# More than these would be no menu; the address takes any key.
_MOST_KEYS: Final = 100
_STEPS: Final = ("decode", "preprocess", "inference", "postprocess", "mask", "encode", "storage")


class _Step(msgspec.Struct, frozen=True):
    """One step of a job: when it began and how long it took, in ms and in percent of the whole."""

    name: str
    start: float
    milliseconds: float
    share: float


def job_pages(pages: Pages, parts: Parts) -> list[HTTPRouteHandler]:
    """Build the routes."""

    @get("/jobs", name="console-jobs")
    async def jobs(request: Request[Any, Any, Any]) -> Response[str]:
        """The jobs, the newest first; the filters stand in the address."""
        admin = admin_of(request.scope)
        if parts.archive is None:
            return pages.page(request, "storage_off.html", {"admin": admin, "subject": "jobs"})
        query = given(request.query_params.multi_items())
        asked = read_parameters(JobParameters, {}, query)
        wanted = job_filter(msgspec.structs.replace(asked, until=whole_days(asked).until))
        found, total = await read_jobs(
            parts.archive.database, wanted, page=asked.page, per_page=asked.per_page
        )
        context = {
            "admin": admin,
            "jobs": [job_response(parts.archive, job) for job in found],
            "methods": get_args(MaskMethod),
            "keys": await _keys(parts, asked.key_id),
            "query": {name: value for name, value in query if name != "page"},
            **page_counts(total, asked),
        }
        if is_partial(request):
            address = link(_PATH, dict(query))
            return pages.page(request, "jobs_list.html", context, headers={"HX-Push-Url": address})
        return pages.page(request, "jobs.html", context)

    @get("/jobs/{job_id:str}", name="console-job")
    async def job(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[str]:
        """One job: where the time went, and the whole of it as JSON."""
        admin = admin_of(request.scope)
        if parts.archive is None:
            return pages.page(request, "storage_off.html", {"admin": admin, "subject": "jobs"})
        uuid = known_id(job_id, "job")
        found = await get_job(parts.archive.database, uuid)
        text = await get_job_document(parts.archive.database, uuid)
        if found is None or text is None:
            raise NotFound(f"there is no job with the id '{shorten(job_id)}'")
        document = msgspec.json.decode(text, type=JobDocument)
        facts = job_response(parts.archive, found)
        context = {
            "admin": admin,
            "job": facts,
            "document": document,
            "key": await _key_name(parts, found.key_id),
            "steps": waterfall(document.profiling),
            "json": msgspec.json.format(
                msgspec.json.encode({**msgspec.structs.asdict(facts), **msgspec.structs.asdict(document)}),
                indent=2,
            ).decode(),
        }
        return pages.page(request, "job.html", context)

    return [jobs, job]


async def _keys(parts: Parts, chosen: str | None) -> list[tuple[str, str]]:
    """Ids and names of keys to choose from: the newest, and the chosen one whatever it is."""
    if parts.keys is None:
        return []
    records, _ = await keys_page(parts.keys.database, datetime.now(UTC).date(), page=1, per_page=_MOST_KEYS)
    keys = [(str(record.id), record.name) for record in records]
    if chosen is not None and chosen.lower() not in (key_id for key_id, _ in keys):
        keys.append((chosen, await _key_name(parts, UUID(chosen)) or chosen))
    return keys


async def _key_name(parts: Parts, key_id: UUID | None) -> str | None:
    """What a key is called; None without one, or where it has been deleted since."""
    if key_id is None or parts.keys is None:
        return None
    record = await get_key(parts.keys.database, key_id, datetime.now(UTC).date())
    return record.name if record is not None else None


def waterfall(profiling: Profiling) -> list[_Step]:
    """The steps of a job, one after the other."""
    taken = [(step, getattr(profiling, f"{step}_ms")) for step in _STEPS]
    steps = [(step, milliseconds) for step, milliseconds in taken if milliseconds is not None]
    whole = max(profiling.total_ms, sum(milliseconds for _, milliseconds in steps)) or 1.0
    result, start = [], 0.0
    for step, milliseconds in steps:
        result.append(
            _Step(step, round(100 * start / whole, 3), milliseconds, round(100 * milliseconds / whole, 3))
        )
        start += milliseconds
    return result
