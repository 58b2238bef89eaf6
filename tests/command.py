"""``face-api`` in a process of its own, as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.server import ROOT

__all__ = ["command_environment", "face_api", "start_face_api"]


def command_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our environment without any FACE_API_* variable or proxy, then the settings (without the prefix)."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FACE_API_") and not name.lower().endswith("_proxy")
    }
    # What a trial on this machine would choose is a matter of tests of its own.
    kept |= {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "FACE_API_EXECUTION_PROVIDER": "cpu"}
    return kept | {f"FACE_API_{name}": value for name, value in settings.items()}


def start_face_api(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: Any = subprocess.DEVNULL,
) -> "subprocess.Popen[str]":
    """Start a command in `folder`, with settings (without the prefix) and other variables."""
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli", *arguments],
        cwd=folder,
        env={**command_environment(settings or {}), **(environment or {})},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def face_api(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None, stdin: Any = subprocess.DEVNULL
) -> "subprocess.CompletedProcess[str]":
    """Run a command in `folder` to its end."""
    process = start_face_api(folder, *arguments, settings=settings, stdin=stdin)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
