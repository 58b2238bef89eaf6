"""The picture and the form fields of a request, read as they arrive and never written to disk."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Final

import msgspec
from litestar import Request
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from service.errors import ClientDisconnected, ImageTooLarge, PayloadTooLarge, RequestError, UploadTimeout
from service.ranges import shorten

__all__ = ["Upload", "read_upload"]

_FORM_OVERHEAD: Final = 65_536
_MAX_PARTS: Final = 32
_MAX_FIELD_BYTES: Final = 1024
_IDLE_SECONDS: Final = 30
_UPLOAD_SECONDS: Final = 300


class Upload(msgspec.Struct, frozen=True):
    """What a request carried.

    Attributes:
        image: The encoded picture.
        filename: The client's name for it, unchecked; None if it gave none.
        fields: The other form fields, in order.
    """

    image: bytes
    filename: str | None
    fields: tuple[tuple[str, str], ...]


async def read_upload(request: Request[Any, Any, Any], max_image_bytes: int) -> Upload:
    """Read the body: a multipart form with one `image`, or the picture itself.

    Args:
        request: The request; its body must not have been read.
        max_image_bytes: FACE_API_MAX_IMAGE_BYTES; reading stops as soon as it is exceeded.

    Raises:
        RequestError: No picture, two pictures, a malformed form, or an unsuitable content type.
        ImageTooLarge: The picture exceeds `max_image_bytes`.
        PayloadTooLarge: The form around the picture is too large.
        ClientDisconnected: The client went away.
        UploadTimeout: The body did not arrive in time.
    """
    content_type = request.headers.get("content-type", "")
    media_type, options = parse_options_header(content_type)
    media_type = media_type.lower()
    declared = _content_length(request)
    if media_type == "multipart/form-data":
        if not (boundary := options.get("boundary")):
            raise RequestError("the Content-Type multipart/form-data carries no boundary")
        if declared is not None and declared > max_image_bytes + _FORM_OVERHEAD:
            raise ImageTooLarge(_too_large(declared, max_image_bytes))
        return await _read_form(_chunks(request), boundary, declared, max_image_bytes)
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        if declared is not None and declared > max_image_bytes:
            raise ImageTooLarge(_too_large(declared, max_image_bytes))
        return await _read_raw(_chunks(request), max_image_bytes)
    if declared == 0 or (declared is None and "transfer-encoding" not in request.headers):
        raise RequestError(
            "the request has no body; send the picture as the multipart field 'image' or as the body"
        )
    found = f"Content-Type '{shorten(content_type)}'" if content_type else "a body without a Content-Type"
    raise RequestError(
        f"{found} is not accepted: expected multipart/form-data, image/* or application/octet-stream"
    )


async def _read_raw(chunks: AsyncIterator[bytes], max_image_bytes: int) -> Upload:
    collected: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_image_bytes:
            raise ImageTooLarge(_too_large(None, max_image_bytes))
        collected.append(chunk)
    if not size:
        raise RequestError("the body is empty: expected a picture")
    return Upload(collected[0] if len(collected) == 1 else b"".join(collected), None, ())


async def _read_form(
    chunks: AsyncIterator[bytes], boundary: str, declared: int | None, max_image_bytes: int
) -> Upload:
    form = _Form(max_image_bytes)
    try:
        with PushMultipartParser(
            boundary,
            content_length=-1 if declared is None else declared,
            max_segment_count=_MAX_PARTS,
        ) as parser:
            async for chunk in chunks:
                for event in parser.parse(chunk):
                    form.take(event)
    except ParserLimitReached as error:
        raise RequestError(f"the multipart form is refused: {error}") from None
    except MultipartError as error:
        raise RequestError(f"the multipart form is malformed: {error}") from None
    return form.finish()


class _Form:
    """Collects the events of the multipart parser; memory is bounded at every step."""

    def __init__(self, max_image_bytes: int) -> None:
        self._max_image_bytes = max_image_bytes
        self._part: MultipartSegment | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._image: bytes | None = None
        self._filename: str | None = None
        self._fields: list[tuple[str, str]] = []

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if event is None:
            self._end_part()
        elif isinstance(event, MultipartSegment):
            self._begin_part(event)
        else:
            self._size += len(event)
            if self._part is not None and self._part.name == "image":
                if self._size > self._max_image_bytes:
                    raise ImageTooLarge(_too_large(None, self._max_image_bytes))
            elif self._size > _MAX_FIELD_BYTES:
                raise PayloadTooLarge(
                    f"the form field '{shorten(self._part.name if self._part else '')}' is longer than "
                    f"{_MAX_FIELD_BYTES} bytes; the picture goes into the field 'image'"
                )
            self._body.append(bytes(event))

    def _begin_part(self, part: MultipartSegment) -> None:
        if part.name == "image":
            if self._image is not None:
                raise RequestError("the form has two fields 'image': send one picture per request")
        elif part.filename:
            raise RequestError(
                f"unknown file field '{shorten(part.name)}': the picture goes into the field 'image'"
            )
        self._part, self._body, self._size = part, [], 0

    def _end_part(self) -> None:
        if self._part is None:
            return
        body = b"".join(self._body)
        if self._part.name == "image":
            self._image, self._filename = body, self._part.filename or None
        else:
            try:
                self._fields.append((self._part.name, body.decode()))
            except UnicodeDecodeError:
                raise RequestError(f"the form field '{shorten(self._part.name)}' is not UTF-8 text") from None
        self._body = []

    def finish(self) -> Upload:
        if self._image is None:
            raise RequestError("no picture: the form has no field 'image'")
        if not self._image:
            raise RequestError("the form field 'image' is empty: expected a picture")
        return Upload(self._image, self._filename, tuple(self._fields))


async def _chunks(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body as it arrives; a sender that stops or trickles does not keep its slot for ever."""
    deadline = monotonic() + _UPLOAD_SECONDS
    while True:
        try:
            async with asyncio.timeout(min(_IDLE_SECONDS, deadline - monotonic())):
                message = await request.receive()
        except TimeoutError:
            raise UploadTimeout(
                f"the body did not arrive: nothing for {_IDLE_SECONDS} seconds, or not all of it "
                f"in {_UPLOAD_SECONDS} seconds"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client closed the connection")
        if message["type"] == "http.request":
            if body := message.get("body"):
                yield body
            if not message.get("more_body"):
                return


def _content_length(request: Request[Any, Any, Any]) -> int | None:
    text = request.headers.get("content-length")
    return int(text) if text is not None and text.isdecimal() else None


def _too_large(size: int | None, limit: int) -> str:
    found = f"the request has {size:,} bytes" if size is not None else "the picture is too large"
    return f"{found}; a picture may have at most {limit:,} bytes (FACE_API_MAX_IMAGE_BYTES)"
