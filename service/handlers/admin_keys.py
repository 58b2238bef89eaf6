"""The admin's endpoints of API keys."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.types import Guard
from msgspec import UNSET

from service.access import audit
from service.access.key_fields import checked_name, key_response, parse_expiry
from service.access.keys import KeyRing, digest_of, new_record
from service.errors import NotConfigured, NotFound
from service.handlers.guards import admin_of
from service.handlers.json_body import read_json
from service.handlers.openapi_access import ADMIN_SECURITY, admin_errors, json_operation, page_operation
from service.handlers.parameters import read_parameters
from service.ranges import shorten
from service.schemas.keys import (
    ApiKeyChange,
    ApiKeyCreatedResponse,
    ApiKeyPage,
    ApiKeyRequest,
    ApiKeyResponse,
)
from service.schemas.pages import PageParameters, page_counts
from service.storage import keys as store
from service.storage.engine import Database
from service.storage.keys import KeyRecord

__all__ = ["admin_keys_router"]

_PATH = "/api/v1/admin/api-keys"


def admin_keys_router(keys: KeyRing | None, guards: Sequence[Guard]) -> Router:
    """Build the routes.

    Args:
        keys: The keys; None where no database is configured: the answer is 501.
        guards: Who may come in.
    """

    def ring() -> KeyRing:
        if keys is None:
            raise NotConfigured("API keys need a database, and FACE_API_DATABASE_URL is none")
        return keys

    @post(
        operation_id="createApiKey",
        summary="Create an API key",
        operation_class=json_operation(ApiKeyRequest, {"name": "Production App"}),
        responses=admin_errors(400, 403),
    )
    async def create_key(request: Request[Any, Any, Any]) -> ApiKeyCreatedResponse:
        """Make a key. It works at once, in every process; the answer is the only place that ever shows it."""
        database = ring().database
        body = await read_json(request, ApiKeyRequest)
        key, record = new_record(
            checked_name(body.name),
            expires_at=None if body.expires_at is None else parse_expiry(body.expires_at),
            daily_quota=body.daily_quota,
        )
        async with database.transaction():
            await store.add_key(database, record, digest_of(key))
            await _audit(request, database, "api_key.create", str(record.id), f"name: {record.name}")
        await ring().refresh()
        return ApiKeyCreatedResponse(key=key, **msgspec.structs.asdict(key_response(record)))

    @get(
        operation_id="listApiKeys",
        summary="List API keys",
        operation_class=page_operation(),
        responses=admin_errors(400),
    )
    async def list_keys(request: Request[Any, Any, Any]) -> ApiKeyPage:
        """The keys with their use, the newest first."""
        parameters = read_parameters(PageParameters, {}, request.query_params.multi_items())
        await ring().flush()
        records, total = await store.keys_page(
            ring().database, _today(), page=parameters.page, per_page=parameters.per_page
        )
        return ApiKeyPage(
            items=[key_response(record) for record in records], **page_counts(total, parameters)
        )

    @get("/{key_id:str}", operation_id="getApiKey", summary="Show an API key", responses=admin_errors(404))
    async def show_key(key_id: FromPath[str]) -> ApiKeyResponse:
        """One key with its use."""
        await ring().flush()
        return key_response(_found(await store.get_key(ring().database, _uuid(key_id), _today()), key_id))

    @patch(
        "/{key_id:str}",
        operation_id="changeApiKey",
        summary="Rename, revoke, limit an API key",
        operation_class=json_operation(ApiKeyChange, {"name": "Renamed App", "is_active": False}),
        responses=admin_errors(400, 403, 404),
    )
    async def change_key(key_id: FromPath[str], request: Request[Any, Any, Any]) -> ApiKeyResponse:
        """Change what is given. A revoked key stops within a second, in every process."""
        database = ring().database
        body = await read_json(request, ApiKeyChange)
        changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        if "name" in changes:
            changes["name"] = checked_name(changes["name"])
        if changes.get("expires_at") is not None:
            changes["expires_at"] = parse_expiry(changes["expires_at"])
        await ring().flush()
        async with database.transaction():
            record = await store.change_key(database, _uuid(key_id), changes, _today())
            if record is not None and changes:
                await _audit(request, database, "api_key.update", str(record.id), _words(changes))
        await ring().refresh()
        return key_response(_found(record, key_id))

    @delete(
        "/{key_id:str}",
        operation_id="deleteApiKey",
        summary="Delete an API key",
        responses=admin_errors(403, 404),
    )
    async def delete_key(key_id: FromPath[str], request: Request[Any, Any, Any]) -> None:
        """Delete a key and its counts. It stops within a second, in every process."""
        database = ring().database
        async with database.transaction():
            deleted = await store.delete_key(database, _uuid(key_id))
            if deleted:
                await _audit(request, database, "api_key.delete", str(_uuid(key_id)))
        await ring().refresh()
        if not deleted:
            raise _not_found(key_id)

    return Router(
        _PATH,
        route_handlers=[create_key, list_keys, show_key, change_key, delete_key],
        guards=guards,
        # The answer to a new key has the key.
        cache_control=CacheControlHeader(no_store=True),
        security=ADMIN_SECURITY,
        tags=["API keys"],
    )


async def _audit(
    request: Request[Any, Any, Any],
    database: Database,
    action: audit.Action,
    target: str,
    detail: str | None = None,
) -> None:
    admin = admin_of(request.scope)
    await audit.record(database, admin.username, admin.address, action, target=target, detail=detail)


def _words(changes: Mapping[str, Any]) -> str:
    """What was changed, and to what: "name: App, is_active: false"."""
    shown = msgspec.to_builtins(changes)
    texts = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in shown.items()
    }
    return ", ".join(f"{name}: {text}" for name, text in texts.items())


def _today() -> date:
    return datetime.now(UTC).date()


def _uuid(key_id: str) -> UUID:
    """The id; what is not even an id is not found either."""
    try:
        uuid = UUID(key_id)
    except ValueError:
        raise _not_found(key_id) from None
    if str(uuid) != key_id.lower():
        raise _not_found(key_id)
    return uuid


def _found(record: KeyRecord | None, key_id: str) -> KeyRecord:
    if record is None:
        raise _not_found(key_id)
    return record


def _not_found(key_id: str) -> NotFound:
    return NotFound(f"there is no API key with the id '{shorten(key_id)}'")
