"""An int8 version of a model: made, compared, refused."""

import sys
from pathlib import Path

import onnx
import pytest

from service.detection.detector import DetectionOptions, Detector
from service.detection.quantize import quantize_model
from service.detection.registry import REGISTRY, ModelFile, resolve_model
from service.errors import ModelError
from tests.faces import face_scene
from tests.onnx_models import answering, tables
from tests.pictures import encoded

MODEL = next(entry.name for entry in REGISTRY.values() if entry.bundled)
OPTIONS = DetectionOptions(confidence=0.5, nms_threshold=0.4)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, (width, height) in enumerate([(640, 512), (600, 500), (700, 520), (512, 512)]):
        path = folder / f"{number}.png"
        path.write_bytes(encoded(face_scene(width, height), "PNG"))
        paths.append(path)
    (folder / "notes.txt").write_text("no picture")
    return [*paths, folder / "notes.txt"]


def test_the_int8_model_is_small_and_finds_the_faces(pictures: list[Path], tmp_path: Path) -> None:
    model = resolve_model(MODEL, tmp_path)
    target = tmp_path / "models" / "mine_int8.onnx"
    report = quantize_model(model, pictures, target, det_size=320, threads=1)
    assert (report.calibrated, report.held_out) == (3, 1)
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith("notes.txt: ")
    assert report.kept >= 2
    assert report.lowest_iou > 0.7
    assert report.size_bytes == target.stat().st_size < 0.5 * model.path.stat().st_size
    assert report.f32_ms > 0 < report.int8_ms
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    # QDQ with unsigned activations and signed weights, and a model like any other to the service.
    graph = onnx.load(target).graph
    kinds = {item.data_type for item in graph.initializer if item.name.endswith("zero_point")}
    assert {onnx.TensorProto.UINT8, onnx.TensorProto.INT8} <= kinds
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.node}
    detector = Detector(resolve_model("mine_int8", target.parent), det_size=320)
    scene = face_scene()
    assert len(detector.detect(scene[..., ::-1].copy(), 640, 512, OPTIONS).faces) == 3


def test_too_few_pictures(pictures: list[Path], tmp_path: Path) -> None:
    model = resolve_model(MODEL, tmp_path)
    with pytest.raises(ModelError, match=r"^1 usable pictures: at least 2 are needed"):
        quantize_model(model, [pictures[0], pictures[-1]], tmp_path / "x.onnx", det_size=320, threads=1)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"^quantising needs the package onnx: pip install onnx$"):
        quantize_model(resolve_model(MODEL, tmp_path), pictures, tmp_path / "x.onnx", det_size=320, threads=1)


def test_a_target_that_cannot_be_written(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "x.onnx"
    with pytest.raises(ModelError, match=r"x\.onnx: cannot be written: "):
        quantize_model(resolve_model(MODEL, tmp_path), pictures, target, det_size=320, threads=1)


def test_a_model_without_faces_gives_a_report_that_says_so(pictures: list[Path], tmp_path: Path) -> None:
    path = answering(tmp_path / "none.onnx", tables([], 64, 64))
    report = quantize_model(
        ModelFile("none", path, None), pictures, tmp_path / "x.onnx", det_size=64, threads=1
    )
    assert (report.kept, report.lost, report.new) == (0, 0, 0)
