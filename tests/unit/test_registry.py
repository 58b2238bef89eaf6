"""Which file a model's name means, and what is said when it means none."""

from pathlib import Path

import pytest

from service.detection.files import sha256_of
from service.detection.registry import REGISTRY, resolve_model
from service.errors import ModelError


def _put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"model")


def _refusal(name: str, folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        resolve_model(name, folder)
    message = caught.value.detail
    assert "\n" not in message
    assert message.startswith("FACE_API_MODEL=")
    return message


def test_bundled_model_needs_no_folder(tmp_path: Path) -> None:
    found = resolve_model("scrfd_free", tmp_path / "missing")
    assert found.name == "scrfd_free"
    assert found.entry is REGISTRY["scrfd_free"]
    assert found.path.stat().st_size == REGISTRY["scrfd_free"].size_bytes
    assert sha256_of(found.path) in REGISTRY["scrfd_free"].sha256


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if not entry.bundled])
def test_known_model_under_each_of_its_file_names(name: str, tmp_path: Path) -> None:
    for file_name in reversed(REGISTRY[name].file_names):
        _put(tmp_path, file_name)
        found = resolve_model(name, tmp_path)
        assert (found.name, found.path, found.entry) == (name, tmp_path / file_name, REGISTRY[name])


def test_known_model_that_is_missing(tmp_path: Path) -> None:
    message = _refusal("scrfd_2.5g", tmp_path)
    for part in (
        "scrfd_2.5g.onnx",
        "det_2.5g.onnx",
        str(tmp_path),
        "models pull scrfd_2.5g",
        "non-commercial",
    ):
        assert part in message


@pytest.mark.parametrize("name", ["mine", "mine.onnx"])
def test_file_of_the_users_own(name: str, tmp_path: Path) -> None:
    _put(tmp_path, "mine.onnx")
    found = resolve_model(name, tmp_path)
    assert (found.name, found.path, found.entry) == ("mine", tmp_path / "mine.onnx", None)


def test_name_with_a_dot(tmp_path: Path) -> None:
    _put(tmp_path, "mine.v2.onnx")
    assert resolve_model("mine.v2", tmp_path).name == "mine.v2"


def test_known_model_by_its_file_name(tmp_path: Path) -> None:
    _put(tmp_path, "det_500m.onnx")
    assert resolve_model("det_500m", tmp_path).entry is REGISTRY["scrfd_500m"]


@pytest.mark.parametrize(
    ("typo", "meant"), [("scrfd_fre", "scrfd_free"), ("scrfd_10", "scrfd_10g"), ("mien.onnx", "mine.onnx")]
)
def test_nearest_name(typo: str, meant: str, tmp_path: Path) -> None:
    _put(tmp_path, "mine.onnx")
    assert _refusal(typo, tmp_path).endswith(f"did you mean {meant}?")


def test_nothing_near(tmp_path: Path) -> None:
    message = _refusal("qqqqqq", tmp_path)
    assert "did you mean" not in message
    assert "scrfd_free" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("name", ["../outside", "../outside.onnx", "in/../../outside", "{absolute}"])
def test_nothing_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "in").mkdir(parents=True)
    _put(tmp_path, "outside.onnx")
    assert "neither a known model" in _refusal(name.format(absolute=tmp_path / "outside.onnx"), folder)


@pytest.mark.parametrize("name", ["", ".", "..", "folder", "x" * 5000, "a\nb\x1b[31m", "loop"])
def test_names_that_are_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    message = _refusal(name, tmp_path)
    assert message.isprintable()
    assert len(message) < 400 + len(str(tmp_path))
