"""Tables. The migrations make them; a test holds the two together."""

from typing import Final

from piccolo.columns import (
    UUID,
    BigInt,
    Boolean,
    Date,
    DoublePrecision,
    Integer,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.table import Table

__all__ = [
    "TABLES",
    "AdminCredential",
    "AdminSession",
    "ApiKey",
    "AuditEntry",
    "CleanupTask",
    "DailyActivity",
    "DailyLatency",
    "Job",
    "JobDocument",
    "KeyState",
    "KeyUsage",
    "Lease",
    "LoginFailures",
    "StoredImage",
]


class ApiKey(Table, tablename="api_key"):
    """One API key; the key itself is not kept, only its digest."""

    id = UUID(primary_key=True, default=None)
    name = Varchar(length=100)
    digest = Varchar(length=64, unique=True)
    key_prefix = Varchar(length=16)
    key_suffix = Varchar(length=16)
    is_active = Boolean(default=True)
    request_count = BigInt()
    last_used_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(null=True, default=None)
    daily_quota = Integer(null=True, default=None)


class KeyUsage(Table, tablename="key_usage"):
    """Requests of one key on one day (UTC); ``(key_id, day)`` is unique."""

    id = UUID(primary_key=True, default=None)
    key_id = UUID(default=None)
    day = Date(default=None)
    requests = BigInt()


class KeyState(Table, tablename="key_state"):
    """One row. Every change of a key adds one to `version`, which is what the processes watch."""

    id = Integer(primary_key=True, default=1)
    version = BigInt()


class AdminCredential(Table, tablename="admin_credential"):
    """One admin password: the service's own (``stored``) or the last one that the settings had (``settings``)."""

    source = Varchar(length=16, primary_key=True)
    username = Varchar(length=100)
    password_hash = Varchar(length=255)
    generation = UUID(default=None)
    is_short = Boolean()
    updated_at = Timestamptz(default=None)


class AdminSession(Table, tablename="admin_session"):
    """A session of the console. The cookie's value is not kept, only its digest.

    It counts as long as its `generation` is that of the password in force.
    """

    digest = Varchar(length=64, primary_key=True)
    generation = UUID(default=None)
    address = Varchar(length=64)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)


class LoginFailures(Table, tablename="login_failures"):
    """Consecutive failures of one address."""

    address = Varchar(length=64, primary_key=True)
    failures = Integer()
    last_failure_at = Timestamptz(default=None)


class AuditEntry(Table, tablename="audit_entry"):
    """One admin action. Ids are ordered by time, so they sort entries of one instant."""

    id = UUID(primary_key=True, default=None)
    at = Timestamptz(default=None)
    actor = Varchar(length=100)
    address = Varchar(length=64)
    action = Varchar(length=64)
    outcome = Varchar(length=16)
    target = Varchar(length=200, null=True, default=None)
    detail = Text(null=True, default=None)


class StoredImage(Table, tablename="stored_image"):
    """One picture; its bytes are stored once, however often it comes."""

    id = UUID(primary_key=True, default=None)
    sha256 = Varchar(length=64, unique=True)
    object_key = Varchar(length=200, null=True, default=None, unique=True)
    filename = Varchar(length=255, null=True, default=None)
    content_type = Varchar(length=50)
    size_bytes = BigInt()
    width = Integer()
    height = Integer()
    created_at = Timestamptz(default=None)


class Job(Table, tablename="job"):
    """One stored request. `key_id` may be of a key that has been deleted since."""

    id = UUID(primary_key=True, default=None)
    image_id = UUID(default=None)
    key_id = UUID(null=True, default=None)
    job_type = Varchar(length=16)
    method = Varchar(length=16, null=True, default=None)
    strength = Integer(null=True, default=None)
    padding = DoublePrecision(null=True, default=None)
    face_count = Integer()
    inference_ms = DoublePrecision()
    total_ms = DoublePrecision()
    result_key = Varchar(length=200, null=True, default=None, unique=True)
    result_format = Varchar(length=16, null=True, default=None)
    result_quality = Integer(null=True, default=None)
    result_bytes = BigInt(null=True, default=None)
    created_at = Timestamptz(default=None)


class JobDocument(Table, tablename="job_document"):
    """What only a job's own page shows, as JSON; apart, so that rows of jobs stay small."""

    job_id = UUID(primary_key=True, default=None)
    document = Text()


class CleanupTask(Table, tablename="cleanup_task"):
    """An object that is to be deleted; or, as an intent, one that may be unless a request commits it in time."""

    id = UUID(primary_key=True, default=None)
    object_key = Varchar(length=200)
    is_intent = Boolean()
    attempts = Integer()
    due_at = Timestamptz(default=None)
    created_at = Timestamptz(default=None)
    last_error = Varchar(length=300, null=True, default=None)


class Lease(Table, tablename="lease"):
    """What one process at a time may do."""

    name = Varchar(length=50, primary_key=True)
    holder = UUID(default=None)
    expires_at = Timestamptz(default=None)


class DailyActivity(Table, tablename="daily_activity"):
    """Answers of one endpoint and method on one day (UTC); ``(day, endpoint, method)`` is unique."""

    id = UUID(primary_key=True, default=None)
    day = Date(default=None)
    endpoint = Varchar(length=16)
    method = Varchar(length=16)
    requests = BigInt()
    client_errors = BigInt()
    server_errors = BigInt()
    faces = BigInt()
    stored_bytes = BigInt()


class DailyLatency(Table, tablename="daily_latency"):
    """Those of them that took a time within one bucket; ``(day, endpoint, method, bucket)`` is unique."""

    id = UUID(primary_key=True, default=None)
    day = Date(default=None)
    endpoint = Varchar(length=16)
    method = Varchar(length=16)
    bucket = Integer()
    requests = BigInt()


TABLES: Final[tuple[type[Table], ...]] = (
    ApiKey,
    KeyUsage,
    KeyState,
    AdminCredential,
    AdminSession,
    LoginFailures,
    AuditEntry,
    StoredImage,
    Job,
    JobDocument,
    CleanupTask,
    Lease,
    DailyActivity,
    DailyLatency,
)
