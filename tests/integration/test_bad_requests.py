"""Bad requests: each its own clear 4xx with ``{"detail": …}``, never a 5xx."""

import io
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.picture_corpus import by_format
from tests.pictures import FOREIGN, encoded, png_bomb, scene, truncations
from tests.server import multipart

PNG = encoded(scene(), "PNG")
DETECT, MASK = "/api/v1/detect", "/api/v1/mask"

# Parameter, values that must be refused, words that the answer must have.
WRONG_FRACTIONS = (
    *("0", "0.009", "1.01", "-1", "1e-1", "1E0", "inf", "-inf", "nan", "NaN", "0,5", "0x1", "abc"),
    *("½", "٠.٥", "0.5 ", " 0.5", "1_0", "true", "[0.5]", "0.5;1", "9" * 400),
)
WRONG_COUNTS = (
    *("-1", "1.0", "1.5", "2147483648", "1" * 30, "1e3", "five", "0x10"),
    *("١", " 1", "1 ", "+-1", "null", "--1", "1__0"),
)
WRONG_METHODS = ("blur", "Gaussian", "GAUSSIAN", "gaussian ", "gauss", "solid,pixelate", "0", "gaussian\0")
REFUSED: list[tuple[str, str, tuple[str, ...], str]] = [
    (DETECT, "confidence", WRONG_FRACTIONS, "a number from 0.01 to 1"),
    (MASK, "confidence", ("0", "2", "x"), "a number from 0.01 to 1"),
    (DETECT, "nms_threshold", WRONG_FRACTIONS, "a number from 0.01 to 1"),
    (DETECT, "max_faces", WRONG_COUNTS, "an integer from 0 to 2147483647"),
    (MASK, "method", WRONG_METHODS, "expected one of: "),
    (MASK, "format", ("jpg", "JPEG", "gif", "image/png", ".png", "bmp", "avif"), "one of: jpeg, png, webp"),
    (MASK, "strength", ("0", "-1", "1000", "199.0", "1e2", "ten", "9" * 20), "an integer from 1 to 999"),
    (MASK, "padding", ("-0.01", "2.01", "nan", "inf", "15%", "1e0", "two"), "a number from 0 to 2"),
    (MASK, "quality", ("0", "101", "-5", "95.5", "high", "1e1"), "an integer from 1 to 100"),
]


def refused(answer: httpx.Response, *words: str, status: int = 400) -> str:
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["detail"]
    detail = body["detail"]
    assert isinstance(detail, str)
    for word in words:
        assert word in detail
    assert len(detail) < 400
    assert detail.isprintable()
    assert "Traceback" not in detail
    return detail


def cases() -> Iterable[Any]:
    for path, name, values, allowed in REFUSED:
        for value in values:
            yield pytest.param(path, name, value, allowed, id=f"{path[8:]}-{name}-{value[:20]!a}")


@pytest.mark.parametrize(("path", "name", "value", "allowed"), list(cases()))
def test_a_wrong_value_is_named_with_its_range(
    client: httpx.Client, path: str, name: str, value: str, allowed: str
) -> None:
    in_query = client.post(path, files={"image": PNG}, params={name: value})
    in_form = client.post(path, files={"image": PNG}, data={name: value})
    shown = value[:40] if value.isprintable() else "gaussian"
    for answer in (in_query, in_form):
        refused(answer, name, shown, allowed)
    assert in_query.json() == in_form.json()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((DETECT, name) for name in ("confidence", "nms_threshold", "max_faces")),
        *((MASK, name) for name in ("method", "format", "strength", "padding", "quality")),
    ],
)
def test_an_empty_value_is_no_value(client: httpx.Client, path: str, name: str) -> None:
    refused(client.post(f"{path}?{name}=", files={"image": PNG}), name, "empty")
    refused(client.post(f"{path}?{name}", files={"image": PNG}), name, "empty")
    refused(client.post(path, files={"image": PNG}, data={name: ""}), name, "empty")


@pytest.mark.parametrize(
    ("path", "name", "nearest"),
    [
        (DETECT, "confidance", "confidence"),
        (DETECT, "Confidence", "confidence"),
        (DETECT, "maxfaces", "max_faces"),
        (DETECT, "nms", "known parameters"),
        (DETECT, "method", "confidence"),
        (DETECT, "", "known parameters"),
        (DETECT, "image", "image must be a file"),
        (MASK, "methode", "method"),
        (MASK, "qualty", "quality"),
        (MASK, "x" * 500, "known parameters"),
        (MASK, "a\r\nb", "known parameters"),
        (MASK, "얼굴", "known parameters"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(
    client: httpx.Client, path: str, name: str, nearest: str
) -> None:
    refused(client.post(path, files={"image": PNG}, params={name: "1"}), nearest)
    if name and name != "image":
        refused(client.post(path, files={"image": PNG}, data={name: "1"}), nearest)


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("confidence=0.5&confidence=0.6", {}),
        ("confidence=0.5", {"confidence": "0.6"}),
        ("", {"confidence": ["0.5", "0.6"]}),
    ],
)
def test_one_name_with_two_values(client: httpx.Client, query: str, form: dict[str, str | list[str]]) -> None:
    answer = client.post(f"{DETECT}?{query}", files={"image": PNG}, data=form)
    refused(answer, "confidence", "0.5", "0.6", "twice")


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({"Content-Type": "image/png"}, b"", ["empty"]),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"", ["multipart"]),
        ({}, b"", ["no body"]),
        ({}, PNG, ["without a Content-Type"]),
        ({"Content-Type": "text/plain"}, PNG, ["text/plain", "multipart/form-data"]),
        ({"Content-Type": "application/json"}, b'{"image": "aGk="}', ["application/json"]),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"image=1", ["x-www-form-urlencoded"]),
        ({"Content-Type": "multipart/mixed; boundary=x"}, PNG, ["multipart/mixed"]),
        ({"Content-Type": "multipart/form-data"}, PNG, ["boundary"]),
        ({"Content-Type": "multipart/form-data; boundary="}, PNG, ["boundary"]),
        ({"Content-Type": "multipart/form-data; boundary=" + "x" * 500}, PNG, ["multipart"]),
        ({"Content-Type": "multipart/form-data; boundary=x"}, PNG, ["multipart"]),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", ["image"]),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\n1\r\n--x--\r\n", ["multipart"]),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nnonsense\r\n", ["multipart"]),
        ({"Content-Type": "video/mp4"}, PNG, ["video/mp4"]),
        ({"Content-Type": "image"}, PNG, ["'image'"]),
        ({"Content-Type": ";;;"}, PNG, [";;;"]),
        ({"Content-Type": "é".encode("latin-1")}, PNG, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [DETECT, MASK])
