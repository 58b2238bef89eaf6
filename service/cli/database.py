"""What the database needs before a service starts or a command uses it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from service.access.credentials import Prepared as PreparedAdmin
from service.access.credentials import admin_username, prepare_credentials
from service.access.keys import digest_of, new_record
from service.access.passwords import SHORT_PASSWORD, is_short
from service.errors import DatabaseFull, DatabaseUnavailable, SettingsError, StartupError
from service.settings import Settings, variable_name
from service.storage import keys as store
from service.storage.engine import Database, open_database
from service.storage.migrate import migrate

__all__ = ["Prepared", "admin_notes", "key_notes", "prepare_database", "with_database"]

T = TypeVar("T")


class Prepared(msgspec.Struct, frozen=True):
    """What was found, or made.

    Attributes:
        new_key: The first API key, which was made just now and is shown this once.
        key_count: How many keys there are; None if nobody asks for them.
        admin: The admin's credentials; None without a database.
    """

    new_key: str | None = None
    key_count: int | None = None
    admin: PreparedAdmin | None = None


def prepare_database(settings: Settings) -> Prepared:
    """Bring the schema up to date; the first time, make an API key, if keys are asked for, and an admin password.

    Several services may do so at once: one of them makes the key, and one the password.

    Raises:
        StartupError: The database cannot be reached, or is of a newer version.
    """
    if open_database(settings) is None:
        return Prepared()

    async def prepare(database: Database) -> Prepared:
        admin = await prepare_credentials(database, settings)
        if not settings.api_key_enabled:
            return Prepared(admin=admin)
        key = None
        if await store.keys_version(database) == 0:
            key, record = new_record("First key")
            if not await store.add_key(database, record, digest_of(key), only_first=True):
                key = None
        return Prepared(new_key=key, key_count=len(await store.keys_facts(database)), admin=admin)

    return with_database(settings, prepare)


def with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` with the database, its schema up to date.

    Raises:
        StartupError: There is none, it cannot be reached, its disk is full, or it is of a newer version.
    """
    database = open_database(settings)
    if database is None:
        raise SettingsError(f"{variable_name('database_url')}=none: there is no database")

    # The error says what the log would: without this the log's last resort would print it a second time.
    logging.getLogger("service.storage").addHandler(logging.NullHandler())

    async def run(database: Database) -> T:
        async with database:
            await migrate(database)
            return await work(database)

    try:
        return asyncio.run(run(database))
    except DatabaseFull as error:
        raise StartupError("the disk of the database is full: free some space and start again") from error
    except DatabaseUnavailable as error:
        cause = " ".join(str(error.__cause__ or error.detail).split())
        raise StartupError(f"the database cannot be reached: {cause}") from error


def key_notes(prepared: Prepared) -> list[str]:
    """What the start says of API keys."""
    if prepared.new_key is not None:
        return [f"API key, shown only this once: {prepared.new_key}"]
    if prepared.key_count is None:
        return []
    if not prepared.key_count:
        return ["note: there is no API key; make one: face-api keys create NAME"]
    return [f"API keys: {prepared.key_count}; make another: face-api keys create NAME"]


def admin_notes(settings: Settings, prepared: Prepared) -> list[str]:
    """What the start says of the admin."""
    variable = variable_name("admin_password")
    admin = prepared.admin
    if admin is None and settings.admin_password is None:
        return [f"note: nobody can log in as admin without a database or {variable}"]
    username = admin_username(settings) if admin is None else admin.username
    if admin is not None and admin.new_password is not None:
        return [
            f"admin user: {username}",
            f"admin password, shown only this once: {admin.new_password}",
        ]
    if settings.admin_password is not None:
        lines = [f"admin user: {username}; the password is that of {variable}"]
        short = is_short(settings.admin_password)
    else:
        lines = [f"admin user: {username}; change the password: face-api admin set-password"]
        short = admin is not None and admin.is_short
    if short:
        lines.append(f"warning: the admin password is short; {SHORT_PASSWORD} characters or more are safer")
    return lines
