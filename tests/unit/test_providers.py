"""Execution providers: what ONNX Runtime is told, and what is said when one is missing or does not load."""

import importlib.util
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service.detection import providers
from service.detection.execution import Backend, Provider
from service.detection.providers import (
    Wanted,
    check_available,
    installed_providers,
    open_session,
    usable_providers,
)
from service.detection.runtime import OnnxModel
from service.errors import ModelError
from tests.onnx_models import scanner

CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"
WANTED = Wanted(threads=3, inferences=2, largest_side=320)


class Runtime:
    """Stands in for ONNX Runtime: what it offers, what a session on it gets, which provider then runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *offered: str, runs: str | None = None) -> None:
        self.asked: Any = None
        self.devices: list[Any] = []
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*offered, CPU])
        monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: self.devices)
        monkeypatch.setattr(onnxruntime, "InferenceSession", self.session)
        # As in a process that has not registered the plugin yet.
        monkeypatch.setattr(providers, "_register_plugin", providers._register_plugin.__wrapped__)
        self.runs = runs

    def session(
        self, _path: str, sess_options: Any = None, providers: Any = None, enable_fallback: Any = 1
    ) -> Any:
        """Record what is asked for."""
        if sess_options is not None:
            assert enable_fallback == 0
            self.asked = providers
        first = self.runs or (providers[0][0] if providers else OPENVINO)
        tensor = SimpleNamespace(name="input.1", shape=[1, 3, "?", "?"])
        return SimpleNamespace(get_providers=lambda: [first, CPU], get_inputs=lambda: [tensor])


def plugin(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object() if present else None)


def device(capabilities: str = "FP32 BF16", kind: str = "CPU") -> Any:
    metadata = {"ov_device": kind, "OPTIMIZATION_CAPABILITIES": capabilities}
    return SimpleNamespace(ep_name=OPENVINO, ep_metadata=metadata)


@pytest.mark.parametrize(
    ("provider", "remedy"),
    [
        ("openvino", "install onnxruntime-ep-openvino"),
        ("cuda", "install onnxruntime-gpu in place of onnxruntime, with CUDA and cuDNN"),
        ("tensorrt", "install onnxruntime-gpu in place of onnxruntime, with CUDA, cuDNN and TensorRT"),
        ("coreml", "it comes with onnxruntime on macOS only"),
    ],
)
def test_missing(provider: Provider, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Runtime(monkeypatch)
    plugin(monkeypatch, present=False)
    assert installed_providers() == ["cpu"]
    with pytest.raises(ModelError) as caught:
        check_available(Backend(provider))
    assert caught.value.detail.startswith(f"FACE_API_EXECUTION_PROVIDER={provider}: not installed; {remedy}")
    assert caught.value.detail.endswith("or use one that is here: cpu")
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "coreml"])
def test_installed_but_left_out_by_the_runtime(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider whose libraries are missing: ONNX Runtime runs the model on the CPU and says so in its log alone."""
    Runtime(monkeypatch, providers.ort_name(provider), runs=CPU)
    with pytest.raises(ModelError) as caught:
        open_session(Path("model.onnx"), Backend(provider), WANTED)
    assert caught.value.detail.startswith(
        f"FACE_API_EXECUTION_PROVIDER={provider}: installed, but does not load here; "
    )


def test_cuda_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(monkeypatch, "CUDAExecutionProvider")
    open_session(Path("model.onnx"), Backend("cuda"), WANTED)
    assert runtime.asked == [
        ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}),
        (CPU, {}),
    ]


def test_tensorrt_gets_one_engine_for_all_shapes_and_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime = Runtime(monkeypatch, "TensorrtExecutionProvider", "CUDAExecutionProvider")
    wanted = Wanted(threads=1, largest_side=320, cache_dir=tmp_path)
    open_session(Path("model.onnx"), Backend("tensorrt"), wanted)
    assert [name for name, _ in runtime.asked] == [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        CPU,
    ]
    assert runtime.asked[0][1] == {
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": "input.1:1x3x32x32",
        "trt_profile_opt_shapes": "input.1:1x3x320x320",
        "trt_profile_max_shapes": "input.1:1x3x320x320",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path),
    }


