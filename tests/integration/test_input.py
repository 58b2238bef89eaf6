"""Every kind of picture, in every way of sending it."""

import http.client
from typing import Any

import httpx
import pytest

from tests.integration.test_detect import SHAPE, check_shape
from tests.picture_corpus import Picture, by_format, corpus
from tests.pictures import HEIGHT, WIDTH, oriented
from tests.server import Server, multipart

CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}


def picture_facts(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    check_shape(found["image"], SHAPE["image"])
    image: dict[str, Any] = found["image"]
    return image


@pytest.mark.parametrize("picture", corpus(), ids=lambda picture: picture.name)
def test_every_kind_is_detected_and_masked(client: httpx.Client, picture: Picture) -> None:
    expected = {
        "width": WIDTH,
        "height": HEIGHT,
        "channels": picture.channels,
        "size_bytes": len(picture.data),
    }
    raw = client.post(
        "/api/v1/detect",
        content=picture.data,
        headers={"Content-Type": CONTENT_TYPES[picture.format]},
    )
    assert picture_facts(raw) == expected
    form = client.post("/api/v1/mask", files={"image": ("a", picture.data)}, data={"format": "png"})
    assert form.status_code == 200, form.text
    assert (form.headers["x-image-width"], form.headers["x-image-height"]) == (str(WIDTH), str(HEIGHT))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff"])
def test_sizes_are_of_the_upright_picture(client: httpx.Client, image_format: str, orientation: int) -> None:
    for order in "<>":
        answer = client.post("/api/v1/detect", files={"image": oriented(image_format, orientation, order)})
        image = picture_facts(answer)
        turned = orientation >= 5
        assert (image["width"], image["height"]) == ((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT))


@pytest.mark.parametrize("picture", by_format().values(), ids=lambda picture: picture.format)
@pytest.mark.parametrize(
    "declared",
    [
        *CONTENT_TYPES.values(),
        "application/octet-stream",
        "image/gif",
        "IMAGE/PNG",
        "image/x; q=1",
        "image/*",
    ],
)
def test_the_bytes_tell_the_type_not_the_client(
    client: httpx.Client, picture: Picture, declared: str
) -> None:
    raw = client.post("/api/v1/detect", content=picture.data, headers={"Content-Type": declared})
    assert picture_facts(raw)["width"] == WIDTH
    form = client.post("/api/v1/detect", files={"image": ("photo.txt", picture.data, declared)})
    assert picture_facts(form)["width"] == WIDTH


@pytest.mark.parametrize("content_type", [None, "text/plain", "image/jpeg", "nonsense"])
@pytest.mark.parametrize(
    "filename", [None, "", "a.png", "../../etc/passwd", "Foto ä 얼굴.jpg", 'q\\"uote.png']
)
def test_part_headers_do_not_matter(
    client: httpx.Client, content_type: str | None, filename: str | None
) -> None:
    data = by_format()["png"].data
    body, headers = multipart([("image", filename, content_type, data)])
    assert picture_facts(client.post("/api/v1/detect", content=body, headers=headers))["width"] == WIDTH


@pytest.mark.parametrize(
    "disposition",
    [
        "form-data; name=image",
        "form-data; name=image; filename=photo.jpg",
        "form-data; name=image; filename=photo.jpg; filename*=utf-8''photo.jpg",
        'form-data; filename="photo.jpg"; name="image"',
        'FORM-DATA; NAME="image"; FILENAME="photo.jpg"',
        'form-data;name="image";filename="photo.jpg"',
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_the_ways_of_other_clients_to_write_a_form(
    client: httpx.Client, disposition: str, quoted: bool
) -> None:
    boundary = "b6d9a2f0-5d0f-4f57-8d27-3b1d0ba0d0d8"
    data = by_format()["jpeg"].data
    body = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data
    body += f"\r\n--{boundary}--\r\n".encode()
    declared = (
        f'multipart/form-data; boundary="{boundary}"'
        if quoted
        else f"multipart/form-data; boundary={boundary}"
    )
    answer = client.post("/api/v1/detect", content=body, headers={"Content-Type": declared})
    assert picture_facts(answer)["size_bytes"] == len(data)


def test_a_preamble_an_epilogue_and_a_missing_last_line_end(client: httpx.Client) -> None:
    data = by_format()["png"].data
    body, headers = multipart([("image", "a.png", None, data)])
    for variant in (b"preamble\r\n" + body, body + b"epilogue\r\n", body.removesuffix(b"\r\n")):
        answer = client.post("/api/v1/detect", content=variant, headers=headers)
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert list(answer.json()) == ["detail"]
    assert picture_facts(client.post("/api/v1/detect", content=body.removesuffix(b"\r\n"), headers=headers))


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_body_in_chunks(server: Server, kind: str) -> None:
    data = by_format()["jpeg"].data
    body, headers = multipart([("confidence", None, None, b"0.3"), ("image", "a.jpg", "image/jpeg", data)])
    if kind == "raw":
        body, headers = data, {"Content-Type": "image/jpeg"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for size in (1, 7, 1000):
        pieces = (body[at : at + size] for at in range(0, len(body), size))
        connection.request("POST", "/api/v1/detect", pieces, headers, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()


def test_parameters_stand_in_query_or_form_or_both(client: httpx.Client) -> None:
    files = {"image": by_format()["png"].data}
    for query, form in (
        ({"confidence": "0.6", "max_faces": "5"}, {}),
        ({}, {"confidence": "0.6", "max_faces": "5"}),
        ({"confidence": "0.6"}, {"max_faces": "5"}),
        ({"confidence": "0.6"}, {"confidence": "0.6"}),
    ):
        answer = client.post("/api/v1/detect", files=files, params=query, data=form)
        assert answer.status_code == 200, answer.text
        assert answer.json()["processing"]["confidence_threshold"] == 0.6


def test_form_fields_may_come_before_or_after_the_picture(client: httpx.Client) -> None:
    picture = ("image", "a.png", "image/png", by_format()["png"].data)
    field = ("confidence", None, None, b"0.25")
    for parts in ([picture, field], [field, picture]):
        body, headers = multipart(parts)
        answer = client.post("/api/v1/detect", content=body, headers=headers)
        assert answer.json()["processing"]["confidence_threshold"] == 0.25


@pytest.mark.parametrize("text", ["0.5", "+0.5", ".5", "0.50000000000", "00.5", "1", "1.", "0.01", "1.0"])
def test_numbers_as_people_write_them(client: httpx.Client, text: str) -> None:
    answer = client.post(
        "/api/v1/detect", files={"image": by_format()["png"].data}, params={"confidence": text}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["processing"]["confidence_threshold"] == float(text)


def test_an_api_key_is_no_harm(client: httpx.Client) -> None:
    answer = client.post(
        "/api/v1/detect", files={"image": by_format()["png"].data}, headers={"X-API-Key": "xyl_no_such_key"}
    )
    assert answer.status_code == 200
