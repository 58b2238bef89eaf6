"""The admin's door: HTTP Basic or a session, failures counted and locked out, everything written into the audit."""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

from service.access import audit
from service.access.credentials import (
    Account,
    Accounts,
    SettingsAccounts,
    StoredAccounts,
    admin_username,
)
from service.access.lockout import LOCK, MOST_FAILURES, DatabaseLockout, Lockout, MemoryLockout, duration
from service.access.passwords import LONGEST_PASSWORD, LONGEST_USERNAME, PasswordThread
from service.access.sessions import Sessions
from service.errors import DatabaseUnavailable, NotAuthenticated, NotConfigured
from service.settings import Settings, variable_name
from service.storage.audit import trim_failures
from service.storage.engine import Database

__all__ = ["AdminAccess"]

# How long a password that was right is known to be, so that a program that sends it with every request is not slowed.
_REMEMBER_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 16

# A program may have this many sessions in one request by mistake; more are not looked at.
_MOST_SESSIONS: Final = 4

_TIDY_SECONDS: Final = 300.0
_MOST_AUDIT_FAILURES: Final = 10_000

logger = logging.getLogger(__name__)


class AdminAccess:
    """Who is admitted as admin, in one process.

    Attributes:
        lockout: The failures.
        database: Where sessions and audit are; None without a database.
    """

    def __init__(self, settings: Settings, database: Database | None) -> None:
        """Take the credentials from the settings, or else from `database`."""
        self.database = database
        self.lockout: Lockout = MemoryLockout() if database is None else DatabaseLockout(database)
        self._sessions = None if database is None else Sessions(database, settings.session_ttl)
        self._thread = PasswordThread()
        self._accounts: Accounts | None = None
        if settings.admin_password is not None:
            self._accounts = SettingsAccounts(
                admin_username(settings), settings.admin_password, database, self._thread
            )
        elif database is not None:
            self._accounts = StoredAccounts(database, self._thread)
        # Passwords are remembered by a digest that means nothing outside this process.
        self._pepper = secrets.token_bytes(32)
        self._remembered: dict[bytes, tuple[str, float]] = {}
        self._under_way: dict[tuple[str, bytes], asyncio.Task[Account]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delete what has expired, now and then, until the end."""
        tidying = asyncio.create_task(self._tidy_repeatedly())
        try:
            yield
        finally:
            tidying.cancel()
            with suppress(asyncio.CancelledError):
                await tidying
            self._thread.close()

    def sessions(self) -> Sessions:
        """The sessions.

        Raises:
            NotConfigured: There is no database.
        """
        if self._sessions is None:
            raise NotConfigured(
                f"admin sessions need a database, and {variable_name('database_url')} is none; use HTTP Basic"
            )
        return self._sessions

    async def check_basic(self, username: str, password: str, address: str) -> str:
        """Admit by HTTP Basic.

        Returns:
            The admin's name.

        Raises:
            NotAuthenticated: Wrong.
            NotConfigured: There is no admin.
            TooManyRequests: The address is locked.
            ServerBusy: Too many passwords are being compared.
            DatabaseUnavailable: It cannot be told now.
        """
        account = await self._configured().load()
        digest = self._digest(username, password)
        version, until = self._remembered.get(digest, ("", 0.0))
        if version == account.version and monotonic() < until:
            if await self.lockout.check(address):
                await self.lockout.succeeded(address)
            return account.username
        account = await self._try_once(account, username, password, address, digest)
        self._remember(digest, account.version)
        return account.username

    async def log_in(self, username: str, password: str, address: str, replaced: Sequence[str]) -> str:
        """Open a session.

        Args:
            username: As given.
            password: As given.
            address: Where from.
            replaced: Values of session cookies that came with the request; they end.

        Returns:
            The value of the new cookie.

        Raises:
            NotAuthenticated: Wrong.
            NotConfigured: There is no admin, or no database.
            TooManyRequests: The address is locked.
            ServerBusy: Too many passwords are being compared.
            DatabaseUnavailable: It cannot be told or done now.
        """
        sessions, accounts = self.sessions(), self._configured()
        account = await self._try(await accounts.load(), username, password, address, "auth.login")
        generation = await accounts.generation(account)
        async with self._database().transaction():
            await sessions.end(replaced[:_MOST_SESSIONS])
            value = await sessions.open(generation, address)
            await audit.record(self._database(), account.username, address, "auth.login")
        return value

    async def log_out(self, values: Sequence[str], address: str) -> None:
        """End sessions, everywhere.

        Raises:
            DatabaseUnavailable: They could not be ended.
        """
        if self._sessions is None:
            return
        for value in values[:_MOST_SESSIONS]:
            username = await self.session_user(value)
            async with self._database().transaction():
                if await self._sessions.end([value]):
                    actor = username or audit.UNKNOWN
                    await audit.record(self._database(), actor, address, "auth.logout")

    async def session_user(self, value: str) -> str | None:
        """Whose session that is; None if it is none, or not any more.

        Raises:
            DatabaseUnavailable: It cannot be told now.
        """
        if self._sessions is None or self._accounts is None:
            return None
        return await self._sessions.user(value, self._accounts.source)

    def _configured(self) -> Accounts:
        if self._accounts is None:
            raise NotConfigured(
                f"there is no admin: set {variable_name('admin_user')} and {variable_name('admin_password')}"
            )
        return self._accounts

    def _database(self) -> Database:
        if self.database is None:
            raise NotConfigured(f"{variable_name('database_url')} is none")
        return self.database

    def _digest(self, username: str, password: str) -> bytes:
        given = f"{len(username)}:{username}{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._pepper, given, hashlib.sha256)

    def _remember(self, digest: bytes, version: str) -> None:
        self._remembered.pop(digest, None)
        if len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = (version, monotonic() + _REMEMBER_SECONDS)

    async def _try_once(
        self, account: Account, username: str, password: str, address: str, digest: bytes
    ) -> Account:
        """As `_try`, but requests that come together with the same password compare it once.

        Else a program that begins with eleven requests at once would lock itself out with the right password.
        """
        task = self._under_way.get((address, digest))
        if task is None:
            task = asyncio.create_task(self._try(account, username, password, address, "auth.basic"))
            self._under_way[address, digest] = task
            task.add_done_callback(lambda done: self._finished((address, digest), done))
            return await asyncio.shield(task)
        try:
            return await asyncio.shield(task)
        except NotAuthenticated:
            # It was wrong, so each of them counts.
            raise await self._refusal(await self.lockout.attempt(address), address, "auth.basic") from None

    def _finished(self, key: tuple[str, bytes], task: "asyncio.Task[Account]") -> None:
        del self._under_way[key]
        if not task.cancelled():
            # Else a failure whose client has gone would be reported as one that nobody looked at.
            task.exception()

    async def _try(
        self, account: Account, username: str, password: str, address: str, action: audit.Action
    ) -> Account:
        self._thread.make_room()
        failures = await self.lockout.attempt(address)
        fits = len(username) <= LONGEST_USERNAME and len(password) <= LONGEST_PASSWORD
        if fits and await account.matches(username, password):
            await self.lockout.succeeded(address)
            return account
        raise await self._refusal(failures, address, action)

    async def _refusal(self, failures: int, address: str, action: audit.Action) -> NotAuthenticated:
        locked = ""
        if failures >= MOST_FAILURES:
            locked = f"; locked for {duration(int(LOCK.total_seconds()))}"
            logger.warning("%d failed admin logins in a row from %s%s", failures, address, locked)
        if self.database is not None:
            await audit.record(
                self.database,
                audit.UNKNOWN,
                address,
                action,
                detail=f"{failures} in a row{locked}",
                success=False,
            )
        return NotAuthenticated(f"wrong user name or password{locked and f'; this address is{locked[1:]}'}")

    async def _tidy_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            try:
                await self.lockout.tidy()
                if self._sessions is not None:
                    await self._sessions.tidy()
                    await trim_failures(self._database(), _MOST_AUDIT_FAILURES)
            except DatabaseUnavailable:
                # The database has logged it; the next turn tries again.
                pass
            except Exception:
                logger.exception("unexpected error while tidying up after admin logins")
