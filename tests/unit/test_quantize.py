"""An int8 version of a model: made, compared, refused."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.detection.detector import DetectionOptions, Detector
from service.detection.quantize import _shorten_names, quantize_model
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


def test_names_become_short_and_stay_apart() -> None:
    """Also in the branches of an If, and where an output's name is a number."""
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    then, other = (
        onnx.helper.make_graph(
            [onnx.helper.make_node(operator, ["a_long_name/2"], [f"{operator}_result"])],
            operator,
            [],
            [value(f"{operator}_result", kind, [4])],
        )
        for operator in ("Relu", "Neg")
    )
    names = ["input", *(f"a_long_name/{number}" for number in range(6))]
    nodes = [onnx.helper.make_node("Abs", [before], [name]) for before, name in pairwise(names)]
    nodes.append(onnx.helper.make_node("If", ["condition"], ["3"], then_branch=then, else_branch=other))
    nodes.append(onnx.helper.make_node("Add", [names[-1], "step_scale"], ["sum"]))
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [value("input", kind, [4]), value("condition", onnx.TensorProto.BOOL, [])],
        [value("3", kind, [4]), value("sum", kind, [4])],
        [onnx.numpy_helper.from_array(np.ones(4, np.float32), "step_scale")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    before = model.SerializeToString()
    _shorten_names(model.graph)
    assert b"a_long_name" not in model.SerializeToString()
    assert [tensor.name[-6:] for tensor in model.graph.initializer] == ["_scale"]
    x = np.array([-2, -1, 1, 2], np.float32)
    for condition in (True, False):
        first, second = (
            ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(
                ["3", "sum"], {"input": x, "condition": np.array(condition)}
            )
            for data in (before, model.SerializeToString())
        )
        np.testing.assert_array_equal(first, second)


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
