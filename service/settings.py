"""Every ``FACE_API_*`` variable: type, range, default and one line of meaning.

:func:`load_settings` reads a mapping (normally ``os.environ``), never at import. An empty value counts as not set.
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import limits
import msgspec
from msgspec import Meta
from msgspec import inspect as mi

from service import ranges
from service.errors import SettingsError

__all__ = ["MaskMethod", "Settings", "SettingsReport", "load_settings", "variable_name"]

PREFIX: Final = "FACE_API_"

MaskMethod = Literal["gaussian", "pixelate", "solid", "elliptical"]
Count = Annotated[int, Meta(ge=1, le=1000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The effective settings of one service process."""

    # Core
    model: Annotated[
        str, Meta(description="Registry name of the detector, or a file in FACE_API_MODEL_DIR.")
    ] = "scrfd_free"
    model_dir: Annotated[str, Meta(description="Folder with .onnx model files.")] = "models"
    model_url_base: Annotated[
        str,
        Meta(
            description="Where `face-api models pull` finds the official archives; a mirror has them by the same names."
        ),
    ] = "https://github.com/deepinsight/insightface/releases/download/v0.7"
    det_size: Annotated[
        int, Meta(ge=32, le=4096, multiple_of=32, description="Side of the square detector input, in px.")
    ] = 640
    confidence: Annotated[float, Meta(ge=0.01, le=1.0, description="Default confidence threshold.")] = 0.5
    nms_threshold: Annotated[float, Meta(ge=0.01, le=1.0, description="Default NMS IoU threshold.")] = 0.4
    blur_method: Annotated[MaskMethod, Meta(description="Default masking method.")] = "gaussian"
    blur_strength: Annotated[
        int, Meta(ge=1, le=999, description="Default blur kernel size or pixelation block size, in px.")
    ] = 199
    padding: Annotated[
        float,
        Meta(ge=0.0, le=2.0, description="Default padding of a box before masking, a fraction of its side."),
    ] = 0.15
    max_image_bytes: Annotated[
        int, Meta(ge=1024, le=2**31 - 1, description="Largest picture accepted, in bytes.")
    ] = 20_971_520
    max_image_pixels: Annotated[
        int, Meta(ge=100, le=2**30, description="Largest picture accepted, in pixels.")
    ] = 30_000_000
    ort_threads: Annotated[
        int,
        Meta(ge=0, le=256, description="ONNX Runtime threads per inference; 0 divides the cores among them."),
    ] = 0
    execution_provider: Annotated[
        Literal["auto", "cpu", "openvino", "cuda", "tensorrt", "coreml"],
        Meta(
            description="What runs the model; auto: the fastest of what is installed, found by a short trial."
        ),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "f32", "bf16"],
        Meta(
            description="Arithmetic of the model; auto: bfloat16 where it is faster and finds the same faces."
        ),
    ] = "auto"

    # Concurrency
    max_concurrent_inference: Annotated[Count, Meta(description="Inferences at once, in one process.")] = 2
    max_concurrent_requests: Annotated[
        Count, Meta(description="Requests at once, in one process; above it the answer is 503.")
    ] = 10
    workers: Annotated[int, Meta(ge=1, le=256, description="Server processes.")] = 1

    # Network
    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 8000
    cors_origins: Annotated[
        str, Meta(description="Origins allowed to call from a browser, separated by commas; * for all.")
    ] = ""
    trusted_proxies: Annotated[
        str, Meta(description="Addresses or networks whose X-Forwarded-* headers count, separated by commas.")
    ] = ""
    rate_limit_detect: Annotated[str, Meta(description="Requests per address to detect.")] = "300/minute"
    rate_limit_mask: Annotated[str, Meta(description="Requests per address to mask.")] = "150/minute"
    rate_limit_login: Annotated[str, Meta(description="Admin logins per address.")] = "10/minute"
    redis_url: Annotated[
        str | None,
        Meta(
            description="Redis or Valkey that shares rate limits between processes.", extra={"secret": True}
        ),
    ] = None

    # Authentication
    api_key_enabled: Annotated[bool, Meta(description="Ask for an API key on detect and mask.")] = True
    admin_user: Annotated[str | None, Meta(description="Admin user name; not set: admin.")] = None
    admin_password: Annotated[
        str | None,
        Meta(
            description="Admin password; not set: the first start makes one, face-api admin set-password changes it.",
            extra={"secret": True},
        ),
    ] = None
    session_ttl: Annotated[
        int, Meta(ge=60, le=31_536_000, description="Lifetime of an admin session, in seconds.")
    ] = 43_200

    # Storage
    storage_enabled: Annotated[bool, Meta(description="Keep pictures and jobs.")] = False
    store_originals: Annotated[
        bool, Meta(description="Keep originals as they came, metadata included; false: results alone.")
    ] = True
    database_url: Annotated[
        str | None,
        Meta(
            description="postgresql://… ; not set: SQLite in the data folder; none: no database.",
            extra={"secret": True},
        ),
    ] = None
    s3_endpoint: Annotated[str, Meta(description="S3 endpoint; empty: a folder in the data folder.")] = ""
    s3_access_key: Annotated[str | None, Meta(description="S3 access key.", extra={"secret": True})] = None
    s3_secret_key: Annotated[str | None, Meta(description="S3 secret key.", extra={"secret": True})] = None
    s3_bucket: Annotated[str, Meta(description="S3 bucket.")] = "face-api"
    s3_region: Annotated[str, Meta(description="S3 region.")] = "us-east-1"
    s3_public_endpoint: Annotated[str | None, Meta(description="Public URL of stored objects.")] = None
    retention_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Days that stored pictures are kept; 0 keeps them.")
    ] = 0

    # Operation
    data_dir: Annotated[str, Meta(description="Folder for everything that the service writes.")] = "data"
    metrics_token: Annotated[
        str | None, Meta(description="Bearer token that /metrics asks for.", extra={"secret": True})
    ] = None
    log_format: Annotated[
        Literal["auto", "text", "json"],
        Meta(description="Log lines as text or JSON; auto: text at a terminal, else JSON."),
    ] = "auto"

    @property
    def allowed_origins(self) -> list[str]:
        """`cors_origins` as a list."""
        return _split(self.cors_origins)

    @property
    def model_path(self) -> Path:
        """`model_dir` as a path."""
        return Path(self.model_dir)


