"""The admin's user name and password: from the settings, or else stored as an argon2 hash; made, changed, compared."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID, uuid4

import msgspec

from service.access import audit
from service.access.passwords import (
    PasswordThread,
    check_password,
    hash_password,
    is_short,
    matches,
    new_password,
    normalised,
)
from service.errors import NotConfigured, ServiceUnavailable
from service.settings import Settings, variable_name
from service.storage import admin as store
from service.storage.admin import SETTINGS, STORED, CredentialRecord
from service.storage.engine import Database
from service.storage.lockout import forget_all_failures
from service.storage.sessions import delete_sessions_except

__all__ = [
    "DEFAULT_USERNAME",
    "Account",
    "Accounts",
    "Prepared",
    "SettingsAccounts",
    "StoredAccounts",
    "admin_username",
    "prepare_credentials",
    "set_password",
]

DEFAULT_USERNAME: Final = "admin"


class Account(msgspec.Struct, frozen=True):
    """The admin as known at this moment.

    Attributes:
        username: Their name.
        version: Changes with the password.
        compare: Whether a password is theirs.
    """

    username: str
    version: str
    compare: Callable[[str], Awaitable[bool]]

    async def matches(self, username: str, password: str) -> bool:
        """Compare both, in a time that does not tell which is wrong."""
        known = same(username, self.username)
        return await self.compare(password) & known


class Accounts(Protocol):
    """Where the admin's password comes from."""

    source: str

    async def load(self) -> Account:
        """The admin of now."""

    async def generation(self, account: Account) -> UUID:
        """The generation of the password that `account` was compared with; sessions carry it."""


class StoredAccounts:
    """The password that the service made, or that the command line set."""

    source = STORED

    def __init__(self, database: Database, thread: PasswordThread) -> None:
        """Read from `database`, hash in `thread`."""
        self._database = database
        self._thread = thread

    async def load(self) -> Account:
        """As the protocol says. A changed password counts at once, in every process."""
        record = await store.get_credential(self._database, STORED)
        if record is None:
            raise NotConfigured("there is no admin password yet: face-api admin set-password")
        password_hash = record.password_hash

        async def compare(password: str) -> bool:
            return await self._thread.matches(password_hash, password)

        return Account(record.username, f"{record.generation} {password_hash}", compare)

    async def generation(self, account: Account) -> UUID:
        """As the protocol says."""
        return UUID(account.version.partition(" ")[0])


class SettingsAccounts:
    """The password of FACE_API_ADMIN_PASSWORD; the database only knows it to notice a change."""

    source = SETTINGS

    def __init__(
        self, username: str, password: str, database: Database | None, thread: PasswordThread
    ) -> None:
        """Take them as given."""
        self._database = database
        self._thread = thread
        self._password = password
        self._generation: UUID | None = None

        async def compare(given: str) -> bool:
            return same(given, password)

        self._account = Account(username, SETTINGS, compare)

    async def load(self) -> Account:
        """As the protocol says."""
        return self._account

    async def generation(self, account: Account) -> UUID:
        """As the protocol says. A server that still runs with an older password opens no sessions."""
        if self._generation is None and self._database is not None:
            record = await store.get_credential(self._database, SETTINGS)
            if (
                record is not None
                and record.username == account.username
                and await self._thread.matches(record.password_hash, self._password)
            ):
                self._generation = record.generation
        if self._generation is None:
            raise ServiceUnavailable(
                f"another server has been started with another {variable_name('admin_password')}; restart this one"
            )
        return self._generation


class Prepared(msgspec.Struct, frozen=True):
    """What the start found or made.

    Attributes:
        username: The admin's name.
        new_password: The password that was made just now and is shown this once.
        is_short: Whether the password in force is a short one.
    """

    username: str
    new_password: str | None = None
    is_short: bool = False


def admin_username(settings: Settings) -> str:
    """The admin's name."""
    return settings.admin_user or DEFAULT_USERNAME


def same(given: str, expected: str) -> bool:
    """Compare texts, of whatever lengths, in a time that tells nothing of `expected`."""
    return hmac.compare_digest(
        *(
            hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).digest()
            for text in (given, expected)
        )
    )


async def prepare_credentials(database: Database, settings: Settings) -> Prepared:
    """What a start does: the first time, make a password; after a change of the settings', end all sessions.

    Several services may do so at once: one of them makes the password.
    """
    if settings.admin_password is not None:
        return await _prepare_settings(database, admin_username(settings), settings.admin_password)
    record = await store.get_credential(database, STORED)
    made = None
    if record is None:
        made = new_password()
        record = await _new_record(STORED, DEFAULT_USERNAME, made)
        if not await store.add_credential(database, record):
            made = None
            record = await store.get_credential(database, STORED) or record
    await delete_sessions_except(database, record.generation)
    return Prepared(record.username, made, record.is_short)


async def _prepare_settings(database: Database, username: str, password: str) -> Prepared:
    record = await store.get_credential(database, SETTINGS)
    known = record is not None and record.username == username
    if record is None or not (known and await asyncio.to_thread(matches, record.password_hash, password)):
        changed = record is not None
        record = await _new_record(SETTINGS, username, password)
        async with database.transaction():
            await store.put_credential(database, record)
            if changed:
                await audit.record(
                    database,
                    "settings",
                    "local",
                    "auth.password",
                    target=username,
                    detail="seen at the start",
                )
    await delete_sessions_except(database, record.generation)
    return Prepared(username, is_short=record.is_short)


async def set_password(database: Database, password: str) -> str:
    """Change the stored password, end all sessions and all lock-outs.

    Returns:
        The user name that goes with it.

    Raises:
        RequestError: No login could carry it.
    """
    check_password(password)
    record = await _new_record(STORED, DEFAULT_USERNAME, password)
    async with database.transaction():
        await store.put_credential(database, record)
        await delete_sessions_except(database, record.generation)
        await forget_all_failures(database)
        await audit.record(database, audit.COMMAND_LINE, "local", "auth.password", target=record.username)
    return record.username


async def _new_record(source: str, username: str, password: str) -> CredentialRecord:
    return CredentialRecord(
        source=source,
        username=username,
        password_hash=await asyncio.to_thread(hash_password, password),
        generation=uuid4(),
        is_short=is_short(password),
        updated_at=datetime.now(UTC),
    )
