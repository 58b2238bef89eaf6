"""``face-api models`` as a user runs it, with a mirror on the loopback address."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.detection.registry import BUNDLED_DIR, REGISTRY
from tests.command import face_api, start_face_api
from tests.model_server import ModelServer
from tests.server import ROOT, eventually

# Weights of nobody: what matters is that they travel whole.
WEIGHTS = b"\x08" + os.urandom(400_000)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
SHARED = Path(os.environ.get("FACE_API_TEST_SHARED", str(ROOT.parent / "shared"))) / "models"


def archive(content: bytes, member: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(member, content)
    return buffer.getvalue()


@pytest.fixture
def mirror() -> Iterator[ModelServer]:
    with ModelServer(archive(WEIGHTS, "det_500m.onnx")) as server:
        yield server


def settings(mirror: ModelServer) -> dict[str, str]:
    return {"MODEL_URL_BASE": f"{mirror.origin}/v1/"}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models").iterdir())


def test_list(tmp_path: Path) -> None:
    result = face_api(tmp_path, "models", "list")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert any("*" in line and "scrfd_free" in line and "Apache-2.0" in line for line in lines)
    assert any("scrfd_10g" in line and " no " in line and "16.9 MB" in line for line in lines)


def test_list_as_json_with_a_file_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.onnx").write_bytes(WEIGHTS)
    result = face_api(tmp_path, "models", "list", "--json", settings={"MODEL": "mine"})
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert set(rows) == {*REGISTRY, "mine"}
    assert rows["mine"] | {"file": "", "in_use": True} == rows["mine"] | {"file": "", "commercial_use": None}
    assert rows["scrfd_10g"]["file"] is None
    assert rows["scrfd_10g"]["commercial_use"] is False
    assert all(set(row) == set(rows["mine"]) for row in rows.values())


def test_list_loads_neither_runtime_nor_opencv(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", "import sys, service.cli; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(process.stdout.split())
    assert loaded.isdisjoint({"onnxruntime", "cv2", "granian", "litestar"})


def test_info(tmp_path: Path) -> None:
    result = face_api(tmp_path, "models", "info", "scrfd_2.5g")
    assert result.returncode == 0
    for part in ("buffalo_m.zip", "non-commercial", "det_2.5g.onnx", *REGISTRY["scrfd_2.5g"].sha256):
        assert part in result.stdout
    facts = json.loads(face_api(tmp_path, "models", "info", "scrfd_2.5g", "--json").stdout)
    assert facts["archive_bytes"] > facts["size_bytes"] > 0


@pytest.mark.parametrize("command", ["info", "pull"])
def test_a_misspelt_name(tmp_path: Path, command: str) -> None:
    result = face_api(tmp_path, "models", command, "scrfd_10")
    assert result.returncode == 1
    assert result.stderr.endswith("did you mean scrfd_10g?\n")


def test_verify(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    result = face_api(tmp_path, "models", "verify", "--json")
    assert result.returncode == 0
    assert [row["verdict"] for row in json.loads(result.stdout)] == ["ok"]

    bundled = BUNDLED_DIR / "scrfd_free.onnx"
    changed = bundled.read_bytes() + b"\x72\x00"  # an empty metadata entry: other bytes, the same weights
    (folder / "mine.onnx").write_bytes(changed)
    result = face_api(tmp_path, "models", "verify", "--json")
    assert result.returncode == 0
    row = json.loads(result.stdout)[1]
    assert row["verdict"] == "unknown"
    assert row["sha256"] == hashlib.sha256(changed).hexdigest()

    shutil.copy(bundled, folder / "det_10g.onnx")
    (folder / "det_500m.onnx").write_bytes(bundled.read_bytes()[:-1000])
    result = face_api(tmp_path, "models", "verify", "--json")
    assert result.returncode == 1
    assert [row["verdict"] for row in json.loads(result.stdout)] == ["ok", "other", "corrupt", "unknown"]
    result = face_api(tmp_path, "models", "verify")
    assert result.returncode == 1
    assert "holds scrfd_free, not what its name says" in result.stdout


def test_the_licence_must_be_accepted(tmp_path: Path, mirror: ModelServer) -> None:
    result = face_api(tmp_path, "models", "pull", "scrfd_500m", settings=settings(mirror))
    assert result.returncode == 1
    assert "non-commercial research only" in result.stderr
    assert result.stderr.endswith("face-api: scrfd_500m: the licence must be accepted: --accept-licence\n")
    assert mirror.requests == []
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("typed", "code"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
def test_the_licence_is_asked_for_at_a_terminal(
    tmp_path: Path, mirror: ModelServer, typed: bytes, code: int
) -> None:
    ours, theirs = os.openpty()
    try:
        os.write(ours, typed)
        result = face_api(
            tmp_path,
            *("models", "pull", "scrfd_500m", "--accept-digest", DIGEST),
            settings=settings(mirror),
            stdin=theirs,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert result.returncode == code, result.stderr
    assert "Do you accept it?" in result.stderr
    assert len(mirror.requests) == 1 - code


def test_an_unknown_digest_is_refused_and_can_be_accepted(tmp_path: Path, mirror: ModelServer) -> None:
    arguments = ("models", "pull", "scrfd_500m", "--accept-licence")
    result = face_api(tmp_path, *arguments, settings=settings(mirror))
    assert result.returncode == 1
    assert f"SHA-256 {DIGEST}" in result.stderr.splitlines()[-1]
    assert names(tmp_path) == []

    result = face_api(tmp_path, *arguments, "--accept-digest", DIGEST, settings=settings(mirror))
    assert result.returncode == 0, result.stderr
    assert f"SHA-256 {DIGEST}" in result.stdout
    assert "FACE_API_MODEL=scrfd_500m" in result.stdout
    assert names(tmp_path) == ["scrfd_500m.onnx"]
    assert (tmp_path / "models" / "scrfd_500m.onnx").read_bytes() == WEIGHTS

    result = face_api(tmp_path, *arguments, "--accept-digest", "abc", settings=settings(mirror))
    assert result.returncode == 1
    assert "64 hexadecimal digits" in result.stderr


def test_a_known_file_is_pulled_and_is_not_pulled_twice(tmp_path: Path, mirror: ModelServer) -> None:
    source = SHARED / "scrfd_500m.onnx"
    if not source.is_file():
        pytest.skip("needs scrfd_500m.onnx in FACE_API_TEST_SHARED/models")
    mirror.content = archive(source.read_bytes(), "det_500m.onnx")
    arguments = ("models", "pull", "scrfd_500m", "--accept-licence")
    result = face_api(tmp_path, *arguments, settings=settings(mirror))
    assert result.returncode == 0, result.stderr
    result = face_api(tmp_path, *arguments, settings=settings(mirror))
    assert result.returncode == 0
    assert "nothing to do" in result.stdout
    assert len(mirror.requests) == 1


def test_ctrl_c_and_on_again(tmp_path: Path, mirror: ModelServer) -> None:
    arguments = ("models", "pull", "scrfd_500m", "--accept-licence", "--accept-digest", DIGEST)
    mirror.replies = [ModelServer.stalled_after(150_000)]
    process = start_face_api(tmp_path, *arguments, settings=settings(mirror))
    part = tmp_path / "models" / "scrfd_500m.part"
    assert eventually(lambda: part.is_file() and part.stat().st_size == 150_000, 30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("face-api: scrfd_500m: stopped; 0.1 MB are kept in")
    assert "Traceback" not in err
    result = face_api(tmp_path, *arguments, settings=settings(mirror))
    assert result.returncode == 0, result.stderr
    assert mirror.requests == [None, "bytes=150000-"]
    assert names(tmp_path) == ["scrfd_500m.onnx"]


def test_a_url_of_ones_own(tmp_path: Path, mirror: ModelServer) -> None:
    mirror.content = WEIGHTS
    result = face_api(
        tmp_path,
        *("models", "pull", "scrfd_2.5g", "--accept-licence", "--accept-digest", DIGEST),
        *("--url", f"{mirror.origin}/any.onnx"),
    )
    assert result.returncode == 0, result.stderr
    assert names(tmp_path) == ["scrfd_2.5g.onnx"]


def test_the_bundled_model_needs_no_pull(tmp_path: Path) -> None:
    result = face_api(tmp_path, "models", "pull", "scrfd_free")
    assert result.returncode == 0
    assert "comes with the service" in result.stdout
