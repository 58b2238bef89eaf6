"""The image without an engine: the Containerfile's steps, done once for all tests."""

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.container import steps
from tests.server import ROOT

# All that the first stage may use: what the base image has, and the compiler that is installed there.
TOOLS = ("sh", "dirname", "rm", "env", "uname", "gcc", "as", "ld")

# How packages are reached is the machine's business.
PASSED_ON = (
    "PIP_",
    "NPM_CONFIG_",
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "HOME",
    "NODE_EXTRA_CA",
)


class Image(NamedTuple):
    """What the steps made.

    Attributes:
        checkout: All that git has, as it was when the steps began.
        root: What stands for the root of the image.
        source: The bare source folder.
        wheel: The wheel.
        prefix: The environment that it is installed in.
        commands: The RUN commands that were run.
    """

    checkout: Path
    root: Path
    source: Path
    wheel: Path
    prefix: Path
    commands: list[str]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Do the first stage in a bare folder, and the copies of the second."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: the build context cannot be listed")
    checkout = tmp_path_factory.mktemp("checkout")
    for name in steps.context():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    root = tmp_path_factory.mktemp("image")
    tools = tmp_path_factory.mktemp("tools")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, f"{tool}: needed to build"
        (tools / tool).symlink_to(Path(found).resolve() if tool == "gcc" else found)
    interpreter = tools / "python3"
    interpreter.write_text(f'#!/bin/sh\nexec {Path(sys._base_executable).resolve()} "$@"\n')  # type: ignore[attr-defined]  # what a venv is made from; unknown to typeshed
    interpreter.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)}
    environ["PATH"] = str(tools)

    build, final = steps.stages()
    folder = root
    commands: list[str] = []
    for step in build:
        if step.name == "WORKDIR":
            folder = root / step.value.lstrip("/")
            folder.mkdir()
        elif step.name == "COPY":
            steps.copy(step, checkout, root, folder)
        elif step.name == "RUN":
            commands += steps.run(step, root, folder, environ)
    for step in final:
        if step.name == "COPY" and not step.value.startswith("--from="):
            steps.copy(step, checkout, root, root)
    (wheel,) = (root / "wheels").glob("*.whl")
    return Image(checkout, root, folder, wheel, root / "opt" / "face-api", commands)
