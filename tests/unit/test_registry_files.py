"""The registry's own sense, and which weights a file holds."""

import hashlib
import re
from pathlib import Path

import pytest

from service.detection.files import check_file, digest_warning, sha256_of
from service.detection.registry import REGISTRY, ModelFile, find_model, own_files, resolve_model
from service.errors import ModelError
from service.settings import Settings


def test_every_digest_is_one_and_belongs_to_one_model() -> None:
    digests = [digest for entry in REGISTRY.values() for digest in entry.sha256]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)


def test_every_file_name_belongs_to_one_model() -> None:
    names = [name for entry in REGISTRY.values() for name in entry.file_names]
    assert len(set(names)) == len(names)
    for entry in REGISTRY.values():
        assert entry.file_names[0] == f"{entry.name}.onnx"
        assert entry.archive is None or entry.archive.member in entry.file_names
        assert entry.bundled is (entry.archive is None)


def test_the_bundled_model_is_the_one_in_the_registry() -> None:
    entry = REGISTRY[Settings().model]
    path = find_model(entry, Path("nowhere"))
    assert path is not None
    assert sha256_of(path) == entry.sha256[0]
    assert path.stat().st_size == entry.size_bytes
    assert digest_warning(ModelFile(entry.name, path, entry)) is None


def test_a_missing_model_that_can_be_pulled_says_how(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"run `face-api models pull scrfd_10g`, or put the file there"):
        resolve_model("scrfd_10g", tmp_path)


def test_an_unknown_file_is_a_warning_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "det_10g.onnx"
    path.write_bytes(b"\x08 mine")
    digest = hashlib.sha256(b"\x08 mine").hexdigest()
    warning = digest_warning(resolve_model("scrfd_10g", tmp_path))
    assert warning == f"{path} is not a file that we know (SHA-256 {digest})"


def test_one_model_under_the_name_of_another(tmp_path: Path) -> None:
    bundled = find_model(REGISTRY["scrfd_free"], tmp_path)
    assert bundled is not None
    path = tmp_path / "scrfd_10g.onnx"
    path.write_bytes(bundled.read_bytes())
    check = check_file(path, REGISTRY["scrfd_10g"])
    assert (check.verdict, check.model) == ("other", "scrfd_free")
    assert "holds scrfd_free, not scrfd_10g" in (digest_warning(resolve_model("scrfd_10g", tmp_path)) or "")


def test_files_of_the_users_own(tmp_path: Path) -> None:
    for name in ("b.onnx", "a.onnx", "det_10g.onnx", "scrfd_10g.part", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.onnx").mkdir()
    assert [path.name for path in own_files(tmp_path)] == ["a.onnx", "b.onnx"]
    assert own_files(tmp_path / "missing") == []


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        check_file(tmp_path / "gone.onnx", None)
