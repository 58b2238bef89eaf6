"""ONNX Runtime's execution providers: which are here, what each is told, and a session on one of them.

OpenVINO comes as a plugin: a library of its own that registers with the ordinary ONNX Runtime and offers devices.
The others are built into the ONNX Runtime that is installed, or are not.
"""

import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any, Final

import msgspec
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from service.detection.execution import Backend, Provider
from service.errors import ModelError

__all__ = [
    "ORT_ERRORS",
    "Wanted",
    "check_available",
    "first_line",
    "installed_providers",
    "open_session",
    "ort_name",
    "usable_providers",
    "versions",
]

# What ONNX Runtime raises has no common base of its own but Exception. ValueError is what its messages about a
# damaged file become when they quote bytes that are no UTF-8.
ORT_ERRORS: Final[tuple[type[Exception], ...]] = (
    RuntimeError,
    ValueError,
    *(
        error
        for name in dir(ort_errors)
        if isinstance(error := getattr(ort_errors, name), type) and issubclass(error, Exception)
    ),
)

# A package that is broken or of another version, a library that does not load, devices that it cannot list.
_PLUGIN_ERRORS: Final[tuple[type[Exception], ...]] = (ImportError, OSError, AttributeError, *ORT_ERRORS)

_PREFIX: Final = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .* failed: *)?")

_NAMES: Final[dict[Provider, str]] = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
_REMEDIES: Final[dict[Provider, str]] = {
    "cpu": "install onnxruntime",
    "openvino": "install onnxruntime-ep-openvino (Linux x86_64, Windows x64)",
    "cuda": "install onnxruntime-gpu in place of onnxruntime, with CUDA and cuDNN",
    "tensorrt": "install onnxruntime-gpu in place of onnxruntime, with CUDA, cuDNN and TensorRT",
    "coreml": "it comes with onnxruntime on macOS only",
}
_PLUGIN_PACKAGE: Final = "onnxruntime-ep-openvino"
_PLUGIN_MODULE: Final = "onnxruntime_ep_openvino"
_registering: Final = threading.Lock()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is for.

    Attributes:
        threads: Threads of one inference.
        inferences: Inferences at once.
        largest_side: The longest side that a tensor of a free-size model can have, px; for TensorRT's engines.
        cache_dir: Where TensorRT keeps its engines, which take minutes to build; None builds them anew each time.
    """

    threads: int
    inferences: int = 1
    largest_side: int = 640
    cache_dir: Path | None = None


def ort_name(provider: Provider) -> str:
    """ONNX Runtime's own name of a provider."""
    return _NAMES[provider]


def installed_providers() -> list[Provider]:
    """The providers whose packages are here; whether they work on this machine, loading them tells."""
    built_in = ort.get_available_providers()
    return [
        provider
        for provider, name in _NAMES.items()
        if (util.find_spec(_PLUGIN_MODULE) is not None if provider == "openvino" else name in built_in)
    ]


def usable_providers() -> list[Provider]:
    """The installed providers, less a plugin that loads and does not know this CPU: nothing to try or to warn of."""
    found = installed_providers()
    with suppress(ModelError):
        if "openvino" in found and not _openvino_devices():
            found.remove("openvino")
    return found


def versions() -> dict[str, str]:
    """Versions of what runs models, for telling whether a trial of earlier still holds."""
    found = {"onnxruntime": str(ort.__version__), "providers": " ".join(ort.get_available_providers())}
    with suppress(metadata.PackageNotFoundError):
        found[_PLUGIN_PACKAGE] = metadata.version(_PLUGIN_PACKAGE)
    return found


def check_available(backend: Backend) -> None:
    """Find out whether a backend can be used here, without a model.

    Raises:
        ModelError: It is not installed, does not load, or has no such arithmetic; one line that says what to do.
    """
    provider, precision = backend.provider, backend.precision
    installed = installed_providers()
    if provider not in installed:
        raise ModelError(
            f"FACE_API_EXECUTION_PROVIDER={provider}: not installed; {_REMEDIES[provider]}, "
            f"or use one that is here: {', '.join(installed)}"
        )
    if provider == "openvino":
        capabilities = str(_openvino_device().ep_metadata.get("OPTIMIZATION_CAPABILITIES", "")).split()
        if precision == "bf16" and "BF16" not in capabilities:
            raise ModelError("FACE_API_PRECISION=bf16: this CPU has no bfloat16 arithmetic; use f32 or auto")
    elif precision != "f32":
        raise ModelError(
            f"FACE_API_PRECISION={precision}: only openvino has it, not FACE_API_EXECUTION_PROVIDER={provider}"
        )


