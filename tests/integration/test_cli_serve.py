"""What ``face-api serve`` does beside serving."""

import shutil
from pathlib import Path

from service.detection.registry import BUNDLED_DIR, REGISTRY
from tests.command import start_face_api
from tests.conftest import StartServer
from tests.server import eventually, free_port


def test_open_starts_the_browser_once_ready(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}.new\nmv {seen}.new {seen}\n')
    browser.chmod(0o755)
    port = free_port()
    process = start_face_api(
        tmp_path, "serve", "--port", str(port), "--open", settings={}, environment={"BROWSER": str(browser)}
    )
    try:
        assert eventually(seen.exists, 30)
        assert seen.read_text() == f"http://127.0.0.1:{port}/admin"
    finally:
        process.terminate()
        process.communicate(timeout=40)


def test_an_unknown_model_file_is_a_warning_at_the_start(start_server: StartServer, tmp_path: Path) -> None:
    shutil.copy(BUNDLED_DIR / "scrfd_free.onnx", tmp_path / "det_500m.onnx")
    server = start_server(MODEL="scrfd_500m", MODEL_DIR=str(tmp_path))
    digest = REGISTRY["scrfd_free"].sha256[0]
    assert f"holds scrfd_free, not scrfd_500m (SHA-256 {digest[:8]}" in server.stdout
