"""The documents' shell and Python examples run as they are written; only the address is replaced."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.examples import Example, examples
from tests.server import Server

DOCUMENTED_ORIGIN = "http://127.0.0.1:8000"

ADMIN = "admin:a password for the documents"

# Targets that build the tree itself; the whole suite runs on what they make.
MAKE_TARGETS = {"serve", "test", "install", "lint", "format", "bench", "sanitize", "clean"}


def runnable(*languages: str) -> list[Example]:
    return [
        example for example in examples(*languages) if example.not_run is None and not is_make(example.code)
    ]


def is_make(code: str) -> bool:
    lines = [line.split("#")[0].split() for line in code.strip().splitlines()]
    return all(len(words) >= 2 and words[0] == "make" and words[1] in MAKE_TARGETS for words in lines)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose admin the examples know."""
    user, password = ADMIN.split(":")
    with Server(
        tmp_path_factory.mktemp("documents"),
        {"ADMIN_USER": user, "ADMIN_PASSWORD": password, "STORAGE_ENABLED": "true"},
    ) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, face_jpeg: bytes) -> Path:
    """A folder as the documents assume it: a photograph, and a folder with some."""
    (tmp_path / "photo.jpg").write_bytes(face_jpeg)
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(face_jpeg)
    return tmp_path


def run(command: list[str], code: str, folder: Path, server: Server) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "API_KEY": "xyl_example",
        "ADMIN": ADMIN,
        "FACE_API_DATA_DIR": str(folder / "data"),
    }
    return subprocess.run(
        command,
        input=code.replace(DOCUMENTED_ORIGIN, server.origin),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("example", runnable("sh"), ids=str)
def test_shell_example(example: Example, folder: Path, service: Server) -> None:
    assert shutil.which("curl")
    # Every curl fails on an HTTP error, as a reader would notice it.
    done = run(
        ["sh", "-eu"], 'curl() { command curl --fail-with-body -sS "$@"; }\n' + example.code, folder, service
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", runnable("python"), ids=str)
def test_python_example(example: Example, folder: Path, service: Server) -> None:
    done = run([sys.executable, "-W", "error", "-"], example.code, folder, service)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("example", examples("json"), ids=str)
def test_json_example_is_json(example: Example) -> None:
    json.loads(example.code)


def test_there_are_examples() -> None:
    assert len(runnable("sh")) >= 5
    assert len(runnable("python")) >= 3
