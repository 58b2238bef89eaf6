"""What the pages of the console show."""

import msgspec

from service.access.admin import AdminAccess
from service.access.keys import KeyRing
from service.access.limits import RateLimits
from service.handlers.health import Readiness
from service.pipeline import Pipeline
from service.settings import SettingsReport
from service.storage.activity_counter import ActivityCounter
from service.storage.archive import Archive
from service.storage.engine import Database

__all__ = ["Parts"]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages show.

    Attributes:
        report: The settings.
        access: Who may come in.
        database: None without one.
        keys: None without a database.
        pipeline: The model.
        rate_limits: The limits.
        readiness: What /health looks at.
        activity: The figures by day.
        archive: Stored pictures; None where storage is off.
    """

    report: SettingsReport
    access: AdminAccess
    database: Database | None
    keys: KeyRing | None
    pipeline: Pipeline
    rate_limits: RateLimits
    readiness: Readiness
    activity: ActivityCounter
    archive: Archive | None
