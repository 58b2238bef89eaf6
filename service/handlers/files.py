"""GET /files/…: stored files of the local folder, for whoever holds a signed link (RFC 9110 ranges and validators)."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse

from service.errors import Forbidden
from service.ranges import shorten
from service.schemas.health import ErrorResponse
from service.storage.file_names import content_disposition
from service.storage.local_store import FILES_PATH, FileLink, LocalStore

__all__ = ["files_handler"]

# One range. Of several, or of another unit, the whole file is a right answer.
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII | re.IGNORECASE)
_EXPIRES: Final = re.compile(r"\d{1,18}", re.ASCII)

_HEADERS: Final = {
    "Accept-Ranges": "bytes",
    # The link may have expired or the picture may be deleted by the next time: a browser has to ask.
    "Cache-Control": "private, no-cache",
    # Nothing that a stored file could contain may run as a page of ours.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def files_handler(store: LocalStore) -> HTTPRouteHandler:
    """Make the handler of the links that `store` gives out."""

    @route(
        f"{FILES_PATH}/{{key:path}}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        include_in_schema=False,
        name="files",
    )
    async def files(request: Request[Any, Any, Any], key: FromPath[Path]) -> ASGIResponse:
        link = _verified_link(store, request, key.as_posix().removeprefix("/"))
        facts = await store.facts(link.key)
        headers = {
            **_HEADERS,
            "ETag": facts.etag,
            "Content-Disposition": content_disposition(link.filename, link.disposition),
        }
        if _is_known(request.headers.get("If-None-Match", ""), facts.etag):
            return ASGIResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        unchanged = request.headers.get("If-Range", facts.etag) == facts.etag
        span = _span(request.headers.get("Range", ""), facts.size) if unchanged else None
        start, stop = span or (0, facts.size)
        if span is not None and start >= stop:
            return _outside(request.headers["Range"], facts.size)
        if span is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{facts.size}"
        status = HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT
        headers |= {"Content-Type": link.content_type, "Content-Length": str(stop - start)}
        if request.method == HttpMethod.HEAD:
            return ASGIResponse(headers=headers, status_code=status, is_head_response=True)
        pieces = await store.open_range(link.key, start, stop)
        return ASGIStreamingResponse(iterator=pieces, headers=headers, status_code=status)

    return files


def _outside(wanted: str, size: int) -> ASGIResponse:
    return ASGIResponse(
        body=msgspec.json.encode(ErrorResponse(f"Range={shorten(wanted)}: the file has {size} bytes")),
        headers={"Content-Range": f"bytes */{size}"},
        status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    )


def _verified_link(store: LocalStore, request: Request[Any, Any, Any], key: str) -> FileLink:
    query = request.query_params
    expires = query.get("expires", "")
    if not _EXPIRES.fullmatch(expires):
        raise Forbidden("this address needs a link with expires= and signature=, made by this service")
    link = FileLink(key, int(expires), query.get("name", ""), query.get("type", ""), query.get("as", ""))
    store.verify(link, query.get("signature", ""))
    return link


def _is_known(if_none_match: str, etag: str) -> bool:
    candidates = [item.strip().removeprefix("W/") for item in if_none_match.split(",")]
    return "*" in candidates or etag in candidates


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """The first byte asked for and the one after the last, within the file; None: no range that we serve."""
    match = _RANGE.fullmatch(wanted)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(size - int(suffix), 0), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size
