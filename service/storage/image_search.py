"""Which stored pictures a person looks for."""

from typing import Any

from service.storage.images import Period, where

__all__ = ["ImageSearch"]


class ImageSearch(Period, frozen=True, kw_only=True):
    """Pictures of a time, and of a name.

    Attributes:
        name: What the file's name contains, in capitals or not; None: any name or none.
    """

    name: str | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """A WHERE clause and its arguments."""
        pattern = None
        if self.name is not None:
            escaped = self.name.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
            pattern = f"%{escaped}%"
        return where(
            {
                "LOWER(filename) LIKE {} ESCAPE '!'": pattern,
                "created_at >= {}": self.since,
                "created_at < {}": self.until,
            }
        )
