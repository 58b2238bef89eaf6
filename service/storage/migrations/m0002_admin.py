"""Admin credentials by where they come from, sessions that know theirs, outcomes in the audit.

The tables made before were not written to by any version.
"""

from typing import Final

__all__ = ["STATEMENTS"]

STATEMENTS: Final = (
    "DROP TABLE admin_account",
    """
    CREATE TABLE admin_credential (
        source VARCHAR(16) PRIMARY KEY,
        username VARCHAR(100) NOT NULL,
        password_hash VARCHAR(255) NOT NULL,
        generation UUID NOT NULL,
        is_short BOOLEAN NOT NULL,
        updated_at TIMESTAMPTZ NOT NULL
    )
    """,
    "DROP TABLE admin_session",
    """
    CREATE TABLE admin_session (
        digest VARCHAR(64) PRIMARY KEY,
        generation UUID NOT NULL,
        address VARCHAR(64) NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL
    )
    """,
    "CREATE INDEX admin_session_expires_at ON admin_session (expires_at)",
    "DROP TABLE login_failures",
    """
    CREATE TABLE login_failures (
        address VARCHAR(64) PRIMARY KEY,
        failures INTEGER NOT NULL,
        last_failure_at TIMESTAMPTZ NOT NULL
    )
    """,
    "CREATE INDEX login_failures_last_failure_at ON login_failures (last_failure_at)",
    "DROP TABLE audit_entry",
    """
    CREATE TABLE audit_entry (
        id UUID PRIMARY KEY,
        at TIMESTAMPTZ NOT NULL,
        actor VARCHAR(100) NOT NULL,
        address VARCHAR(64) NOT NULL,
        action VARCHAR(64) NOT NULL,
        outcome VARCHAR(16) NOT NULL,
        target VARCHAR(200),
        detail TEXT
    )
    """,
    "CREATE INDEX audit_entry_at ON audit_entry (at, id)",
    "CREATE INDEX audit_entry_outcome_at ON audit_entry (outcome, at, id)",
)
