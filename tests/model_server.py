"""A web server on the loopback address that hands out one file, as well or as badly as a test wants."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["ModelServer", "Reply"]

Reply = Callable[["ModelServer", BaseHTTPRequestHandler], None]


class ModelServer:
    """Serves `content` at every path; `replies` overrides the first answers, one each.

    Attributes:
        content: The file.
        etag: Its strong validator; None sends none.
        ranges: Whether Range is honoured.
        replies: What the next requests get instead, in order.
        requests: The Range header of every request so far, None where there was none.
        stopping: Set when the server stops, for replies that wait.
        origin: ``http://127.0.0.1:port``.
    """

    def __init__(self, content: bytes) -> None:
        """Start to serve `content`."""
        self.content = content
        self.etag: str | None = '"one"'
        self.ranges = True
        self.replies: list[Reply] = []
        self.requests: list[str | None] = []
        self.stopping = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.headers["Range"])
                reply = outer.replies.pop(0) if outer.replies else ModelServer.whole
                reply(outer, self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def head(self, handler: BaseHTTPRequestHandler) -> bytes:
        """Send status and headers as a good server would, and return the bytes that belong to them."""
        wanted, guard = handler.headers["Range"], handler.headers["If-Range"]
        start = 0
        if self.ranges and wanted and (guard is None or guard == self.etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        return self.content[start:]

    def whole(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer well."""
        handler.wfile.write(self.head(handler))

    @staticmethod
    def broken_after(count: int) -> Reply:
        """Promise everything, send `count` bytes, hang up."""

        def reply(server: "ModelServer", handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(server.head(handler)[:count])
            handler.close_connection = True

        return reply

    @staticmethod
    def stalled_after(count: int) -> Reply:
        """Promise everything, send `count` bytes, then nothing."""

        def reply(server: "ModelServer", handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(server.head(handler)[:count])
            handler.wfile.flush()
            server.stopping.wait(30)
            handler.close_connection = True

        return reply

    @staticmethod
    def dripping(pause: float) -> Reply:
        """Send one byte at a time."""

        def reply(server: "ModelServer", handler: BaseHTTPRequestHandler) -> None:
            content = server.head(handler)
            for at in range(len(content)):
                if server.stopping.wait(pause):
                    break
                try:
                    handler.wfile.write(content[at : at + 1])
                except OSError:
                    break
            handler.close_connection = True

        return reply

    @staticmethod
    def status(code: int, body: bytes = b"", **headers: str) -> Reply:
        """Answer with a status, headers (``_`` for ``-``) and a body."""

        def reply(_: "ModelServer", handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        return reply
