"""face-api keys: make, list, revoke and delete API keys, on the database of the service."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import rich_click as click

from service.cli.checks import fail, read_settings
from service.errors import FaceApiError, NotFound, RequestError
from service.ranges import shorten

if TYPE_CHECKING:
    from service.access.audit import Action
    from service.storage.engine import Database
    from service.storage.keys import KeyRecord

__all__ = ["keys"]

T = TypeVar("T")

_PAGE: Final = 100


@click.group()
def keys() -> None:
    """API keys: create, list, revoke, delete. A running service notices within a second."""


@keys.command()
@click.argument("name")
@click.option("--expires", metavar="TIME", help="When it stops, such as 2027-01-01T00:00:00+00:00.")
@click.option("--quota", type=click.IntRange(1, 2**31 - 1), metavar="N", help="Requests per day (UTC).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def create(name: str, expires: str | None, quota: int | None, as_json: bool) -> None:
    """Make a key and print it, once: only its digest is kept."""
    from service.access.key_fields import checked_name, key_response, parse_expiry
    from service.access.keys import digest_of, new_record
    from service.storage.keys import add_key

    async def work(database: "Database") -> "tuple[str, KeyRecord]":
        key, record = new_record(
            checked_name(name), expires_at=parse_expiry(expires) if expires else None, daily_quota=quota
        )
        async with database.transaction():
            await add_key(database, record, digest_of(key))
            await _audit(database, "api_key.create", record, f"name: {record.name}")
        return key, record

    key, record = _with_database(work)
    if as_json:
        _json({**msgspec.structs.asdict(key_response(record)), "key": key})
    else:
        click.echo(key)
        click.echo(f"made '{record.name}', id {record.id}; the key is not shown again", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_keys(as_json: bool) -> None:
    """List the keys with their use, the newest first."""
    from service.access.key_fields import key_response
    from service.storage.keys import keys_page

    async def work(database: "Database") -> "list[KeyRecord]":
        records: list[KeyRecord] = []
        page, total = 1, 1
        while len(records) < total and page * _PAGE < total + _PAGE:
            found, total = await keys_page(database, _today(), page=page, per_page=_PAGE)
            records += found
            page += 1
        return records

    records = _with_database(work)
    if as_json:
        _json([key_response(record) for record in records])
        return
    columns = ("id", "name", "key", "state", "requests", "today", "last used", "expires")
    lines = [columns, *(_cells(record) for record in records)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@keys.command()
@click.argument("key")
def revoke(key: str) -> None:
    """Revoke a KEY, given by its id or its name; it can be given back over HTTP."""
    from service.storage.keys import change_key

    async def work(database: "Database") -> "KeyRecord":
        record = await _find(database, key)
        async with database.transaction():
            await change_key(database, record.id, {"is_active": False}, _today())
            await _audit(database, "api_key.update", record, "is_active: false")
        return record

    record = _with_database(work)
    click.echo(f"revoked '{record.name}', id {record.id}")


@keys.command()
@click.argument("key")
def delete(key: str) -> None:
    """Delete a KEY, given by its id or its name, with its counts."""
    from service.storage.keys import delete_key

    async def work(database: "Database") -> "KeyRecord":
        record = await _find(database, key)
        async with database.transaction():
            await delete_key(database, record.id)
            await _audit(database, "api_key.delete", record)
        return record

    record = _with_database(work)
    click.echo(f"deleted '{record.name}', id {record.id}")


async def _audit(
    database: "Database", action: "Action", record: "KeyRecord", detail: str | None = None
) -> None:
    from service.access import audit

    await audit.record(database, audit.COMMAND_LINE, "local", action, target=str(record.id), detail=detail)


async def _find(database: "Database", text: str) -> "KeyRecord":
    from uuid import UUID

    from service.storage.keys import find_keys, get_key

    try:
        record = await get_key(database, UUID(text), _today())
        found = [record] if record is not None else []
    except ValueError:
        found = await find_keys(database, text, _today())
    if not found:
        raise NotFound(f"there is no API key with the id or name '{shorten(text)}'")
    if len(found) > 1:
        ids = ", ".join(str(record.id) for record in found)
        raise RequestError(f"{len(found)} API keys have the name '{shorten(text)}'; give an id: {ids}")
    return found[0]


def _with_database(work: "Callable[[Database], Awaitable[T]]") -> T:
    from service.cli.database import with_database

    settings = read_settings().settings
    try:
        if settings.database_url is None:
            Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        return with_database(settings, work)
    except FaceApiError as error:
        fail(error.detail)
    except OSError as error:
        fail(f"FACE_API_DATA_DIR={settings.data_dir}: {error.strerror}")


def _cells(record: "KeyRecord") -> tuple[str, ...]:
    from service.access.key_fields import key_response

    shown = key_response(record)
    expired = record.expires_at is not None and record.expires_at <= datetime.now(UTC)
    return (
        shown.id,
        shown.name,
        shown.key_preview,
        "revoked" if not shown.is_active else "expired" if expired else "active",
        str(shown.request_count),
        f"{shown.used_today}/{shown.daily_quota}" if shown.daily_quota else str(shown.used_today),
        shown.last_used_at or "-",
        shown.expires_at or "-",
    )


def _today() -> Any:
    return datetime.now(UTC).date()


def _json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")
