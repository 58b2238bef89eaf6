"""Health endpoints."""

import httpx
import pytest

from service.detection.detector import automatic_threads
from service.settings import Settings


def test_health_has_the_fields_of_the_reference(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "status": "ok",
        "model": Settings().model,
        "model_loaded": True,
        "input_size": [640, 640],
        "supports_landmarks": True,
        "storage_enabled": False,
        "execution": {
            "provider": "cpu",
            "precision": "f32",
            "threads": automatic_threads(0, Settings().max_concurrent_inference, 1),
            "reason": "FACE_API_EXECUTION_PROVIDER=cpu",
            "trials": [],
        },
    }


def test_live_says_that_the_process_runs(client: httpx.Client) -> None:
    answer = client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/openapi.json", "/docs"])
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    full, head = client.get(path), client.head(path)
    assert head.status_code == full.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(full.content))
    assert client.head("/nowhere").status_code == 404
    assert client.head("/api/v1/mask").status_code == 405
