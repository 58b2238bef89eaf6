"""Resident memory of the service after many requests of every kind, and how it grows."""

import contextlib
import time
from typing import Final

import cv2

from bench.load import Load, Request
from bench.pictures import draw
from bench.plan import Plan
from bench.report import Row, Target, verdict
from bench.servers import Server, service

__all__ = ["run"]

SUITE: Final = "memory"

_LIMIT_MB: Final = 400
_GROWTH: Final = 1.02
_KEPT: Final = "The allocator keeps what large pictures took, the more of it the fewer requests there were"
_CLIENTS: Final = 4
_REQUESTS: Final = 3000

_DETECT: Final = "/api/v1/detect"
_MASK: Final = "/api/v1/mask?method="

# Path, format and size, in the order in which they are sent, over and over: small ones among large ones.
_MIX: Final = (
    (_DETECT, "jpeg", (1920, 1080)),
    (_MASK + "gaussian", "jpeg", (1280, 853)),
    (_DETECT, "png", (800, 600)),
    (_DETECT, "jpeg", (4032, 3024)),
    (_MASK + "pixelate&format=webp", "png", (800, 600)),
    (_MASK + "gaussian", "jpeg", (1920, 1080)),
    (_DETECT, "webp", (1280, 853)),
    (_DETECT, "jpeg", (5472, 3648)),
    (_MASK + "elliptical", "jpeg", (1920, 1080)),
    (_DETECT, "jpeg", (1280, 853)),
    (_MASK + "solid&format=png", "webp", (800, 600)),
    (_MASK + "gaussian", "jpeg", (4032, 3024)),
    (_DETECT, "jpeg", (640, 480)),
    (_DETECT, "png", (1920, 1080)),
    (_MASK + "gaussian", "jpeg", (5472, 3648)),
    (_DETECT, "jpeg", (2000, 3000)),
)


def run(plan: Plan) -> list[Row]:
    """Run the suite; several minutes, half a minute when quick."""
    count = _REQUESTS // 10 if plan.quick else _REQUESTS
    with contextlib.ExitStack() as stack:
        load = Load()
        stack.callback(load.close)
        server = stack.enter_context(service(plan))
        idle = server.resident_mb()
        half = _after(load, server, count // 2)
        end = _after(load, server, count - count // 2)
        peak = server.peak_mb()
    case = f"resident after {count:,} requests of up to 20 MP, {_CLIENTS} clients"
    return [
        verdict(
            SUITE,
            f"{case}, at most {_LIMIT_MB} MB",
            "service",
            _LIMIT_MB / end,
            Target(1, floor=0.5, reason=_KEPT),
            figure=f"{idle:.0f} MB at first, {half:.0f} at half, {end:.0f} at the end",
            peak_mb=peak,
        ),
        verdict(
            SUITE,
            f"{case}, growth over the second half at most 2 %",
            "service",
            half / end,
            Target(
                round(1 / _GROWTH, 3),
                floor=0.8,
                reason="A tenth of the requests is no steady state" if plan.quick else _KEPT,
            ),
            figure=f"{(end / half - 1) * 100:+.1f} %",
        ),
    ]


def _after(load: Load, server: Server, count: int) -> float:
    load.run(*_requests(server), clients=_CLIENTS, count=count)
    time.sleep(1)  # what is given back late still counts as given back
    return server.resident_mb()


def _requests(server: Server) -> list[Request]:
    files: dict[tuple[str, tuple[int, int]], bytes] = {}
    requests = []
    for target, kind, size in _MIX:
        if (kind, size) not in files:
            files[kind, size] = _encoded(kind, size)
        requests.append(Request(server.port, target, f"image/{kind}", files[kind, size]))
    return requests


def _encoded(kind: str, size: tuple[int, int]) -> bytes:
    done, data = cv2.imencode(f".{kind}", draw(*size))
    if not done:
        raise RuntimeError(f"OpenCV wrote no {kind}")
    return data.tobytes()
