"""The API document against the service that it describes."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.integration.test_limits import SMALL
from tests.server import ROOT

DETECT, MASK = "/api/v1/detect", "/api/v1/mask"
PARAMETERS = {
    "confidence": ("number", 0.5, 0.01, 1),
    "nms_threshold": ("number", 0.4, 0.01, 1),
    "max_faces": ("integer", 0, 0, 2**31 - 1),
}
MASK_PARAMETERS = {
    **PARAMETERS,
    "method": ("string", "gaussian", None, None),
    "strength": ("integer", 199, 1, 999),
    "padding": ("number", 0.15, 0, 2),
    "format": ("string", "jpeg", None, None),
    "quality": ("integer", 95, 1, 100),
}
COMMON_HEADERS = {
    "X-Request-Id",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Strict-Transport-Security",
}


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert "json" in answer.headers["content-type"]
    found: dict[str, Any] = answer.json()
    return found


def schema(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A schema of the document that stands on its own."""
    return {**part, "components": document["components"]}


def validate(document: dict[str, Any], part: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator(schema(document, part)).validate(value)


def test_the_document_has_the_form_of_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Face API"
    assert document["info"]["license"]["name"] == "Apache-2.0"
    operations = [
        operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in ("get", "post")
    ]
    identifiers = [operation["operationId"] for operation in operations]
    assert len(set(identifiers)) == len(identifiers)
    assert set(document["paths"]) >= {DETECT, MASK, "/health", "/health/live"}
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert all(response["description"] for response in operation["responses"].values())


def test_every_schema_is_one_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(reference := node.get("$ref"), str):
                target: Any = document
                for step in reference.removeprefix("#/").split("/"):
                    target = target[step]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    for part in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(part)


@pytest.mark.parametrize(("path", "expected"), [(DETECT, PARAMETERS), (MASK, MASK_PARAMETERS)])
def test_every_parameter_in_query_and_form(
    document: dict[str, Any], path: str, expected: dict[str, tuple[Any, ...]]
) -> None:
    operation = document["paths"][path]["post"]
    in_query = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert set(in_query) == set(expected)
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    form = schema["properties"] | schema["anyOf"][0]["properties"]
    assert set(form) == {*expected, "image"}
    assert form["image"]["format"] == "binary"
    for name, (kind, default, least, most) in expected.items():
        parameter = in_query[name]
        assert parameter["in"] == "query"
        assert not parameter.get("required")
        assert parameter["description"]
        assert parameter["schema"]["type"] == kind
        assert parameter["schema"]["default"] == default
        assert parameter["schema"].get("minimum") == least
        assert parameter["schema"].get("maximum") == most
        assert form[name]["type"] == kind
        for example in parameter["examples"].values():
            jsonschema.Draft202012Validator(parameter["schema"]).validate(example["value"])
    if path == MASK:
        assert set(in_query["method"]["schema"]["enum"]) == {"gaussian", "pixelate", "solid", "elliptical"}
        assert set(in_query["format"]["schema"]["enum"]) == {"jpeg", "png", "webp"}


@pytest.mark.parametrize("path", [DETECT, MASK])
def test_the_picture_may_be_the_body(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    assert {"image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff"} < set(content)
    assert document["paths"][path]["post"]["requestBody"]["required"] is True


@pytest.mark.parametrize("path", [DETECT, MASK])
def test_every_status_with_its_headers_and_example(document: dict[str, Any], path: str) -> None:
    responses = document["paths"][path]["post"]["responses"]
    assert {"200", "400", "413", "500", "503"} <= set(responses)
    for status, response in responses.items():
        assert set(response["headers"]) >= COMMON_HEADERS
        if status != "200":
            media = response["content"]["application/json"]
            for example in media["examples"].values():
                validate(document, media["schema"], example["value"])
                assert list(example["value"]) == ["detail"]
    assert "Retry-After" in responses["503"]["headers"]


def test_health_can_be_503(document: dict[str, Any], client: httpx.Client) -> None:
    for path in ("/health", "/health/live"):
        for response in document["paths"][path]["get"]["responses"].values():
            assert set(response["headers"]) >= COMMON_HEADERS
    responses = document["paths"]["/health"]["get"]["responses"]
    assert {"200", "503"} <= set(responses)
    media = responses["200"]["content"]["application/json"]
    validate(document, media["schema"], client.get("/health").json())


def test_the_headers_of_mask_are_the_ones_described(document: dict[str, Any], client: httpx.Client) -> None:
    response = document["paths"][MASK]["post"]["responses"]["200"]
    assert set(response["content"]) == {"image/jpeg", "image/png", "image/webp"}
    described = {name.lower() for name in response["headers"]}
    answer = client.post(MASK, files={"image": SMALL})
    ours = ("x-", "ratelimit-", "server-timing")
    sent = {name for name in answer.headers if name.startswith(ours)}
    assert sent <= described
    assert described - sent <= {"x-image-id", "x-job-id"} | {name.lower() for name in COMMON_HEADERS}


def test_the_example_of_detect_is_the_references_and_fits(document: dict[str, Any]) -> None:
    media = document["paths"][DETECT]["post"]["responses"]["200"]["content"]["application/json"]
    (example,) = media["examples"].values()
    validate(document, media["schema"], example["value"])
    assert example["value"]["detections"][0]["bbox"] == {"x1": 100.5, "y1": 200.3, "x2": 300.1, "y2": 400.7}
    assert example["value"]["profiling"]["onnx_runtime_version"] == "1.21.0"


def test_real_answers_fit(document: dict[str, Any], client: httpx.Client, face_png: bytes) -> None:
    media = document["paths"][DETECT]["post"]["responses"]["200"]["content"]["application/json"]
    for picture in (face_png, SMALL):
        found = client.post(DETECT, files={"image": picture}).json()
        validate(document, media["schema"], found)
        (example,) = media["examples"].values()
        for name in ("image", "summary", "processing", "profiling"):
            assert list(found[name]) == list(example["value"][name])
    assert found["detections"] == []


def test_a_schema_refuses_what_is_missing(document: dict[str, Any], client: httpx.Client) -> None:
    media = document["paths"][DETECT]["post"]["responses"]["200"]["content"]["application/json"]
    found = client.post(DETECT, files={"image": SMALL}).json()
    del found["profiling"]["nms_ms"]
    with pytest.raises(jsonschema.ValidationError):
        validate(document, media["schema"], found)


def test_defaults_are_the_settings(start_server: Any) -> None:
    server = start_server(
        CONFIDENCE="0.33", BLUR_METHOD="solid", PADDING="0.5", BLUR_STRENGTH="51", NMS_THRESHOLD="0.6"
    )
    document = json.loads(server.request("GET", "/openapi.json")[2])
    found = {
        parameter["name"]: parameter["schema"].get("default")
        for parameter in document["paths"][MASK]["post"]["parameters"]
    }
    assert found == {
        "confidence": 0.33,
        "nms_threshold": 0.6,
        "max_faces": 0,
        "method": "solid",
        "strength": 51,
        "padding": 0.5,
        "format": "jpeg",
        "quality": 95,
    }
    _, headers, _ = server.request("POST", MASK, SMALL, {"Content-Type": "image/png"})
    assert headers["X-Blur-Method"] == "solid"
    answer = json.loads(server.request("POST", DETECT, SMALL, {"Content-Type": "image/png"})[2])
    assert answer["processing"]["confidence_threshold"] == 0.33
    assert answer["processing"]["nms_threshold"] == 0.6


def test_the_document_names_no_machine(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert str(ROOT) not in text
    assert str(Path.home()) not in text
