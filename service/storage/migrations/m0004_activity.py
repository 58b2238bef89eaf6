"""Answers of detect and mask, day by day: what the dashboard shows, with pictures stored or not.

The times are a histogram, one row for each bucket that has any, so that processes and days are added up alike.
"""

from typing import Final

__all__ = ["STATEMENTS"]

STATEMENTS: Final = (
    """
    CREATE TABLE daily_activity (
        id UUID PRIMARY KEY,
        day DATE NOT NULL,
        endpoint VARCHAR(16) NOT NULL,
        method VARCHAR(16) NOT NULL,
        requests BIGINT NOT NULL,
        client_errors BIGINT NOT NULL,
        server_errors BIGINT NOT NULL,
        faces BIGINT NOT NULL,
        stored_bytes BIGINT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX daily_activity_series ON daily_activity (day, endpoint, method)",
    """
    CREATE TABLE daily_latency (
        id UUID PRIMARY KEY,
        day DATE NOT NULL,
        endpoint VARCHAR(16) NOT NULL,
        method VARCHAR(16) NOT NULL,
        bucket INTEGER NOT NULL,
        requests BIGINT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX daily_latency_bucket ON daily_latency (day, endpoint, method, bucket)",
)
