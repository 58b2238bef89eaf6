"""Lists that come page by page."""

from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

__all__ = ["PageParameters", "PaginatedResponse", "page_counts"]

T = TypeVar("T")


class PageParameters(Struct, frozen=True, kw_only=True):
    """Which page."""

    page: Annotated[int, Meta(ge=1, le=2**31 - 1, description="Page number.", examples=[1])] = 1
    per_page: Annotated[int, Meta(ge=1, le=100, description="Items per page.", examples=[20])] = 20


class PaginatedResponse(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list. A page beyond the last has no items."""

    items: list[T]
    total: Annotated[int, Meta(description="Items on all pages.")]
    page: int
    per_page: int
    pages: Annotated[int, Meta(description="Number of pages, at least 1.")]


def page_counts(total: int, parameters: PageParameters) -> dict[str, int]:
    """Every field of a page but its items.

    Args:
        total: Items on all pages.
        parameters: What was asked for.
    """
    return {
        "total": total,
        "page": parameters.page,
        "per_page": parameters.per_page,
        "pages": max(1, -(-total // parameters.per_page)),
    }
