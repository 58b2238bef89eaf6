"""All endpoints that need storage, in one list."""

from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler
from litestar.router import Router
from litestar.types import Guard

from service.handlers.admin_cleanup import admin_cleanup_router
from service.handlers.admin_images import admin_images_router
from service.handlers.admin_jobs import admin_jobs_router
from service.handlers.admin_stats import admin_stats_router
from service.handlers.files import files_handler
from service.storage.archive import Archive
from service.storage.local_store import LocalStore

__all__ = ["admin_storage_handlers"]


def admin_storage_handlers(
    archive: Archive | None, guards: Sequence[Guard]
) -> list[Router | HTTPRouteHandler]:
    """Build them.

    Args:
        archive: The storage; None where it is off: the answer is 501.
        guards: Who may come in.
    """
    handlers: list[Router | HTTPRouteHandler] = [
        admin_stats_router(archive, guards),
        admin_images_router(archive, guards),
        admin_jobs_router(archive, guards),
        admin_cleanup_router(archive, guards),
    ]
    if archive is not None and isinstance(archive.objects, LocalStore):
        # The links carry their own permission.
        handlers.append(files_handler(archive.objects))
    return handlers