def test_coreml(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(monkeypatch, "CoreMLExecutionProvider")
    open_session(Path("model.onnx"), Backend("coreml"), WANTED)
    assert runtime.asked == [
        ("CoreMLExecutionProvider", {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}),
        (CPU, {}),
    ]


@pytest.mark.parametrize("provider", ["cpu", "cuda", "tensorrt", "coreml"])
def test_only_openvino_has_bfloat16(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    Runtime(monkeypatch, *[providers.ort_name(name) for name in ("cuda", "tensorrt", "coreml")])
    with pytest.raises(ModelError, match=rf"^FACE_API_PRECISION=bf16: only openvino has it, .*={provider}$"):
        check_available(Backend(provider, "bf16"))


def test_a_cpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    Runtime(monkeypatch).devices = [device("FP32 INT8")]
    plugin(monkeypatch, present=True)
    check_available(Backend("openvino"))
    with pytest.raises(ModelError, match=r"^FACE_API_PRECISION=bf16: this CPU has no bfloat16"):
        check_available(Backend("openvino", "bf16"))


def test_a_plugin_that_offers_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Runtime(monkeypatch).devices = [device(kind="GPU")]
    plugin(monkeypatch, present=True)
    with pytest.raises(
        ModelError, match=r"^FACE_API_EXECUTION_PROVIDER=openvino: does not know this CPU .*; use cpu"
    ):
        check_available(Backend("openvino"))
    assert usable_providers() == ["cpu"]


def test_a_plugin_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    Runtime(monkeypatch)
    plugin(monkeypatch, present=True)

    def library() -> str:
        raise FileNotFoundError("no library\nat all")

    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", SimpleNamespace(get_library_path=library))
    assert usable_providers() == ["cpu", "openvino"]
    with pytest.raises(ModelError) as caught:
        check_available(Backend("openvino"))
    assert caught.value.detail == (
        "FACE_API_EXECUTION_PROVIDER=openvino: installed, but does not load here (no library); "
        "install another version of onnxruntime-ep-openvino"
    )


def test_what_openvino_is_told() -> None:
    options = providers._openvino_options(Backend("openvino", "bf16"), WANTED)
    config = json.loads(options["load_config"])["CPU"]
    assert (config["INFERENCE_NUM_THREADS"], config["NUM_STREAMS"]) == ("6", "2")
    assert config["INFERENCE_PRECISION_HINT"] == "bf16"
    assert config["ENABLE_CPU_PINNING"] == "NO"
    plain = json.loads(providers._openvino_options(Backend("openvino"), WANTED)["load_config"])["CPU"]
    # Left out, OpenVINO would take bfloat16 by itself.
    assert plain["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.mark.parametrize("provider", usable_providers())
def test_each_provider_that_is_here_computes_the_same(
    provider: Provider, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = scanner(tmp_path / "model.onnx")
    plain = OnnxModel(path, threads=1)
    model = OnnxModel(path, threads=1, inferences=2, backend=Backend(provider))
    assert model.provider == providers.ort_name(provider)
    for shape in ((64, 64), (32, 96), (64, 64)):
        tensor = np.random.default_rng(1).normal(0, 1, (1, 3, *shape)).astype(np.float32)
        for expected, given in zip(plain.run(tensor), model.run(tensor), strict=True):
            np.testing.assert_allclose(given, expected, atol=1e-4)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("provider", usable_providers())
def test_one_session_of_each_provider_for_many_threads(provider: Provider, tmp_path: Path) -> None:
    model = OnnxModel(scanner(tmp_path / "model.onnx"), threads=1, inferences=2, backend=Backend(provider))
    shapes = [(32, 64), (64, 32), (96, 96), (64, 128)]
    tensors = [np.full((1, 3, *shape), 0.1 * index, np.float32) for index, shape in enumerate(shapes)]
    expected = [[output.copy() for output in model.run(tensor)] for tensor in tensors]
    agreed: list[bool] = []

    def work(index: int) -> None:
        for _ in range(10):
            outputs = model.run(tensors[index])
            agreed.append(all(map(np.allclose, outputs, expected[index])))

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1, 2, 3, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agreed == [True] * 60


@pytest.mark.parametrize("provider", usable_providers())
def test_a_damaged_file_is_the_files_fault(provider: Provider, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"this is no model")
    with pytest.raises(ModelError) as caught:
        OnnxModel(path, threads=1, backend=Backend(provider))
    assert caught.value.detail.startswith(f"{path}: not a usable ONNX model: ")
