"""The exception tree: every refusal that a caller can meet, each class with its HTTP status.

::

    FaceApiError
    ├── RequestError              400  a parameter or the form is wrong
    │   └── PayloadTooLarge       413  the body is larger than allowed
    ├── ImageError                400  the picture cannot be used
    │   ├── UnsupportedImage      400  not a picture, or of a format that we do not read
    │   ├── CorruptImage          400  truncated or undecodable
    │   ├── AnimatedImage         400  more than one frame in time
    │   ├── ImageTooSmall         400  under 10 px on a side
    │   └── ImageTooLarge         413  over the byte or pixel limit
    ├── UploadTimeout             408  the body did not arrive in time
    ├── ClientDisconnected        400  the client went away; nobody reads the answer
    ├── TooManyRequests           429  a rate limit is used up; carries ``Retry-After``
    │   ├── QuotaUsedUp           429  a key's quota of the day is used up
    │   └── LockedOut             429  too many failed logins from this address
    ├── ServerBusy                503  all slots taken; carries ``Retry-After``
    ├── NotAuthenticated          401  no credential, or an unknown one; carries ``WWW-Authenticate``
    ├── Forbidden                 403  the credential is known but may not do this
    ├── NotFound                  404  there is no such thing
    ├── NotConfigured             501  the settings leave out what the request needs
    ├── ServiceUnavailable        503  something the request needs is not ready
    │   └── DatabaseUnavailable   503  the database cannot be reached; carries ``Retry-After``
    │       └── DatabaseFull      503  its disk has no room
    └── StartupError              --   the service cannot start (never answered over HTTP)
        ├── SettingsError              a FACE_API_* variable is wrong
        └── ModelError                 the model is missing, corrupt or foreign

The message is shown to the caller as ``{"detail": message}``: it says what was wrong, the value received and
the allowed range, and never anything internal.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

__all__ = [
    "AnimatedImage",
    "ClientDisconnected",
    "CorruptImage",
    "DatabaseFull",
    "DatabaseUnavailable",
    "FaceApiError",
    "Forbidden",
    "ImageError",
    "ImageTooLarge",
    "ImageTooSmall",
    "LockedOut",
    "ModelError",
    "NotAuthenticated",
    "NotConfigured",
    "NotFound",
    "PayloadTooLarge",
    "QuotaUsedUp",
    "RequestError",
    "ServerBusy",
    "ServiceUnavailable",
    "SettingsError",
    "StartupError",
    "TooManyRequests",
    "UnsupportedImage",
    "UploadTimeout",
]


class FaceApiError(Exception):
    """Base of all our errors.

    Attributes:
        status: HTTP status of the answer.
        headers: Extra headers of the answer.
    """

    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Keep the message, and headers of this one answer beside those of the class."""
        super().__init__(*([detail] if detail else []))
        if headers:
            self.headers = {**self.headers, **headers}

    @property
    def detail(self) -> str:
        """The message for the caller."""
        return str(self.args[0]) if self.args else type(self).__name__


class RequestError(FaceApiError):
    """A parameter, a form field or the shape of the body is wrong."""

    status = HTTPStatus.BAD_REQUEST


class PayloadTooLarge(RequestError):
    """The body is larger than allowed; found before or while it is read."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class ImageError(FaceApiError):
    """The picture cannot be used."""

    status = HTTPStatus.BAD_REQUEST


class UnsupportedImage(ImageError):
    """The bytes are not a picture of a format that we read."""


class CorruptImage(ImageError):
    """The picture is truncated or cannot be decoded."""


class AnimatedImage(ImageError):
    """The picture has several frames; only stills are accepted."""


class ImageTooSmall(ImageError):
    """A side of the picture is under the minimum."""


class ImageTooLarge(ImageError):
    """The picture has more bytes or pixels than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class ClientDisconnected(FaceApiError):
    """The client closed the connection before its request was complete."""

    status = HTTPStatus.BAD_REQUEST


class TooManyRequests(FaceApiError):
    """A limit on requests over time is used up."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class QuotaUsedUp(TooManyRequests):
    """The API key's requests of the day are used up."""


class LockedOut(TooManyRequests):
    """Too many logins have failed from this address."""


class UploadTimeout(FaceApiError):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class ServerBusy(FaceApiError):
    """All request slots are taken."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers: Mapping[str, str] = {"Retry-After": "1"}


class NotAuthenticated(FaceApiError):
    """The request has no credential, or one that nobody knows."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(FaceApiError):
    """The credential is known, but revoked, expired or not allowed to do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(FaceApiError):
    """There is no such thing."""

    status = HTTPStatus.NOT_FOUND


class NotConfigured(FaceApiError):
    """The settings leave out what the request needs."""

    status = HTTPStatus.NOT_IMPLEMENTED


class ServiceUnavailable(FaceApiError):
    """Something that the request needs is not ready."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class DatabaseUnavailable(ServiceUnavailable):
    """The database cannot be reached, or does not answer in time. The cause is for the log, not for the caller."""

    headers: Mapping[str, str] = {"Retry-After": "1"}


class DatabaseFull(DatabaseUnavailable):
    """The disk of the database has no room: nothing can be written, and SQLite cannot even be read."""


class StartupError(FaceApiError):
    """The service cannot start. The message names the cause and the remedy in one line."""


class SettingsError(StartupError):
    """A FACE_API_* variable has a wrong value."""


class ModelError(StartupError):
    """The model file is missing, corrupt or not a detector that we know."""
