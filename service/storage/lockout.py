"""Queries about failed logins. An address that has `limit` of them is locked as long as the last one is recent."""

from datetime import datetime

from service.storage.engine import Database

__all__ = ["count_attempt", "failures_of", "forget_all_failures", "forget_failures", "tidy_failures"]


async def count_attempt(
    database: Database, address: str, *, limit: int, now: datetime, locked_since: datetime
) -> int | None:
    """Count an attempt as a failure, unless the address is locked; one statement, so exact over several processes.

    Args:
        database: Where.
        address: Whose attempt.
        limit: Failures that lock.
        now: When.
        locked_since: A lock that is older has ended.

    Returns:
        The consecutive failures, this one included; None if the address is locked.
    """
    rows = await database.fetch(
        """
        INSERT INTO login_failures (address, failures, last_failure_at) VALUES ({}, 1, {})
        ON CONFLICT (address) DO UPDATE
        SET failures = CASE WHEN login_failures.failures >= {} THEN 1 ELSE login_failures.failures + 1 END,
            last_failure_at = EXCLUDED.last_failure_at
        WHERE login_failures.failures < {} OR login_failures.last_failure_at <= {}
        RETURNING failures
        """,
        address,
        now,
        limit,
        limit,
        locked_since,
    )
    return rows[0]["failures"] if rows else None


async def failures_of(database: Database, address: str) -> tuple[int, datetime] | None:
    """The consecutive failures of an address and the time of the last one; None without any."""
    rows = await database.fetch(
        "SELECT failures, last_failure_at FROM login_failures WHERE address = {}", address
    )
    return (rows[0]["failures"], rows[0]["last_failure_at"]) if rows else None


async def forget_failures(database: Database, address: str) -> None:
    """Start anew with an address."""
    await database.fetch("DELETE FROM login_failures WHERE address = {}", address)


async def forget_all_failures(database: Database) -> None:
    """Start anew with everybody."""
    await database.fetch("DELETE FROM login_failures")


async def tidy_failures(database: Database, *, before: datetime, most: int) -> None:
    """Forget addresses without a failure since `before`, and the oldest beyond the `most` that are kept."""
    await database.fetch("DELETE FROM login_failures WHERE last_failure_at <= {}", before)
    await database.fetch(
        """
        DELETE FROM login_failures WHERE last_failure_at < (
            SELECT last_failure_at FROM login_failures ORDER BY last_failure_at DESC LIMIT 1 OFFSET {}
        )
        """,
        most - 1,
    )
