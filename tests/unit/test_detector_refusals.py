"""Models that are refused, and models that fail."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from service.errors import ServiceUnavailable
from tests.detectors import CELLS, find, load, refusal
from tests.onnx_models import answering, picture_of_cells, scanner, tables


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("asked", [320, 1280])
def test_det_size_against_a_fixed_model(asked: int, path: Path) -> None:
    scanner(path, size=(640, 640))
    message = refusal(lambda: load(path, asked, det_size_given=True))
    assert message == f"FACE_API_DET_SIZE={asked}: the model test has a fixed input of 640×640"
    assert load(path, asked).input_size == (640, 640)
    assert load(path, 640, det_size_given=True).input_size == (640, 640)


@pytest.mark.parametrize("det_size", [32, 320, 1280])
def test_det_size_of_a_free_model(det_size: int, path: Path) -> None:
    detector = load(scanner(path), det_size, det_size_given=True)
    assert detector.input_size == (det_size, det_size)
    assert detector.letterboxed_side() == det_size
    assert find(detector, np.zeros((540, 960, 3), np.uint8)).tensor_size[0] == det_size


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((1, 1, 64, 64), "1×1×64×64"),
        ((4, 3, 64, 64), "4×3×64×64"),
        ((1, 64, 64, 3), "1×64×64×3"),
        ((3, 64, 64), "3×64×64"),
        ((1, 3), "1×3"),
        ((), ""),
        ((1, 4, None, None), "1×4×?×?"),
    ],
)
def test_another_input(shape: tuple[int | None, ...], shown: str, path: Path) -> None:
    answering(path, tables([], 64, 64), shape=shape)
    assert refusal(lambda: load(path)) == f"{path}: expected an input of 1×3×H×W, the model has {shown}"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 3, 64, None), "free on one side only"),
        ((1, 3, None, 64), "free on one side only"),
        ((1, 3, 72, 64), "at an input of 64×72: not an SCRFD face detector"),
        ((1, 3, 112, 112), "at an input of 112×112: not an SCRFD face detector"),
    ],
)
def test_inputs_that_do_not_fit(shape: tuple[int | None, ...], said: str, path: Path) -> None:
    message = refusal(lambda: load(answering(path, tables([], 64, 64), shape=shape)))
    assert message.startswith(f"{path}: ")
    assert said in message


def test_fixed_input_that_is_no_multiple(path: Path) -> None:
    scanner(path, size=(68, 68))
    assert refusal(lambda: load(path)).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "outputs",
    [[np.zeros((1, 1000), np.float32)], [np.zeros((1, 128), np.float32)]],
    ids=["classes", "embedding"],
)
def test_foreign_models(outputs: list[npt.NDArray[np.float32]], path: Path) -> None:
    message = refusal(lambda: load(answering(path, outputs, shape=[1, 3, 112, 112])))
    assert message.startswith(
        f"{path}: at an input of 112×112: not an SCRFD face detector: the outputs are 1×"
    )


def test_free_size_only_on_paper(path: Path) -> None:
    answering(path, tables([], 640, 640), shape=[1, 3, None, None])
    assert "640×32" in refusal(lambda: load(path))


def test_failure_is_told_and_forgotten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(scanner(path))
    picture = picture_of_cells(640, 384, CELLS)
    working = detector._onnx.run

    def broken(tensor: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        raise RuntimeError("inference failed: secret internals")

    monkeypatch.setattr(detector._onnx, "run", broken)
    for _ in range(3):  # a slot that were not given back would hang here
        with pytest.raises(ServiceUnavailable, match=r"^the model cannot run at the moment$"):
            find(detector, picture)
    assert detector.failure == "inference failed: secret internals"
    monkeypatch.setattr(detector._onnx, "run", working)
    assert len(find(detector, picture).faces) == 3
    assert detector.failure is None
