"""Reads the Containerfile and does its steps under a folder that stands for the root of the image."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from dockerfile_parse import DockerfileParser

from tests.server import ROOT

__all__ = ["Instruction", "context", "copy", "environment", "ignored", "run", "stages", "words"]


class Instruction(NamedTuple):
    """One instruction, its continued lines joined."""

    name: str
    value: str


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, FROM first."""
    parser = DockerfileParser(fileobj=BytesIO((ROOT / "Containerfile").read_bytes()))
    found: list[list[Instruction]] = []
    for step in parser.structure:
        if step["instruction"] == "FROM":
            found.append([])
        if step["instruction"] != "COMMENT":
            found[-1].append(Instruction(step["instruction"], step["value"]))
    return found


def words(stage: list[Instruction], name: str) -> list[str]:
    """The one instruction of that name as a list: JSON form or words."""
    (value,) = (step.value for step in stage if step.name == name)
    command: list[str] = json.loads(value) if value.startswith("[") else shlex.split(value)
    return command


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What ENV sets, as written."""
    pairs = (word.partition("=") for step in stage if step.name == "ENV" for word in shlex.split(step.value))
    return {name: value for name, _, value in pairs}


def context() -> list[str]:
    """What git has or would take: paths from the root of the repository."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return sorted(name for name in set(names) if name and (ROOT / name).is_file())


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether an engine leaves a file out of the build context: the last pattern that fits decides."""
    out = False
    for pattern in patterns:
        if pattern and not pattern.startswith("#") and _regex(pattern.removeprefix("!")).match(path):
            out = not pattern.startswith("!")
    return out


def _regex(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\[", "[").replace(r"\]", "]")
    text = text.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.compile(rf"{text}(?:/.*)?\Z")


def copy(step: Instruction, checkout: Path, root: Path, folder: Path) -> None:
    """Do a COPY from the build context.

    Args:
        step: The instruction.
        checkout: The build context.
        root: What stands for the root of the image.
        folder: The working directory, under `root`.
    """
    *sources, target = shlex.split(step.value)
    goal = (root / target.lstrip("/")) if target.startswith("/") else folder / target
    for source in sources:
        if (checkout / source).is_file():
            place = goal / Path(source).name if target.endswith("/") else goal
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / source, place)
        else:
            shutil.copytree(checkout / source, goal, dirs_exist_ok=True)


def run(step: Instruction, root: Path, folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """Do a RUN, absolute paths put under `root`; what needs the distribution (apt-get, useradd) is left out.

    Yields:
        Each command before it runs.

    Raises:
        AssertionError: A command failed.
    """
    for command in step.value.split("&&"):
        program, *arguments = shlex.split(command)
        if program != "sh":
            continue
        yield command.strip()
        arguments = [str(root) + word if word.startswith("/") else word for word in arguments]
        options: dict[str, Any] = {"cwd": folder, "env": environ, "stdin": subprocess.DEVNULL, "text": True}
        done = subprocess.run([program, *arguments], **options, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
