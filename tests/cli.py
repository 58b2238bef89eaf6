"""``face-api`` as a user runs it: in a process of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from tests.server import ROOT

__all__ = ["cli_environment", "face_api", "picture_in", "start_face_api"]

_SECONDS = 60.0


def cli_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without any FACE_API_* variable, then the settings; wide enough for messages of one line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}
    given = {f"FACE_API_{name}": value for name, value in (settings or {}).items()}
    # What a trial on this machine would choose is a matter of tests of its own.
    environment["FACE_API_EXECUTION_PROVIDER"] = "cpu"
    return environment | {"COLUMNS": "200", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | given


def face_api(
    *arguments: str | Path,
    cwd: Path,
    stdin: bytes = b"",
    settings: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end.

    Args:
        arguments: Command and options.
        cwd: Where it runs.
        stdin: What it reads.
        settings: FACE_API_* settings, without the prefix.
    """
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(str, arguments)],
        cwd=cwd,
        env=cli_environment(settings),
        input=stdin,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )


def start_face_api(*arguments: str | Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a command; the caller waits for it and closes it."""
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli", *map(str, arguments)],
        cwd=cwd,
        env=cli_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def picture_in(path: Path) -> Image.Image:
    """Open a picture without keeping its file open."""
    return Image.open(io.BytesIO(path.read_bytes()))
