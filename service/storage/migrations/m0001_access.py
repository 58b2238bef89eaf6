"""API keys, admin access, audit."""

from typing import Final

__all__ = ["STATEMENTS"]

STATEMENTS: Final = (
    """
    CREATE TABLE api_key (
        id UUID PRIMARY KEY,
        name VARCHAR(100) NOT NULL,
        digest VARCHAR(64) NOT NULL UNIQUE,
        key_prefix VARCHAR(16) NOT NULL,
        key_suffix VARCHAR(16) NOT NULL,
        is_active BOOLEAN NOT NULL,
        request_count BIGINT NOT NULL,
        last_used_at TIMESTAMPTZ,
        created_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ,
        daily_quota INTEGER
    )
    """,
    "CREATE INDEX api_key_created_at ON api_key (created_at, id)",
    """
    CREATE TABLE key_usage (
        id UUID PRIMARY KEY,
        key_id UUID NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
        day DATE NOT NULL,
        requests BIGINT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX key_usage_key_day ON key_usage (key_id, day)",
    "CREATE TABLE key_state (id INTEGER PRIMARY KEY, version BIGINT NOT NULL)",
    "INSERT INTO key_state (id, version) VALUES (1, 0)",
    """
    CREATE TABLE admin_account (
        username VARCHAR(100) PRIMARY KEY,
        password_hash VARCHAR(255) NOT NULL,
        updated_at TIMESTAMPTZ NOT NULL
    )
    """,
    """
    CREATE TABLE admin_session (
        digest VARCHAR(64) PRIMARY KEY,
        username VARCHAR(100) NOT NULL,
        address VARCHAR(64) NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL
    )
    """,
    "CREATE INDEX admin_session_expires_at ON admin_session (expires_at)",
    """
    CREATE TABLE login_failures (
        address VARCHAR(64) PRIMARY KEY,
        failures INTEGER NOT NULL,
        last_failure_at TIMESTAMPTZ NOT NULL,
        locked_until TIMESTAMPTZ
    )
    """,
    """
    CREATE TABLE audit_entry (
        id UUID PRIMARY KEY,
        at TIMESTAMPTZ NOT NULL,
        actor VARCHAR(100) NOT NULL,
        address VARCHAR(64) NOT NULL,
        action VARCHAR(64) NOT NULL,
        target VARCHAR(200),
        detail TEXT
    )
    """,
    "CREATE INDEX audit_entry_at ON audit_entry (at, id)",
)