class SettingsReport(msgspec.Struct, frozen=True):
    """What was read from the environment.

    Attributes:
        settings: The effective settings.
        given: Names of the fields that the environment sets.
        warnings: One line for each unknown variable.
    """

    settings: Settings
    given: frozenset[str]
    warnings: tuple[str, ...]


def variable_name(field: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field.upper()


def load_settings(environ: Mapping[str, str]) -> SettingsReport:
    """Read and check all variables.

    Args:
        environ: The environment; only names that begin with ``FACE_API_`` are looked at.

    Raises:
        SettingsError: A value is wrong; the one-line message names the variable, the value and the allowed range.
    """
    annotations = get_type_hints(Settings, include_extras=True)
    types = {field.name: field.type for field in mi.type_info(Settings).fields}  # type: ignore[attr-defined]  # a struct's info has fields
    known = {variable_name(field): field for field in types}
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        text = environ[variable].strip()
        field = known.get(variable)
        if field is None:
            guess = ranges.nearest(variable, known)
            warnings.append(
                f"{variable} is not a known setting" + (f"; did you mean {guess}?" if guess else "")
            )
        elif text:
            values[field] = _value(variable, text, types[field], annotations[field])
    settings = Settings(**values)
    _check_together(settings)
    return SettingsReport(settings=settings, given=frozenset(values), warnings=tuple(warnings))


def _value(variable: str, text: str, type_: mi.Type, annotation: Any) -> Any:
    try:
        return ranges.parse(text, type_, annotation)
    except ValueError:
        secret = isinstance(type_, mi.Metadata) and (type_.extra or {}).get("secret")
        shown = "***" if secret else ranges.shorten(text)
        raise SettingsError(f"{variable}={shown}: expected {ranges.describe(type_)}") from None


def _check_together(settings: Settings) -> None:
    for field in ("rate_limit_detect", "rate_limit_mask", "rate_limit_login"):
        value = getattr(settings, field)
        try:
            limits.parse_many(value)
        except ValueError:
            raise SettingsError(
                f"{variable_name(field)}={ranges.shorten(value)}: expected a rate such as 300/minute or 10/second"
            ) from None
    if not settings.model_url_base.startswith(("http://", "https://")):
        raise SettingsError(
            f"{variable_name('model_url_base')}={ranges.shorten(settings.model_url_base)}: "
            "expected a URL that begins with http:// or https://"
        )
    if settings.database_url == "none" and settings.api_key_enabled:
        raise SettingsError(
            f"{variable_name('database_url')}=none: API keys need a database; "
            f"leave it out, or set {variable_name('api_key_enabled')}=false"
        )
    if settings.database_url == "none" and settings.storage_enabled:
        raise SettingsError(
            f"{variable_name('database_url')}=none: stored pictures need a database; "
            f"leave it out, or set {variable_name('storage_enabled')}=false"
        )
    _check_admin(settings)
    for origin in settings.allowed_origins:
        if origin != "*" and not origin.startswith(("http://", "https://")):
            raise SettingsError(
                f"{variable_name('cors_origins')}={ranges.shorten(settings.cors_origins)}: "
                "expected * or origins such as https://example.org, separated by commas"
            )


def _check_admin(settings: Settings) -> None:
    user, password = variable_name("admin_user"), variable_name("admin_password")
    if settings.admin_user is not None and settings.admin_password is None:
        raise SettingsError(
            f"{user} is set without {password}: set both, or neither (the first start makes a password)"
        )
    name = settings.admin_user or ""
    if ":" in name or len(name) > 100 or not all(character.isprintable() for character in name):
        raise SettingsError(
            f"{user}={ranges.shorten(name)}: expected up to 100 printable characters, no colon among them"
        )
    secret = settings.admin_password or ""
    if len(secret) > 1024 or any(unicodedata.category(character) == "Cc" for character in secret):
        raise SettingsError(
            f"{password}=***: expected up to 1024 characters, no control characters among them"
        )


def _split(text: str) -> list[str]:
    return [part.strip().rstrip("/") for part in text.split(",") if part.strip()]