def test_bodies_that_are_no_picture(
    client: httpx.Client, path: str, headers: dict[str, Any], body: bytes, words: list[str]
) -> None:
    refused(client.post(path, content=body, headers=headers), *words)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("image", "a.png", None, PNG), ("image", "b.png", None, PNG)], ["two", "image"]),
        ([("image", "a.png", None, b"")], ["image", "empty"]),
        ([("image", None, None, b"")], ["image", "empty"]),
        ([("image", None, None, b"hello there, service")], ["picture"]),
        ([("file", "a.png", None, PNG)], ["file", "image"]),
        ([("Image", "a.png", None, PNG)], ["Image", "image"]),
        ([("image[]", "a.png", None, PNG)], ["image[]", "image"]),
        ([("", "a.png", None, PNG)], ["image"]),
        ([("confidence", None, None, b"0.5")], ["no field 'image'"]),
        ([("confidence", "a.txt", None, b"0.5"), ("image", "a.png", None, PNG)], ["confidence"]),
        ([("confidence", None, None, b"\xff\xfe"), ("image", "a.png", None, PNG)], ["confidence", "UTF-8"]),
        ([("image", "a.png", None, PNG)] + [("confidence", None, None, b"0.5")] * 100, ["multipart"]),
    ],
)  # fmt: skip
def test_forms_without_exactly_one_picture(
    client: httpx.Client, parts: list[tuple[str, str | None, str | None, bytes]], words: list[str]
) -> None:
    body, headers = multipart(parts)
    refused(client.post(DETECT, content=body, headers=headers), *words)


def test_a_long_form_field_is_too_large(client: httpx.Client) -> None:
    body, headers = multipart([("confidence", None, None, b"1" * 5000), ("image", "a.png", None, PNG)])
    refused(client.post(DETECT, content=body, headers=headers), "confidence", status=413)


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_other_files_are_refused_by_name(client: httpx.Client, kind: str) -> None:
    name, data = FOREIGN[kind]
    detail = refused(client.post(DETECT, files={"image": ("photo.jpg", data, "image/jpeg")}))
    assert name in detail or name in ("not a picture", "video")


@pytest.mark.parametrize(("width", "height"), [(9, 10), (10, 9), (1, 1), (9, 5000)])
def test_too_small(client: httpx.Client, width: int, height: int) -> None:
    for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF"):
        data = encoded(scene(width, height), kind)
        refused(client.post(DETECT, files={"image": data}), f"{width}", f"{height}", "10")


def test_animations(client: httpx.Client) -> None:
    frames = [Image.fromarray(scene(seed=seed)) for seed in range(2)]
    for kind in ("WEBP", "PNG"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=100)
        refused(client.post(DETECT, files={"image": file.getvalue()}), "nimat")


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "tiff"])
def test_truncated_files(client: httpx.Client, kind: str) -> None:
    data = by_format()[kind].data
    for cut in truncations(data, 12):
        for path in (DETECT, MASK):
            answer = client.post(path, content=cut, headers={"Content-Type": "image/*"})
            # The last bytes of a file may carry nothing of the picture.
            if len(cut) < len(data) - 24 or answer.status_code != 200:
                refused(answer)


def test_a_bomb_is_refused_by_its_header(client: httpx.Client) -> None:
    for path in (DETECT, MASK):
        answer = client.post(path, files={"image": png_bomb()})
        refused(answer, "2500000000", "30000000", status=413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", DETECT, 405), ("PUT", DETECT, 405), ("DELETE", MASK, 405), ("PATCH", MASK, 405),
        ("POST", "/health", 405), ("POST", "/openapi.json", 405), ("DELETE", "/docs", 405),
        ("TRACE", DETECT, 405), ("BREW", DETECT, 405),
        ("GET", "/", 404), ("GET", "/api/v1/nothing", 404), ("POST", "/api/v1/detect/x", 404),
        ("GET", "/health/x", 404), ("GET", "/openapi.json/x", 404), ("GET", "/docs/../../etc/passwd", 404),
        ("GET", "/static/..%2f..%2fsettings.py", 404), ("GET", "/%00", 404), ("GET", "/" + "a" * 5000, 404),
        ("GET", "/api/v1/admin/nothing", 404), ("GET", "//health", 404), ("GET", "/%ff%fe", 404),
        ("GET", "/static", 404), ("GET", "/static/", 404),
    ],
)  # fmt: skip
def test_wrong_paths_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    refused(answer, status=status)
    if status == 405:
        assert answer.headers["allow"]
