"""``face-api detect`` in a process of its own: JSON, tables, drawings."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli import cli_environment, face_api, picture_in
from tests.conftest import StartServer
from tests.faces import face_scene
from tests.pictures import encoded, oriented


@pytest.fixture
def photos(tmp_path: Path, face_jpeg: bytes, face_png: bytes) -> Path:
    """Two pictures, one of them in a folder."""
    (tmp_path / "photos/deep").mkdir(parents=True)
    (tmp_path / "photos/a.jpg").write_bytes(face_jpeg)
    (tmp_path / "photos/deep/b.png").write_bytes(face_png)
    return tmp_path / "photos"


def documents(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_the_document_is_that_of_http(tmp_path: Path, photos: Path, start_server: StartServer) -> None:
    server = start_server(ORT_THREADS="1")
    options = "confidence=0.3&nms_threshold=0.5&max_faces=2"
    headers = {"Content-Type": "image/jpeg"}
    picture = (photos / "a.jpg").read_bytes()
    status, _, body = server.request("POST", f"/api/v1/detect?{options}", picture, headers)
    assert status == 200
    expected = json.loads(body)
    flags = ("--confidence", "0.3", "--nms-threshold", "0.5", "--max-faces", "2")
    done = face_api("detect", "photos/a.jpg", "--json", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = documents(done.stdout)
    assert found.pop("file") == "photos/a.jpg"
    assert list(found) == list(expected)
    for part in ("image_id", "job_id", "image", "detections", "summary"):
        assert found[part] == expected[part]
    assert set(found["profiling"]) == set(expected["profiling"])
    assert found["processing"]["confidence_threshold"] == 0.3
    assert found["processing"]["nms_threshold"] == 0.5


def test_one_line_for_each_picture_in_order(tmp_path: Path, photos: Path) -> None:
    (photos / "a2.jpg").write_bytes(b"no picture")
    done = face_api("detect", "photos", cwd=tmp_path)
    assert done.returncode == 1
    found = documents(done.stdout)
    assert [document["file"] for document in found] == ["photos/a.jpg", "photos/a2.jpg", "photos/deep/b.png"]
    assert list(found[1]) == ["file", "detail"]
    assert "not a picture" in found[1]["detail"]
    assert b"face-api: photos/a2.jpg: " in done.stderr
    assert b"2 pictures searched, 6 faces" in done.stderr


def test_a_name_that_is_no_text(tmp_path: Path, face_jpeg: bytes) -> None:
    name = os.fsdecode(b"\xff\x1b[1m.jpg")
    try:
        (tmp_path / name).write_bytes(face_jpeg)
    except OSError:
        pytest.skip("this file system holds no names that are not UTF-8")
    done = face_api("detect", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert documents(done.stdout)[0]["file"] == "./\ufffd\x1b[1m.jpg"
    table = face_api("detect", ".", "--table", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert b"./\\xff\\x1b[1m.jpg: 640 x 512 px" in table.stdout


def test_standard_input(tmp_path: Path, face_jpeg: bytes) -> None:
    done = face_api("detect", "-", "-q", cwd=tmp_path, stdin=face_jpeg)
    assert done.returncode == 0
    assert documents(done.stdout)[0]["file"] == "-"
    assert done.stderr == b""
    nothing = face_api("detect", "-", cwd=tmp_path)
    assert nothing.returncode == 1
    assert "empty" in documents(nothing.stdout)[0]["detail"]
    large = face_api("detect", "-", cwd=tmp_path, stdin=face_jpeg, settings={"MAX_IMAGE_BYTES": "2000"})
    assert "at most 2,000 bytes" in documents(large.stdout)[0]["detail"]


def test_the_detector_input_can_be_chosen(tmp_path: Path, photos: Path) -> None:
    done = face_api("detect", "photos/a.jpg", "--det-size", "320", cwd=tmp_path, settings={"DET_SIZE": "640"})
    assert documents(done.stdout)[0]["processing"]["input_size"] == [320, 320]


def test_a_table(tmp_path: Path, photos: Path) -> None:
    done = face_api("detect", "photos/a.jpg", "--table", cwd=tmp_path)
    assert done.returncode == 0
    title, head, *rows = done.stdout.decode().splitlines()
    assert title.startswith("photos/a.jpg: 640 x 512 px, 3 faces, ")
    assert head.split() == ["#", "confidence", "x1", "y1", "x2", "y2", "width", "height"]
    (document,) = documents(face_api("detect", "photos/a.jpg", cwd=tmp_path).stdout)
    for row, face in zip(rows, document["detections"], strict=True):
        cells = [float(cell) for cell in row.split()]
        assert cells == [face["index"], face["confidence"], *face["bbox"].values(), *face["size"].values()]


def test_a_table_is_the_default_at_a_terminal(tmp_path: Path, photos: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", "detect", "photos/a.jpg"],
            cwd=tmp_path,
            env=cli_environment(),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
        shown = os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0
    assert b"3 faces" in shown
    assert b"confidence" in shown


def test_a_drawing(tmp_path: Path, photos: Path, face_png: bytes) -> None:
    done = face_api("detect", "photos/deep/b.png", "--draw", "drawn.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (document,) = documents(done.stdout)
    drawn = np.asarray(picture_in(tmp_path / "drawn.png").convert("RGB"))
    original = np.asarray(Image.open(io.BytesIO(face_png)).convert("RGB"))
    assert drawn.shape == original.shape
    for face in document["detections"]:
        x, y = round(face["bbox"]["x1"]), round((face["bbox"]["y1"] + face["bbox"]["y2"]) / 2)
        assert tuple(drawn[y, x]) == (60, 220, 80)
        nose = face["landmarks"]["nose"]
        red, green, _ = drawn[round(nose["y"]), round(nose["x"])].astype(int)
        assert red - green > 100
    changed = (drawn != original).any(axis=2).mean()
    assert 0.005 < changed < 0.1


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_a_drawing_is_upright(tmp_path: Path, image_format: str) -> None:
    (tmp_path / "a").write_bytes(oriented(image_format, 6))
    assert face_api("detect", "a", "--draw", "b", cwd=tmp_path).returncode == 0
    upright, stored = picture_in(tmp_path / "b"), picture_in(tmp_path / "a")
    assert upright.format == stored.format
    assert upright.size == stored.size[::-1]


def test_drawings_of_several_pictures(tmp_path: Path, photos: Path) -> None:
    alpha = np.full((512, 640, 1), 128, np.uint8)
    (photos / "clear.png").write_bytes(encoded(np.dstack([face_scene(), alpha]), "PNG"))
    arguments = ("detect", "photos", "--draw", "drawn")
    assert face_api(*arguments, cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "drawn").rglob("*.*")) == ["a.jpg", "b.png", "clear.png"]
    assert picture_in(tmp_path / "drawn/clear.png").mode == "RGBA"
    refused = face_api(*arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert b"--draw: drawn/a.jpg, drawn/clear.png, drawn/deep/b.png exist already; --force" in refused.stderr
    assert face_api(*arguments, "--force", cwd=tmp_path).returncode == 0
    onto_itself = face_api("detect", "photos/a.jpg", "--draw", "photos/a.jpg", "--force", cwd=tmp_path)
    assert onto_itself.returncode == 2
    to_standard_output = face_api("detect", "photos/a.jpg", "--draw", "-", cwd=tmp_path)
    assert to_standard_output.returncode == 2


def test_a_reader_that_has_had_enough(tmp_path: Path, photos: Path) -> None:
    for number in range(50):
        os.link(photos / "a.jpg", photos / f"{number}.jpg")
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", "detect", "photos"],
        cwd=tmp_path,
        env=cli_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(30) == 1
        assert running.stderr.read() == b""


def test_the_help_is_quick_since_it_loads_no_library(tmp_path: Path) -> None:
    code = "import sys, service.cli; print(sorted({'cv2', 'onnxruntime', 'litestar', 'numpy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=cli_environment(),
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == b"[]\n"
    assert b"mask" in face_api("--help", cwd=tmp_path).stdout
