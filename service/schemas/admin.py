"""Logging in as admin, and the audit."""

from typing import Annotated

from msgspec import Meta, Struct

from service.schemas.pages import PaginatedResponse

__all__ = ["AdminSessionResponse", "AuditEntryResponse", "AuditPage", "LoginRequest"]


class LoginRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin's credentials."""

    username: Annotated[str, Meta(min_length=1, max_length=100, examples=["admin"])]
    password: Annotated[str, Meta(min_length=1, max_length=1024, examples=["secret"])]


class AdminSessionResponse(Struct, frozen=True, kw_only=True):
    """Who is logged in."""

    authenticated: Annotated[bool, Meta(description="Always true; without a login the answer is 401.")]
    username: Annotated[str, Meta(examples=["admin"])]


class AuditEntryResponse(Struct, frozen=True, kw_only=True):
    """One admin action."""

    id: str
    at: Annotated[str, Meta(description="When, in UTC.", examples=["2026-04-06T10:30:00.123456+00:00"])]
    actor: Annotated[
        str,
        Meta(
            description="Who: the admin; `command line`; `settings`; `unknown`, where a login failed.",
            examples=["admin"],
        ),
    ]
    address: Annotated[str, Meta(description="From which address.", examples=["203.0.113.7"])]
    action: Annotated[
        str,
        Meta(
            description="What: auth.login, auth.basic (failures only), auth.logout, auth.password, api_key.create, "
            "api_key.update, api_key.delete.",
            examples=["api_key.create"],
        ),
    ]
    outcome: Annotated[str, Meta(description="success or failure.", examples=["success"])]
    target: Annotated[str | None, Meta(description="To what: an id.")]
    detail: Annotated[str | None, Meta(description="More, in words; never a secret.")]


class AuditPage(PaginatedResponse[AuditEntryResponse], frozen=True, kw_only=True):
    """One page of the audit."""
