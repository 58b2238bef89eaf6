"""A service that receives the same uploads and does nothing with them: litestar on granian, each used plainly."""

import asyncio
import sys
from time import perf_counter
from typing import Annotated, Any

import cv2
import numpy as np
from granian import Granian
from granian.constants import Interfaces
from litestar import Litestar, Request, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

__all__ = ["build_app"]

_WORK_SECONDS = 0.02


@post("/form", status_code=200, request_max_body_size=None)
async def form(
    data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, int]:
    """Read the picture of a form."""
    return {"size_bytes": len(await data["image"].read())}


@post("/raw", status_code=200, request_max_body_size=None)
async def raw(request: Request[Any, Any, Any]) -> dict[str, int]:
    """Read the body."""
    return {"size_bytes": len(await request.body())}


@post("/raw-after-work", status_code=200, request_max_body_size=None)
async def raw_after_work(request: Request[Any, Any, Any]) -> dict[str, float]:
    """Read the body, keep a thread busy with it for a while, and say for how long.

    What an answer costs right after work that has filled the caches, and not in a loop that does nothing else.
    """
    body = await request.body()
    return {"total_ms": await asyncio.get_running_loop().run_in_executor(None, _work, body)}


def _work(body: bytes) -> float:
    """Decode a picture again and again; return the milliseconds that it took."""
    started = perf_counter()
    while (taken := perf_counter() - started) < _WORK_SECONDS:
        cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    return taken * 1e3


def build_app() -> Litestar:
    """Build the application."""
    return Litestar([form, raw, raw_after_work], openapi_config=None)


if __name__ == "__main__":
    server: Any = Granian(
        "bench.empty_service:build_app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        factory=True,
        websockets=False,
    )
    server.serve()
