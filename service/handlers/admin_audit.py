"""The admin's endpoint of the audit."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from litestar import Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.types import Guard

from service.errors import NotConfigured
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors, page_operation
from service.handlers.parameters import read_parameters
from service.schemas.admin import AuditEntryResponse, AuditPage
from service.schemas.pages import PageParameters, page_counts
from service.storage.audit import AuditRecord, entries_page
from service.storage.engine import Database

__all__ = ["admin_audit_router"]


def admin_audit_router(database: Database | None, guards: Sequence[Guard]) -> Router:
    """Build the route.

    Args:
        database: Where the audit is; None where no database is configured: the answer is 501.
        guards: Who may come in.
    """

    @get(
        operation_id="listAudit",
        summary="List admin actions",
        operation_class=page_operation(),
        responses=admin_errors(400),
    )
    async def list_audit(request: Request[Any, Any, Any]) -> AuditPage:
        """Who did what, from where and when, the newest first."""
        if database is None:
            raise NotConfigured("the audit needs a database, and FACE_API_DATABASE_URL is none")
        parameters = read_parameters(PageParameters, {}, request.query_params.multi_items())
        entries, total = await entries_page(database, page=parameters.page, per_page=parameters.per_page)
        return AuditPage(items=[_response(entry) for entry in entries], **page_counts(total, parameters))

    return Router(
        "/api/v1/admin/audit",
        route_handlers=[list_audit],
        guards=guards,
        cache_control=CacheControlHeader(no_store=True),
        security=ADMIN_SECURITY,
        tags=["Admin"],
    )


def _response(entry: AuditRecord) -> AuditEntryResponse:
    return AuditEntryResponse(
        id=str(entry.id),
        at=entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        actor=entry.actor,
        address=entry.address,
        action=entry.action,
        outcome=entry.outcome,
        target=entry.target,
        detail=entry.detail,
    )