def open_session(path: Path, backend: Backend, wanted: Wanted) -> ort.InferenceSession:
    """Load a model on a backend.

    Raises:
        ModelError: The backend cannot be used here.
        Exception: One of `ORT_ERRORS`: it does not take the model.
    """
    check_available(backend)
    options = ort.SessionOptions()
    options.intra_op_num_threads = wanted.threads
    options.inter_op_num_threads = 1
    # Only what is fatal: an error comes as an exception, and its line in the log is ours to write.
    options.log_severity_level = 4
    # A spinning pool burns the cores that decode and encode need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A plan of the memory for each of the shapes that a free-size model meets: 15 MB more, nothing faster.
    options.enable_mem_pattern = False
    providers: list[Any] | None = None
    if backend.provider == "openvino":
        options.add_provider_for_devices([_openvino_device()], _openvino_options(backend, wanted))
    else:
        providers = [(_NAMES[name], given) for name, given in _SETTINGS[backend.provider](path, wanted)]
    # The fallback would try once more and print what it does.
    session = ort.InferenceSession(str(path), sess_options=options, providers=providers, enable_fallback=0)
    if session.get_providers()[0] != _NAMES[backend.provider]:
        # A provider whose libraries are missing is left out with no more than a line in the log.
        raise ModelError(
            f"FACE_API_EXECUTION_PROVIDER={backend.provider}: installed, but does not load here; "
            f"{_REMEDIES[backend.provider]}"
        )
    return session


def first_line(error: Exception) -> str:
    """What ONNX Runtime says, in one line, without its code and the model's path."""
    if isinstance(error, UnicodeDecodeError):
        return "its graph is damaged"
    lines = str(error).strip().splitlines()
    return _PREFIX.sub("", lines[0])[:300] if lines else type(error).__name__


def _openvino_device() -> Any:
    """The plugin's CPU.

    Raises:
        ModelError: The plugin does not load, or does not know this CPU.
    """
    if devices := _openvino_devices():
        return devices[0]
    raise ModelError(
        "FACE_API_EXECUTION_PROVIDER=openvino: does not know this CPU (the plugin knows Intel's); use cpu or auto"
    )


def _openvino_devices() -> list[Any]:
    """The CPUs that the plugin offers, none on those it does not know.

    Raises:
        ModelError: The plugin does not load.
    """
    try:
        with _registering:
            _register_plugin()
        return [
            device
            for device in ort.get_ep_devices()
            if device.ep_name == _NAMES["openvino"] and device.ep_metadata.get("ov_device") == "CPU"
        ]
    except _PLUGIN_ERRORS as error:
        raise ModelError(
            f"FACE_API_EXECUTION_PROVIDER=openvino: installed, but does not load here ({first_line(error)}); "
            f"install another version of {_PLUGIN_PACKAGE}"
        ) from error


@cache
def _register_plugin() -> None:
    """Make OpenVINO's plugin known, once: a second time is an error, and offered devices need not show the first."""
    if all(device.ep_name != _NAMES["openvino"] for device in ort.get_ep_devices()):
        import onnxruntime_ep_openvino

        ort.register_execution_provider_library(_PLUGIN_MODULE, onnxruntime_ep_openvino.get_library_path())


def _openvino_options(backend: Backend, wanted: Wanted) -> dict[str, str]:
    config = {
        # Of all streams together, and a stream runs one inference at a time.
        "INFERENCE_NUM_THREADS": str(wanted.threads * wanted.inferences),
        "NUM_STREAMS": str(wanted.inferences),
        # Never left out: on its own OpenVINO takes bfloat16 where the CPU has it.
        "INFERENCE_PRECISION_HINT": backend.precision,
        # The server's threads and its other processes use the same cores.
        "ENABLE_CPU_PINNING": "NO",
        # What it keeps for each shape is 12 MB for scrfd_2.5g, and saves 2 ms when the shape changes.
        "CPU_RUNTIME_CACHE_CAPACITY": "0",
    }
    return {"load_config": json.dumps({"CPU": config})}


_Settings = Sequence[tuple[Provider, dict[str, str]]]


def _cpu(_path: Path, _wanted: Wanted) -> _Settings:
    return [("cpu", {})]


def _cuda(_path: Path, _wanted: Wanted) -> _Settings:
    # TF32 is no float32. An exhaustive search for the best convolution would begin anew with each shape.
    return [("cuda", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}), ("cpu", {})]


def _tensorrt(path: Path, wanted: Wanted) -> _Settings:
    given = {"trt_fp16_enable": "0"}
    plain = ort.InferenceSession(str(path), providers=[_NAMES["cpu"]])
    tensor = plain.get_inputs()[0]
    if any(not isinstance(side, int) for side in tensor.shape):
        # One engine for all shapes, not one for each.
        for edge, side in (("min", 32), ("opt", wanted.largest_side), ("max", wanted.largest_side)):
            given[f"trt_profile_{edge}_shapes"] = f"{tensor.name}:1x3x{side}x{side}"
    if wanted.cache_dir is not None:
        given |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(wanted.cache_dir)}
    return [("tensorrt", given), *_cuda(path, wanted)]


def _coreml(_path: Path, _wanted: Wanted) -> _Settings:
    return [("coreml", {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}), ("cpu", {})]


_SETTINGS: Final[dict[Provider, Callable[[Path, Wanted], _Settings]]] = {
    "cpu": _cpu,
    "cuda": _cuda,
    "tensorrt": _tensorrt,
    "coreml": _coreml,
}
