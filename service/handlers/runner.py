"""Runs the pipeline in worker threads, within bounds: so many requests at once, so many threads, no more."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from litestar import Request
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.errors import ClientDisconnected, ServerBusy

__all__ = ["RequestSlots", "Runner"]

T = TypeVar("T")


class RequestSlots(ASGIMiddleware):
    """FACE_API_MAX_CONCURRENT_REQUESTS: refuses with 503 before the body is read.

    The event loop is one thread, so a plain counter is enough; it is shared by all routes that carry this instance.
    """

    def __init__(self, limit: int) -> None:
        """Allow `limit` requests at once."""
        self.limit = limit
        self.taken = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Take a slot, answer, give it back, whatever happens."""
        if self.taken >= self.limit:
            raise ServerBusy(
                f"server busy: {self.taken} of {self.limit} requests in flight "
                "(FACE_API_MAX_CONCURRENT_REQUESTS); retry after 1 second"
            )
        self.taken += 1
        try:
            await next_app(scope, receive, send)
        finally:
            self.taken -= 1


class Runner:
    """A pool of worker threads of our own: uploads and the loop's default executor are never in its way."""

    def __init__(self, threads: int) -> None:
        """Start with `threads` threads."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pipeline")

    async def run(self, request: Request[Any, Any, Any], work: Callable[[], T]) -> T:
        """Run `work` in a thread; give up if the client hangs up.

        The body of `request` must have been read. Work that has begun runs to its end, work that waits is dropped.

        Raises:
            ClientDisconnected: The client went away.
        """
        context = contextvars.copy_context()
        # Before the work is handed over: a thread that starts needs the interpreter's lock, which this one holds.
        hang_up = asyncio.create_task(_disconnected(request))
        future = asyncio.get_running_loop().run_in_executor(self._executor, context.run, work)
        hang_up.add_done_callback(lambda _: future.cancel())
        try:
            return await future
        except asyncio.CancelledError:
            if hang_up.done():
                raise ClientDisconnected("the client closed the connection") from None
            raise
        finally:
            hang_up.cancel()

    def close(self) -> None:
        """Wait for the work under way and end the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
