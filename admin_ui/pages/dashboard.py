"""/admin: how the service is and what it does."""

from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from admin_ui.parts import Parts
from admin_ui.rendering import Pages, is_partial
from service.errors import DatabaseUnavailable
from service.handlers.guards import admin_of
from service.handlers.parameters import read_parameters
from service.settings import MaskMethod
from service.storage.activity import Activity, Series, Tally
from service.storage.activity_counter import KEEP_DAYS
from service.storage.jobs import Statistics, statistics
from service.storage.keys import keys_page

__all__ = ["HEALTH_WORDS", "dashboard_page"]

# What `_health` says and the template translates; names of products and settings stay as they are.
HEALTH_WORDS: Final = (
    "Model",
    "Database",
    "Storage",
    "Rate limits",
    "none",
    "off",
    "reachable",
    "does not answer",
    "in memory",
    "one count per process",
    "shared by all processes",
    "local folder",
)


# The figures of stored jobs cost the database more than a refresh of the page by itself is worth.
_REFRESH_SECONDS: Final = 20.0

# What the menu offers; the address takes any number.
_PERIODS: Final = (7, 30, 90, 365)

# The order of the table; what was refused before the method was known stands last.
_SERIES: Final = {
    "detect": Series("detect", ""),
    "gaussian": Series("mask", "gaussian"),
    "elliptical": Series("mask", "elliptical"),
    "pixelate": Series("mask", "pixelate"),
    "solid": Series("mask", "solid"),
    "mask": Series("mask", ""),
}


class _Query(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    days: Annotated[int, Meta(ge=1, le=KEEP_DAYS)] = 30
    method: MaskMethod | Literal["detect", "mask"] | None = None


class _Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of a period.

    Attributes:
        first_day: Its first day (UTC).
        today: Its last day.
        days: The days that had any, the oldest first.
        methods: By the name in the address, in the order of the table.
        total: All of the period, of one method or of all.
        so_far: Those of today.
        source: ``database``; ``memory`` where there is none; ``waiting`` while it does not answer.
    """

    first_day: date
    today: date
    days: list[tuple[date, Tally]]
    methods: list[tuple[str, Series, Tally]]
    total: Tally
    so_far: Tally
    source: Literal["database", "memory", "waiting"]


def dashboard_page(pages: Pages, parts: Parts) -> HTTPRouteHandler:
    """Build the route."""
    kept: list[tuple[float, Statistics]] = []

    async def stored(oldest: float) -> Statistics | None:
        if parts.archive is None:
            return None
        if not kept or monotonic() - kept[0][0] > oldest:
            kept[:] = [(monotonic(), await statistics(parts.archive.database))]
        return kept[0][1]

    @get("/", name="console-dashboard")
    async def dashboard(request: Request[Any, Any, Any]) -> Response[str]:
        """Health, and requests by day and by method; a page that refreshes itself."""
        query = read_parameters(_Query, {}, request.query_params.multi_items())
        context: dict[str, Any] = {"stored": None, "keys_total": None, "empty": False}
        try:
            figures = await _figures(parts, query)
            totals = await stored(_REFRESH_SECONDS if is_partial(request) else 0.0)
            context |= {"stored": totals, "keys_total": await _number_of_keys(parts)}
            if not figures.methods and not (totals and totals.jobs):
                oldest = figures.today - timedelta(days=KEEP_DAYS)
                context["empty"] = not (await parts.activity.read(oldest)).series
        except DatabaseUnavailable:
            # The page says so among the health; the rest of it is worth seeing.
            figures = _added_up(parts, query, None)
        context |= {
            "admin": admin_of(request.scope),
            "asked": parts.report.settings.api_key_enabled,
            "workers": parts.report.settings.workers,
            "figures": figures,
            "query": query,
            "periods": _PERIODS,
            "health": _health(parts),
        }
        template = "dashboard_live.html" if is_partial(request) else "dashboard.html"
        return pages.page(request, template, context)

    return dashboard


async def _figures(parts: Parts, query: _Query) -> _Figures:
    today = datetime.now(UTC).date()
    only = _SERIES[query.method] if query.method else None
    return _added_up(parts, query, await parts.activity.read(today - timedelta(days=query.days - 1), only))


def _added_up(parts: Parts, query: _Query, activity: Activity | None) -> _Figures:
    """The figures; without an activity those that wait for the database."""
    today = datetime.now(UTC).date()
    first_day = today - timedelta(days=query.days - 1)
    source: Literal["database", "memory", "waiting"] = "memory" if parts.database is None else "database"
    if activity is None:
        source = "waiting"
        activity = parts.activity.unwritten(first_day, _SERIES[query.method] if query.method else None)
    total = Tally()
    for tally in activity.days.values():
        total.add(tally)
    return _Figures(
        first_day=first_day,
        today=today,
        days=sorted(activity.days.items()),
        methods=[
            (name, series, activity.series[series])
            for name, series in _SERIES.items()
            if series in activity.series
        ],
        total=total,
        so_far=activity.days.get(today, Tally()),
        source=source,
    )


async def _number_of_keys(parts: Parts) -> int | None:
    if parts.keys is None:
        return None
    return (await keys_page(parts.keys.database, datetime.now(UTC).date(), page=1, per_page=1))[1]


def _health(parts: Parts) -> list[dict[str, str]]:
    """What the service stands on: a name, a state (``ok``, ``off``, ``warn``, ``bad``) and words."""
    settings, detector, database = parts.report.settings, parts.pipeline.detector, parts.database
    model = {
        "name": "Model",
        "state": "bad" if detector.failure else "ok",
        "title": detector.name,
        "words": detector.failure or str(detector.execution.backend),
    }
    if database is None:
        base = {"name": "Database", "state": "off", "title": "none", "words": "FACE_API_DATABASE_URL=none"}
    else:
        words = "" if database.reachable else "does not answer"
        title = {"sqlite": "SQLite", "postgres": "PostgreSQL"}.get(database.dialect, database.dialect)
        base = {
            "name": "Database",
            "state": "ok" if database.reachable else "bad",
            "title": title,
            "words": words or "reachable",
        }
    lost = parts.rate_limits.warning()
    limits = {"name": "Rate limits", "state": "ok", "title": "in memory", "words": "one count per process"}
    if settings.redis_url:
        words = lost or "shared by all processes"
        limits = {"name": "Rate limits", "state": "warn" if lost else "ok", "title": "Redis", "words": words}
    elif settings.workers > 1:
        limits["state"] = "warn"
    storage = {"name": "Storage", "state": "off", "title": "off", "words": "FACE_API_STORAGE_ENABLED=false"}
    if settings.storage_enabled:
        title = "S3" if settings.s3_endpoint or settings.s3_access_key else "local folder"
        failure = parts.archive.failure() if parts.archive is not None else None
        storage = {
            "name": "Storage",
            "state": "bad" if failure else "ok",
            "title": title,
            "words": failure or "reachable",
        }
    return [model, base, storage, limits]
