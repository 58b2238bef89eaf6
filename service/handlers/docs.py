"""GET /docs (Swagger UI), GET /redoc (ReDoc) and the files under /static, all from our own package.

The files are read once, when the router is made, and found by name in a table: no path of a request ever
reaches the file system, and an ETag is the digest of what is sent.
"""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from litestar import Request, Router, route
from litestar.enums import HttpMethod
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from service.errors import ServiceUnavailable
from service.ranges import shorten

__all__ = ["StaticFile", "docs_router", "read_static"]

# A table of our own: that of the standard library changes with the machine's files.
_MEDIA_TYPES: Final = {
    "": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

_STRICT: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

# Where this file exists, the build of static/vendor was complete.
_MANIFEST: Final = "vendor/manifest.json"

# The names of the files do not change with their contents, so a browser has to ask each time: the ETag makes
# that cheap.
_CACHE_CONTROL: Final = "no-cache"

_READ: Final = [HttpMethod.GET, HttpMethod.HEAD]


class StaticFile(NamedTuple):
    """One file to serve.

    Attributes:
        content: The bytes.
        media_type: The Content-Type.
        etag: A strong validator, quotes included.
    """

    content: bytes
    media_type: str
    etag: str


def read_static(folder: Path) -> dict[str, StaticFile]:
    """Read every file under a folder, hidden ones left out.

    Args:
        folder: The folder; one that does not exist is an empty one.

    Returns:
        The files by their path within the folder, with ``/`` between the parts.
    """
    files: dict[str, StaticFile] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        content = path.read_bytes()
        media_type = _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        files[name.as_posix()] = StaticFile(content, media_type, etag)
    return files


def docs_router(static_dir: Path) -> Router:
    """Make the handlers of the documentation pages and of the static files.

    Args:
        static_dir: The folder that holds ``docs/`` (our pages) and ``vendor/`` (made by ``make assets``).

    Returns:
        A router with ``/docs``, ``/redoc`` and ``/static/…``. Without ``vendor/`` the two pages answer 503,
        naming the command that makes it.
    """
    files = read_static(static_dir)

    @route("/docs", http_method=_READ, include_in_schema=False, name="swagger-ui")
    async def swagger_ui(request: Request[Any, Any, Any]) -> ASGIResponse:
        # Swagger UI shows a picture that an operation answered from a blob: address.
        return _page(request, files, "docs/swagger.html", {"img-src": "'self' data: blob:"})

    @route("/redoc", http_method=_READ, include_in_schema=False, name="redoc")
    async def redoc(request: Request[Any, Any, Any]) -> ASGIResponse:
        # ReDoc writes its style sheet at run time and starts its search as a worker from a blob: address.
        policy = {"style-src": "'self' 'unsafe-inline'", "worker-src": "blob:"}
        return _page(request, files, "docs/redoc.html", policy)

    @route("/static/{name:path}", http_method=_READ, include_in_schema=False, name="static")
    async def static(request: Request[Any, Any, Any], name: FromPath[Path]) -> ASGIResponse:
        key = name.as_posix().removeprefix("/")
        file = files.get(key)
        # Pages have their own addresses, where they carry their policy.
        if file is None or key.endswith(".html"):
            raise NotFoundException(f"there is no file {shorten(key, 200)} under /static")
        return _answer(request, file, {})

    return Router("/", route_handlers=[swagger_ui, redoc, static])


def _page(
    request: Request[Any, Any, Any], files: Mapping[str, StaticFile], name: str, policy: Mapping[str, str]
) -> ASGIResponse:
    if name not in files or _MANIFEST not in files:
        raise ServiceUnavailable(
            "the files of this page are not built: run `make assets`, then start the service again "
            "(the document itself is at /openapi.json)"
        )
    directives = "; ".join(f"{key} {value}" for key, value in {**_STRICT, **policy}.items())
    return _answer(request, files[name], {"Content-Security-Policy": directives})


def _answer(request: Request[Any, Any, Any], file: StaticFile, headers: Mapping[str, str]) -> ASGIResponse:
    headers = {"ETag": file.etag, "Cache-Control": _CACHE_CONTROL, **headers}
    if _matches(request.headers.get("If-None-Match", ""), file.etag):
        return ASGIResponse(body=b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    # Named here, since ASGIResponse leaves both out of the answer to HEAD.
    headers |= {"Content-Type": file.media_type, "Content-Length": str(len(file.content))}
    if request.method == HttpMethod.HEAD:
        return ASGIResponse(headers=headers, is_head_response=True)
    return ASGIResponse(body=file.content, headers=headers)


def _matches(if_none_match: str, etag: str) -> bool:
    candidates = [item.strip().removeprefix("W/") for item in if_none_match.split(",")]
    return "*" in candidates or etag in candidates
