"""Reading a body piece by piece, however it is cut."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Request
from litestar.types import HTTPReceiveMessage

from service.errors import (
    ClientDisconnected,
    FaceApiError,
    ImageTooLarge,
    PayloadTooLarge,
    RequestError,
    UploadTimeout,
)
from service.handlers import upload as upload_module
from service.handlers.upload import Upload, read_upload
from tests.server import multipart

LIMIT = 5000


def upload(
    pieces: list[bytes],
    headers: dict[str, str],
    *,
    gone: bool = False,
    silent: bool = False,
    limit: int = LIMIT,
) -> Upload:
    """Read these pieces; with `gone` the client then closes the connection, with `silent` it sends nothing more."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    if not silent:
        messages.append(
            {"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False}
        )

    async def receive() -> HTTPReceiveMessage:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)  # type: ignore[return-value]  # the two kinds of message have these keys

    async def send(_: object) -> None:
        raise AssertionError("nothing is answered while reading")

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": raw,
        "state": {},
    }
    return asyncio.run(read_upload(Request(scope, receive, send), limit))


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(body) + 1) for place in places)
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


PICTURE = bytes(range(256)) * 4 + b"\r\n--x\r\n" + b"\r\n--"


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3000), max_size=30))
def test_however_the_form_is_cut(places: list[int]) -> None:
    body, headers = multipart(
        [("a", None, None, b"1"), ("image", "n.png", "image/png", PICTURE), ("b", None, None, "ä".encode())]
    )
    found = upload(cut(body, places), headers)
    assert (found.image, found.filename, found.fields) == (PICTURE, "n.png", (("a", "1"), ("b", "ä")))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3000), max_size=30))
def test_however_the_raw_body_is_cut(places: list[int]) -> None:
    found = upload(cut(PICTURE, places), {"Content-Type": "image/png"})
    assert (found.image, found.filename, found.fields) == (PICTURE, None, ())


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(["image/png", "multipart/form-data; boundary=x", "", "x/y"]))
def test_any_bytes_are_an_upload_or_our_error(body: bytes, content_type: str) -> None:
    error: FaceApiError | None = None
    try:
        upload([body], {"Content-Type": content_type})
    except FaceApiError as caught:
        error = caught
    assert error is None or (error.status in (400, 413) and error.detail.isprintable())


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_the_limit(kind: str) -> None:
    for size, allowed in ((LIMIT, True), (LIMIT + 1, False)):
        body, headers = multipart([("image", "n", None, bytes(size))])
        if kind == "raw":
            body, headers = bytes(size), {"Content-Type": "image/png"}
        pieces = [body[at : at + 999] for at in range(0, len(body), 999)]
        if allowed:
            assert len(upload(pieces, headers).image) == size
        else:
            with pytest.raises(ImageTooLarge, match="5,000"):
                upload(pieces, headers)


def test_a_declared_length_is_refused_before_anything_is_read() -> None:
    for content_type in ("image/png", "multipart/form-data; boundary=x"):
        with pytest.raises(ImageTooLarge, match="1,000,000"):
            upload([], {"Content-Type": content_type, "Content-Length": "1000000"}, gone=True)


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_client_that_goes_away(kind: str) -> None:
    body, headers = multipart([("image", "n", None, PICTURE)])
    if kind == "raw":
        body, headers = PICTURE, {"Content-Type": "image/png"}
    for end in (0, 10, len(body) // 2):
        with pytest.raises(ClientDisconnected):
            upload([body[:end]], headers, gone=True)


def test_two_pictures_and_none() -> None:
    picture = ("image", "n", None, PICTURE)
    for parts, words in (
        ([picture, picture], "two fields 'image'"),
        ([("a", None, None, b"1")], "no field 'image'"),
        ([("image", "n", None, b"")], "empty"),
        ([("other", "n", None, PICTURE)], "unknown file field 'other'"),
    ):
        body, headers = multipart(parts)
        with pytest.raises(RequestError, match=words):
            upload([body], headers)


def test_fields_are_bounded() -> None:
    for parts, error in (
        ([("a", None, None, b"1" * 2000), ("image", "n", None, PICTURE)], PayloadTooLarge),
        ([("a", None, None, b"1")] * 60, RequestError),
    ):
        body, headers = multipart(parts)
        with pytest.raises(error):
            upload([body], headers)


@pytest.mark.parametrize("limit", ["_IDLE_SECONDS", "_UPLOAD_SECONDS"])
def test_a_client_that_falls_silent(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(upload_module, limit, 0.05)
    with pytest.raises(UploadTimeout, match="did not arrive") as caught:
        upload([PICTURE[:10]], {"Content-Type": "image/png"}, silent=True)
    assert caught.value.status == 408
