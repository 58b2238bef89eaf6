"""Small copies of stored pictures, for lists and for looking at.

They are made once and kept in memory, within bounds: on disk a copy would outlive the picture that somebody deleted.
Our own address serves them, so that the page's policy needs no other host.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from admin_ui.parts import Parts
from service.errors import NotFound
from service.handlers.runner import Runner
from service.handlers.stored import known_id, required
from service.imaging.preview import preview
from service.storage.images import get_image
from service.storage.jobs import get_job
from service.storage.objects import ObjectNotFound

__all__ = ["picture_handlers"]

_SMALL: Final = 320
_LARGE: Final = 1600
_MOST_BYTES: Final = 32 * 2**20


class _Kept:
    """The copies that were used last."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._copies: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def get(self, key: tuple[str, int]) -> bytes | None:
        if key in self._copies:
            self._copies.move_to_end(key)
        return self._copies.get(key)

    def put(self, key: tuple[str, int], copy: bytes) -> None:
        self._size += len(copy) - len(self._copies.pop(key, b""))
        self._copies[key] = copy
        while self._size > self._most:
            self._size -= len(self._copies.popitem(last=False)[1])


def picture_handlers(parts: Parts) -> list[HTTPRouteHandler]:
    """Build the routes."""
    kept = _Kept(_MOST_BYTES)
    settings = parts.report.settings
    # A setting that was lowered since must not hide what is stored.
    max_pixels = max(settings.max_image_pixels, 2**28)

    async def answer(request: Request[Any, Any, Any], runner: Runner, key: str, side: int) -> Response[bytes]:
        copy = kept.get((key, side))
        if copy is None:
            try:
                data = await required(parts.archive).objects.get(key)
            except ObjectNotFound:
                raise NotFound("the file of this picture is lost") from None
            await request.body()
            work: Callable[[], bytes] = lambda: preview(data, side, max_pixels=max_pixels)  # noqa: E731  # typed
            copy = await runner.run(request, work)
            kept.put((key, side), copy)
        return Response(copy, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def original(
        request: Request[Any, Any, Any], runner: Runner, image_id: str, side: int
    ) -> Response[bytes]:
        image = await get_image(required(parts.archive).database, known_id(image_id, "picture"))
        if image is None or image.object_key is None:
            raise NotFound("the original of this picture is not stored")
        return await answer(request, runner, image.object_key, side)

    @get("/images/{image_id:str}/small.jpg")
    async def small(
        request: Request[Any, Any, Any], runner: NamedDependency[Runner], image_id: FromPath[str]
    ) -> Response[bytes]:
        """An original, for a list."""
        return await original(request, runner, image_id, _SMALL)

    @get("/images/{image_id:str}/large.jpg")
    async def large(
        request: Request[Any, Any, Any], runner: NamedDependency[Runner], image_id: FromPath[str]
    ) -> Response[bytes]:
        """An original, to look at."""
        return await original(request, runner, image_id, _LARGE)

    @get("/jobs/{job_id:str}/large.jpg")
    async def result(
        request: Request[Any, Any, Any], runner: NamedDependency[Runner], job_id: FromPath[str]
    ) -> Response[bytes]:
        """A masked picture, to look at."""
        job = await get_job(required(parts.archive).database, known_id(job_id, "job"))
        if job is None or job.result_key is None:
            raise NotFound("this job has no masked picture")
        return await answer(request, runner, job.result_key, _LARGE)

    return [small, large, result]
