"""``face-api mask`` in a process of its own: results, refusals, signals, reports."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.cli import cli_environment, face_api, picture_in, start_face_api
from tests.conftest import StartServer
from tests.faces import face_scene
from tests.pictures import FOREIGN, encoded, jpeg_with_everything, png_bomb
from tests.server import eventually


@pytest.fixture(scope="session")
def faceless_png() -> bytes:
    """A picture without a face."""
    return encoded(face_scene(faces=0), "PNG")


@pytest.fixture
def photos(tmp_path: Path, face_jpeg: bytes, face_png: bytes, faceless_png: bytes) -> Path:
    """A folder with pictures of three formats, one of them without a face, and a file that is none."""
    (tmp_path / "photos/deep/deeper").mkdir(parents=True)
    (tmp_path / "photos/a.jpg").write_bytes(face_jpeg)
    (tmp_path / "photos/deep/b.PNG").write_bytes(face_png)
    (tmp_path / "photos/deep/deeper/c.bmp").write_bytes(encoded(face_scene(), "BMP"))
    (tmp_path / "photos/none.png").write_bytes(faceless_png)
    (tmp_path / "photos/notes.txt").write_text("not a picture")
    return tmp_path / "photos"


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def many(folder: Path, data: bytes, count: int = 400) -> Path:
    """A folder with one picture under many names."""
    folder.mkdir()
    first = folder / "0000.jpg"
    first.write_bytes(data)
    for number in range(1, count):
        os.link(first, folder / f"{number:04}.jpg")
    return folder


def test_a_folder(tmp_path: Path, photos: Path) -> None:
    done = face_api("mask", "photos", "-o", "masked", "--report", "report.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert tree(tmp_path / "masked") == ["a.jpg", "deep/b.PNG", "deep/deeper/c.jpg", "none.png"]
    formats = {name: picture_in(tmp_path / "masked" / name).format for name in tree(tmp_path / "masked")}
    assert formats == {"a.jpg": "JPEG", "deep/b.PNG": "PNG", "deep/deeper/c.jpg": "JPEG", "none.png": "PNG"}
    summary = done.stderr.decode()
    assert "4 pictures masked, 9 faces in " in summary
    assert "; 1 without a face; 1 other file skipped; 0 failed" in summary
    report = lines(tmp_path / "report.jsonl")
    assert [(line["file"], line["output"], line["status"]) for line in report] == [
        ("photos/a.jpg", "masked/a.jpg", "masked"),
        ("photos/none.png", "masked/none.png", "masked"),
        ("photos/deep/b.PNG", "masked/deep/b.PNG", "masked"),
        ("photos/deep/deeper/c.bmp", "masked/deep/deeper/c.jpg", "masked"),
    ]
    assert [line["summary"]["face_count"] for line in report] == [3, 0, 3, 3]
    for line in report:
        assert line["error"] is None
        assert line["profiling"]["output_bytes"] == (tmp_path / line["output"]).stat().st_size
        assert line["profiling"]["mask_ms"] >= 0
        assert len(line["detections"]) == line["summary"]["face_count"]
    assert face_api("detect", "masked", "--quiet", cwd=tmp_path).stdout.count(b'"face_count":0') == 4


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_the_bytes_are_those_of_http(
    tmp_path: Path, start_server: StartServer, face_png: bytes, image_format: str
) -> None:
    # One thread each: sums of several threads may differ in the last bit.
    server = start_server(ORT_THREADS="1", PADDING="0.3")
    options = {
        "method": "pixelate",
        "strength": "17",
        "quality": "80",
        "confidence": "0.4",
        "nms_threshold": "0.3",
        "max_faces": "2",
        "format": image_format,
    }
    with httpx.Client(base_url=server.origin, trust_env=False, timeout=30) as client:
        answer = client.post("/api/v1/mask", files={"image": face_png}, params=options)
    assert answer.headers["x-face-count"] == "2"
    flags = [text for name, value in options.items() for text in ("--" + name.replace("_", "-"), value)]
    done = face_api("mask", "-", "-o", "-", *flags, cwd=tmp_path, stdin=face_png, settings={"PADDING": "0.3"})
    assert done.returncode == 0, done.stderr
    assert done.stdout == answer.content


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_standard_input_keeps_its_format_where_that_can_be_written(tmp_path: Path, source: str) -> None:
    done = face_api("mask", "-", "-o", "-", cwd=tmp_path, stdin=encoded(face_scene(), source))
    assert done.returncode == 0, done.stderr
    written = Image.open(io.BytesIO(done.stdout)).format
    assert written == (source if source in ("JPEG", "PNG", "WEBP") else "JPEG")


def test_metadata_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_with_everything(face_scene()))
    assert face_api("mask", "a.jpg", "-o", "b.jpg", cwd=tmp_path).returncode == 0
    assert b"SECRET" not in (tmp_path / "b.jpg").read_bytes()


def test_what_a_library_says_stays_out_of_standard_output(tmp_path: Path, face_jpeg: bytes) -> None:
    # Bytes within the compressed pixels that the decoder complains about and gets over.
    damaged = bytearray(face_jpeg)
    middle = len(damaged) // 2
    damaged[middle : middle + 40] = bytes(40)
    done = face_api("mask", "-", "-o", "-", cwd=tmp_path, stdin=bytes(damaged))
    assert done.returncode == 0, done.stderr
    picture = Image.open(io.BytesIO(done.stdout))
    picture.load()
    assert done.stdout.startswith(b"\xff\xd8\xff")
    assert done.stdout.endswith(b"\xff\xd9")


def test_patterns_and_several_inputs(tmp_path: Path, photos: Path) -> None:
    done = face_api(
        "mask", "photos/**/*.[bP]*", "photos/a.jpg", "-o", "masked", "--format", "webp", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "masked") == ["a.webp", "deep/b.webp", "deep/deeper/c.webp"]


def test_one_file_by_its_name(tmp_path: Path, photos: Path) -> None:
    assert face_api("mask", "photos/a.jpg", "-o", "new/x.webp", cwd=tmp_path).returncode == 0
    assert picture_in(tmp_path / "new/x.webp").format == "WEBP"


def test_nothing_is_overwritten_without_force(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "masked/deep").mkdir(parents=True)
    kept = tmp_path / "masked/deep/b.PNG"
    kept.write_bytes(b"kept")
    refused = face_api("mask", "photos", "-o", "masked", cwd=tmp_path)
    assert refused.returncode == 2
    assert b"masked/deep/b.PNG exists already; --force overwrites, --resume" in refused.stderr
    assert tree(tmp_path / "masked") == ["deep/b.PNG"]
    resumed = face_api("mask", "photos", "-o", "masked", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0
    assert b"3 pictures masked, 6 faces" in resumed.stderr
    assert b"; 1 there already;" in resumed.stderr
    assert kept.read_bytes() == b"kept"
    assert face_api("mask", "photos", "-o", "masked", "--force", cwd=tmp_path).returncode == 0
    assert picture_in(kept).format == "PNG"
    assert len(tree(tmp_path / "masked")) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photos", "-o", "photos", "--force"], "the output folder photos is an input"),
        (["photos/a.jpg", "-o", "photos/a.jpg", "--force"], "is the input"),
        (["photos/a.jpg", "-o", "photos", "--resume"], "is the input"),
        (["photos", "other/a.jpg", "photos/a.jpg", "-o", "masked"], "would both become masked/a.jpg"),
        (["photos", "-o", "-"], "takes one picture"),
        (["-", "photos", "-o", "masked"], "must be the only input"),
        (["photos", "-o", "masked", "--force", "--resume"], "exclude each other"),
        (["photos", "-o", "masked", "--strength", "0"], "'0': expected an integer from 1 to 999"),
        (["photos", "-o", "masked", "--method", "blur"], "expected one of: "),
        (["photos", "-o", "masked", "--det-size", "33"], "a multiple of 32"),
        (["photos", "-o", "masked", "--jobs", "0"], "expected an integer from 1 to 256"),
        (["photos", "-o", "masked", "--report", "photos/a.jpg"], "exists already"),
        (["photos", "-o", "masked", "--report", "photos/a.jpg", "--force"], "is an input"),
        (["photos", "-o", "masked", "--report", "masked/a.jpg"], "is an output as well"),
        (["photos", "-o", "masked", "--report", "nowhere/report"], "cannot be written: No such file"),
        (["photos"], "Missing option"),
        (["-o", "masked"], "Missing argument"),
    ],
)
def test_refused_before_any_work(
    tmp_path: Path, photos: Path, arguments: list[str], words: str, face_jpeg: bytes
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.jpg").write_bytes(face_jpeg)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = face_api("mask", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_wrong_setting_or_model_is_told_before_any_work(tmp_path: Path, photos: Path) -> None:
    for settings, words in (
        ({"CONFIDENCE": "7"}, b"FACE_API_CONFIDENCE=7: expected a number from 0.01 to 1"),
        ({"MODEL": "scrfd_10g", "MODEL_DIR": "empty"}, b"FACE_API_MODEL=scrfd_10g"),
    ):
        done = face_api("mask", "photos", "-o", "masked", cwd=tmp_path, settings=settings)
        assert done.returncode == 2
        assert words in done.stderr
        assert not (tmp_path / "masked").exists()


def test_failures_are_told_one_by_one_and_the_rest_is_done(
    tmp_path: Path, photos: Path, face_jpeg: bytes
) -> None:
    (photos / "bomb.png").write_bytes(png_bomb())
    (photos / "broken.jpg").write_bytes(face_jpeg[:200])
    (photos / "empty.jpg").touch()
    (photos / "phone.heic").write_bytes(FOREIGN["heic"][1])
    (photos / "large.jpg").write_bytes(face_jpeg + bytes(200_000))
    (photos / "itself.jpg").symlink_to("itself.jpg")
    (photos / "lost.jpg").symlink_to("gone")
    (photos / "circle").symlink_to(".")
    os.mkfifo(photos / "pipe.png")
    (tmp_path / "masked").mkdir()
    # A file where a folder should be.
    (tmp_path / "masked/deep").touch()
    done = face_api(
        "mask",
        "photos",
        "photos/notes.txt",
        "missing.jpg",
        "*.gif",
        "-o",
        "masked",
        "--report",
        "report.jsonl",
        cwd=tmp_path,
        settings={"MAX_IMAGE_BYTES": "150000"},
    )
    # `photos` is one of several inputs, and so keeps its name.
    assert done.returncode == 1
    errors = done.stderr.decode().splitlines()
    assert not any("Traceback" in line or "internal" in line for line in errors)
    told = dict(line.removeprefix("face-api: ").split(": ", 1) for line in errors[:-1])
    expected = {
        "photos/bomb.png": "the maximum is 30000000 pixels",
        "photos/broken.jpg": "",
        "photos/empty.jpg": "empty",
        "photos/phone.heic": "HEIC",
        "photos/large.jpg": "at most 150,000 bytes (FACE_API_MAX_IMAGE_BYTES)",
        "photos/itself.jpg": "symbolic links",
        "photos/lost.jpg": "No such file",
        "photos/pipe.png": "not a regular file",
        "photos/notes.txt": "not a picture of a known format",
        "missing.jpg": "No such file",
        "*.gif": "no file matches",
    }
    for path, words in expected.items():
        assert words in told.pop(path)
    # BMP and PNG of this scene are larger than the limit of this test.
    assert all("FACE_API_MAX_IMAGE_BYTES" in words for words in told.values())
    assert tree(tmp_path / "masked") == ["deep", "photos/a.jpg"]
    report = {line["file"]: line for line in lines(tmp_path / "report.jsonl")}
    assert report["photos/empty.jpg"]["status"] == "failed"
    assert "empty" in report["photos/empty.jpg"]["error"]
    assert report["photos/empty.jpg"]["output"] is None
    assert report["photos/empty.jpg"]["detections"] == []
    assert f"{len(expected) + len(told)} failed" in errors[-1]


def test_a_file_in_the_way_of_a_folder(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "masked").mkdir()
    (tmp_path / "masked/deep").touch()
    done = face_api("mask", "photos", "-o", "masked", cwd=tmp_path)
    assert done.returncode == 1
    assert b"face-api: photos/deep/b.PNG: " in done.stderr
    assert b"; 2 failed" in done.stderr
    assert tree(tmp_path / "masked") == ["a.jpg", "deep", "none.png"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, photos: Path) -> None:
    # A limit on the size of files stands for the disk: writing stops in the middle.
    code = (
        "import resource; from service.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "main(['mask', 'photos', '-o', 'masked'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=cli_environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count(b"File too large") == 4
    assert tree(tmp_path / "masked") == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_files_and_resume_does_the_rest(
    tmp_path: Path, face_jpeg: bytes, number: signal.Signals, code: int
) -> None:
    many(tmp_path / "photos", face_jpeg)
    masked = tmp_path / "masked"
    running = start_face_api("mask", "photos", "-o", "masked", "--report", "report.jsonl", cwd=tmp_path)
    try:
        assert eventually(lambda: masked.is_dir() and any(masked.glob("*.jpg")), 30)
        running.send_signal(number)
        _, errors = running.communicate(timeout=20)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == code
    assert b"Traceback" not in errors
    assert b"; interrupted, " in errors
    done = sorted(masked.iterdir())
    assert 0 < len(done) < 400
    assert {path.suffix for path in done} == {".jpg"}
    whole = done[0].read_bytes()
    assert all(path.read_bytes() == whole for path in done)
    assert picture_in(done[0]).size == (640, 512)
    report = lines(tmp_path / "report.jsonl")
    assert [line["output"] for line in report] == [f"masked/{path.name}" for path in done]

    resumed = face_api("mask", "photos", "-o", "masked", "--report", "report.jsonl", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{400 - len(done)} pictures masked".encode() in resumed.stderr
    assert f"{len(done)} there already".encode() in resumed.stderr
    assert len(list(masked.iterdir())) == 400
    report = lines(tmp_path / "report.jsonl")
    assert sorted(line["output"] for line in report) == [f"masked/{number:04}.jpg" for number in range(400)]


def test_ctrl_c_while_waiting_for_standard_input(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", "mask", "-", "-o", "x.jpg"],
        cwd=tmp_path,
        env=cli_environment() | {"FACE_API_NO_SUCH_NAME": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None
        # The warning comes right before it begins to read.
        assert b"FACE_API_NO_SUCH_NAME" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert b"Traceback" not in running.stderr.read()
    assert os.listdir(tmp_path) == []


def test_progress_at_a_terminal_only(tmp_path: Path, face_jpeg: bytes) -> None:
    many(tmp_path / "photos", face_jpeg, 60)
    ours, theirs = pty.openpty()
    try:
        running = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "mask", "photos", "-o", "masked"],
            cwd=tmp_path,
            env=cli_environment() | {"TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            shown += part
        output, _ = running.communicate(timeout=30)
    finally:
        os.close(ours)
    assert running.returncode == 0
    assert output == b""
    assert b"/60" in shown
    assert b"/s" in shown
    assert b"60 pictures masked" in shown
    again = face_api("mask", "photos", "-o", "masked", "--force", cwd=tmp_path)
    assert b"/60" not in again.stderr
    assert face_api("mask", "photos", "-o", "masked", "--force", "--quiet", cwd=tmp_path).stderr == b""


def test_a_picture_is_not_written_to_a_terminal(tmp_path: Path, face_jpeg: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(face_jpeg)
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", "mask", "a.jpg", "-o", "-"],
            cwd=tmp_path,
            env=cli_environment(),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert b"to the terminal" in done.stderr


def test_an_empty_folder_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = face_api("mask", "photos", "-o", "masked", cwd=tmp_path)
    assert done.returncode == 0
    assert b"0 pictures masked, 0 faces; 0 failed" in done.stderr
