"""The exported file, and a network that begins with one."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from training.export import export, mixed
from training.export import main as export_main
from training.model import FaceDetector, NetworkSize
from training.transfer import calibrate, restore


def _stirred(network: FaceDetector) -> FaceDetector:
    """The network as if it were trained: no two biases alike, of which a file would keep one."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return network


def test_the_exported_file_says_what_the_network_says(tmp_path: Path, network: FaceDetector) -> None:
    file = tmp_path / "model.onnx"
    export(network, file, {"name": "trial", "licence": "Apache-2.0"}, score_shift=0.5)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in (8, 16, 32)]
    assert [output.name for output in session.get_outputs()] == names
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata == {"name": "trial", "licence": "Apache-2.0"}
    assert onnx.load(file).opset_import[0].version >= 17
    for height, width in ((96, 160), (64, 64)):
        x = np.random.default_rng(height).standard_normal((1, 3, height, width), np.float32)
        outputs = session.run(None, {"input": x})
        with torch.no_grad():
            levels = network.levels(torch.from_numpy(x))
        for index, (score, box, points) in enumerate(levels):
            assert outputs[index][:, 0] == pytest.approx((score[0] + 0.5).sigmoid().numpy(), abs=1e-4)
            assert outputs[3 + index] == pytest.approx(box[0].numpy(), abs=1e-3)
            assert outputs[6 + index] == pytest.approx(points[0].numpy(), abs=1e-3)


def test_an_export_can_keep_a_share_of_what_the_run_began_with(
    tmp_path: Path, network: FaceDetector, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(4)
    weights, origin = network.state_dict(), FaceDetector().state_dict()
    name = "heads.0.score.grouped.weight"
    assert mixed(weights, origin, 0.25)[name] == pytest.approx(
        (0.75 * weights[name] + 0.25 * origin[name]).numpy(), abs=1e-6
    )
    assert all(torch.equal(value, weights[name]) for name, value in mixed(weights, origin, 0.0).items())
    state = {"average": weights, "seen": 16}
    torch.save(state, tmp_path / "last.pt")
    options = [str(tmp_path / "last.pt"), str(tmp_path / "model.onnx"), "--origin-share", "0.25"]
    options += ["--version", "0"]
    with pytest.raises(SystemExit):
        export_main(options)
    assert "is not of a run with --hold" in capsys.readouterr().err
    torch.save(state | {"origin": origin}, tmp_path / "last.pt")
    export_main(options)
    metadata = (
        onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        .get_modelmeta()
        .custom_metadata_map
    )
    assert metadata["origin_share"] == "0.25"
    assert metadata["views"] == "16"


def test_boxes_can_be_exported_larger(tmp_path: Path, network: FaceDetector) -> None:
    sizes = []
    for scale in (1.0, 1.1):
        export(network, tmp_path / "model.onnx", {}, box_scale=scale)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        boxes = session.run(["bbox_8"], {"input": np.zeros((1, 3, 64, 64), np.float32)})[0]
        sizes.append(boxes[:, :2] + boxes[:, 2:])
    assert sizes[1] == pytest.approx(sizes[0] * 1.1, rel=1e-4)


def test_a_network_can_begin_with_an_exported_file(tmp_path: Path, network: FaceDetector) -> None:
    """The calibration is taken back: exported again, with the same one, the file says the same."""
    trained = _stirred(copy.deepcopy(network))
    metadata = {"score_shift": "0.5", "box_scale": "1.1", "views": "16"}
    outputs = []
    restored = FaceDetector().eval()
    for source in (trained, restored):
        export(source, tmp_path / "model.onnx", metadata, score_shift=0.5, box_scale=1.1)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        x = np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)
        outputs.append(session.run(None, {"input": x}))
        assert restore(tmp_path / "model.onnx", restored) == 16
    for one, other in zip(*outputs, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    assert np.ptp(outputs[0][0]) > 0


def test_norms_get_the_statistics_of_views_and_the_function_stays(
    tmp_path: Path, network: FaceDetector
) -> None:
    export(
        _stirred(copy.deepcopy(network)),
        tmp_path / "model.onnx",
        {"score_shift": "0", "box_scale": "1", "views": "16"},
    )
    restored = FaceDetector().eval()
    restore(tmp_path / "model.onnx", restored)
    views = torch.rand(4, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        before = restored(views)
        calibrate(restored, views)
        after = restored(views)
        by_the_views_own = copy.deepcopy(restored).train()(views)
    for one, other, own in zip(before, after, by_the_views_own, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one, own, rtol=1e-2, atol=1e-2)


def test_a_file_of_another_network_is_named(tmp_path: Path, network: FaceDetector) -> None:
    export(network, tmp_path / "model.onnx", {"name": "trial"})
    with pytest.raises(ValueError, match=r"model\.onnx: not exported from this network: '.*' is missing"):
        restore(tmp_path / "model.onnx", FaceDetector())


def test_blocks_that_a_file_lacks_stay_the_identity(tmp_path: Path) -> None:
    torch.manual_seed(5)
    smaller, network = _stirred(FaceDetector(NetworkSize(context=(0, 0, 0)))).eval(), FaceDetector().eval()
    metadata = {"score_shift": "0", "box_scale": "1", "views": "16"}
    export(smaller, tmp_path / "model.onnx", metadata)
    restore(tmp_path / "model.onnx", network)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for one, other in zip(smaller(x), network(x), strict=True):
            assert one.numpy() == pytest.approx(other.numpy(), rel=1e-4, abs=1e-3)


def test_a_file_that_lacks_a_part_of_a_block_is_named(tmp_path: Path, network: FaceDetector) -> None:
    file = tmp_path / "model.onnx"
    export(_stirred(copy.deepcopy(network)), file, {"score_shift": "0", "box_scale": "1", "views": "16"})
    model = onnx.load(file)
    part = "network.context.1.0.project.0.weight"
    (lost,) = (tensor for tensor in model.graph.initializer if tensor.name == part)
    lost.name = "lost"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(
        ValueError, match=rf"model\.onnx: not exported from this network: '{part}' is missing"
    ):
        restore(file, FaceDetector())
