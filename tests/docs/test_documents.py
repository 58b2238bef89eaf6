"""The documents agree with the code, with each other and with the files that they name."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from service.detection.registry import REGISTRY
from service.handlers.openapi import MASK_HEADERS
from service.schemas.parameters import MaskParameters
from service.settings import Settings, variable_name
from tests.docs.examples import DOCUMENTS, ROOT

EXISTING = [path for path in DOCUMENTS if path.exists()]


def ids(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", EXISTING, ids=ids)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


@pytest.mark.parametrize("path", EXISTING, ids=ids)
def test_variables_exist(path: Path) -> None:
    known = {variable_name(field) for field in get_type_hints(Settings)}
    named = set(re.findall(r"\bFACE_API_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    assert named - known <= {"FACE_API"}, f"{path.name} names unknown variables"


@pytest.mark.parametrize("name", ["README.md", "docs/api.md", "README.ko.md", "docs/api.ko.md"])
def test_every_parameter_is_documented(name: str) -> None:
    text = (ROOT / name).read_text()
    for field in get_type_hints(MaskParameters):
        assert f"`{field}`" in text, f"{name} lacks {field}"
    for method in get_args(get_type_hints(MaskParameters)["method"]):
        assert method in text


@pytest.mark.parametrize("name", ["docs/api.md", "docs/api.ko.md"])
def test_every_answer_header_is_documented(name: str) -> None:
    text = (ROOT / name).read_text()
    for header in MASK_HEADERS:
        assert f"`{header}`" in text, f"{name} lacks {header}"


def test_every_model_is_documented() -> None:
    text = (ROOT / "docs/models.md").read_text()
    for entry in REGISTRY.values():
        assert entry.licence in text
        for word in (entry.name, *entry.file_names):
            assert f"`{word}`" in text, f"docs/models.md lacks {word}"
