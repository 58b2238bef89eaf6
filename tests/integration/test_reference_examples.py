"""The examples of the API reference, as written there; only host, key and photo are this test's."""

import io
import subprocess
from pathlib import Path

import pytest
import requests
from PIL import Image

from tests.server import Server, multipart

KEY = {"X-API-Key": "xyl_your_api_key_here"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, face_jpeg: bytes) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "photo.jpg").write_bytes(face_jpeg)
    return folder


def curl(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_curl_detect_with_form_fields(server: Server, folder: Path) -> None:
    text = curl(
        folder,
        *("-X", "POST", f"{server.origin}/api/v1/detect"),
        *("-H", "X-API-Key: xyl_your_api_key_here"),
        *("-F", "image=@photo.jpg"),
        *("-F", "confidence=0.6"),
        *("-F", "max_faces=5"),
    )
    assert '"confidence_threshold":0.6' in text


def test_curl_detect_with_query_parameters(server: Server, folder: Path) -> None:
    text = curl(
        folder,
        *("-X", "POST", f"{server.origin}/api/v1/detect?confidence=0.6&max_faces=5"),
        *("-H", "X-API-Key: xyl_your_api_key_here"),
        *("-F", "image=@photo.jpg"),
    )
    assert '"confidence_threshold":0.6' in text


def test_curl_health(server: Server, folder: Path) -> None:
    assert '"status":"ok"' in curl(folder, f"{server.origin}/health")


def test_curl_mask_with_form_fields(server: Server, folder: Path) -> None:
    curl(
        folder,
        *("-X", "POST", f"{server.origin}/api/v1/mask"),
        *("-H", "X-API-Key: xyl_your_api_key_here"),
        *("-F", "image=@photo.jpg"),
        *("-F", "method=pixelate"),
        *("-F", "strength=20"),
        *("-F", "format=png"),
        *("-o", "masked_output.png"),
    )
    assert Image.open(io.BytesIO((folder / "masked_output.png").read_bytes())).format == "PNG"


def test_curl_mask_with_query_parameters(server: Server, folder: Path) -> None:
    curl(
        folder,
        *("-X", "POST", f"{server.origin}/api/v1/mask?method=pixelate&strength=32&format=webp"),
        *("-H", "X-API-Key: xyl_your_api_key_here"),
        *("-F", "image=@photo.jpg"),
        *("-o", "masked.webp"),
    )
    assert Image.open(io.BytesIO((folder / "masked.webp").read_bytes())).format == "WEBP"


def test_the_line_printed_at_start(server: Server, folder: Path) -> None:
    line = next(line for line in server.stdout.splitlines() if "curl" in line)
    curl(folder, *line.split("curl ")[1].split())
    assert Image.open(io.BytesIO((folder / "masked.jpg").read_bytes())).size == (640, 512)


def test_requests_detect(server: Server, folder: Path) -> None:
    with (folder / "photo.jpg").open("rb") as photo:
        response = requests.post(
            f"{server.origin}/api/v1/detect",
            headers=KEY,
            files={"image": photo},
            params={"confidence": 0.6, "max_faces": 5},
            timeout=30,
        )
    data = response.json()
    assert data["summary"]["face_count"] == len(data["detections"]) == 3
    for face in data["detections"]:
        bbox = face["bbox"]
        assert (
            f"  Face #{face['index']}: confidence={face['confidence']:.4f}, "
            f"bbox=({bbox['x1']:.0f},{bbox['y1']:.0f})-({bbox['x2']:.0f},{bbox['y2']:.0f})"
        )


def test_requests_with_bytes_and_a_name(server: Server, face_jpeg: bytes) -> None:
    response = requests.post(
        f"{server.origin}/api/v1/detect",
        headers=KEY,
        files={"image": ("photo.jpg", face_jpeg, "image/jpeg")},
        timeout=30,
    )
    assert response.json()["summary"]["face_count"] == 3


def test_requests_mask(server: Server, folder: Path) -> None:
    params: dict[str, str | int] = {"method": "gaussian", "strength": 99, "format": "jpeg", "quality": 90}
    with (folder / "photo.jpg").open("rb") as photo:
        response = requests.post(
            f"{server.origin}/api/v1/mask",
            headers=KEY,
            files={"image": photo},
            params=params,
            timeout=30,
        )
    assert Image.open(io.BytesIO(response.content)).format == "JPEG"
    assert response.headers.get("X-Face-Count") == "3"
    assert float(response.headers["X-Total-Ms"]) > 0


def test_requests_mask_in_memory(server: Server, face_jpeg: bytes) -> None:
    params: dict[str, str | float] = {"method": "elliptical", "padding": 0.3}
    response = requests.post(
        f"{server.origin}/api/v1/mask",
        headers=KEY,
        files={"image": ("image.jpg", face_jpeg, "image/jpeg")},
        params=params,
        timeout=30,
    )
    assert Image.open(io.BytesIO(response.content)).size == (640, 512)


def test_a_form_as_a_browser_writes_it(server: Server, face_jpeg: bytes) -> None:
    body, headers = multipart(
        [("image", "photo.jpg", "image/jpeg", face_jpeg)], "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    )
    status, answer_headers, _ = server.request(
        "POST", "/api/v1/mask?method=pixelate&strength=15", body, {**headers, **KEY}
    )
    assert (status, answer_headers["X-Face-Count"]) == (200, "3")


@pytest.mark.parametrize("path", ["/api/v1/detect?confidence=0.6", "/api/v1/mask?method=gaussian"])
def test_a_form_as_the_c_sharp_client_writes_it(server: Server, face_jpeg: bytes, path: str) -> None:
    boundary = "b1f8e9c2-0f0e-4a4c-9a27-2b2a8c0e7c11"
    disposition = "form-data; name=image; filename=photo.jpg; filename*=utf-8''photo.jpg"
    body = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + face_jpeg
    body += f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f'multipart/form-data; boundary="{boundary}"', **KEY}
    assert server.request("POST", path, body, headers)[0] == 200
