"""API keys, as the admin sees them."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from service.schemas.pages import PaginatedResponse

__all__ = ["ApiKeyChange", "ApiKeyCreatedResponse", "ApiKeyPage", "ApiKeyRequest", "ApiKeyResponse"]

Name = Annotated[
    str, Meta(min_length=1, max_length=100, description="What the key is for.", examples=["Production App"])
]
Expiry = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="When the key stops, ISO 8601 with an offset; null: never.",
        examples=["2027-01-01T00:00:00+00:00"],
    ),
]
Quota = Annotated[
    int,
    Meta(ge=1, le=2**31 - 1, description="Requests per day (UTC); null: without a limit.", examples=[10_000]),
]


class ApiKeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make."""

    name: Name
    expires_at: Expiry | None = None
    daily_quota: Quota | None = None


class ApiKeyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; fields that are left out stay as they are."""

    name: Name | UnsetType = UNSET
    is_active: Annotated[bool, Meta(description="false revokes the key, true gives it back.")] | UnsetType = (
        UNSET
    )
    expires_at: Expiry | UnsetType | None = UNSET
    daily_quota: Quota | UnsetType | None = UNSET


class ApiKeyResponse(Struct, frozen=True, kw_only=True):
    """A key, except the key itself."""

    id: str
    name: str
    key_prefix: Annotated[str, Meta(description="How the key begins.", examples=["xyl_7f3a"])]
    key_suffix: Annotated[str, Meta(description="How the key ends.", examples=["1d2e"])]
    key_preview: Annotated[str, Meta(description="Both, to recognise it by.", examples=["xyl_7f3a...1d2e"])]
    is_active: Annotated[bool, Meta(description="false once it is revoked.")]
    request_count: Annotated[
        int, Meta(description="Requests admitted with the key, whatever the answer was.")
    ]
    last_used_at: str | None
    created_at: str
    expires_at: str | None
    daily_quota: int | None
    used_today: Annotated[int, Meta(description="Requests admitted since midnight UTC.")]


class ApiKeyPage(PaginatedResponse[ApiKeyResponse], frozen=True, kw_only=True):
    """One page of keys."""


class ApiKeyCreatedResponse(ApiKeyResponse, frozen=True, kw_only=True):
    """A new key. The key is shown this once."""

    key: Annotated[
        str,
        Meta(
            description="The key: it cannot be had again.",
            examples=["xyl_7f3a8b2c1d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2e"],
        ),
    ]
