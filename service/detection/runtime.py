"""A model file in ONNX Runtime: loading it, checking what it takes and gives, and running it."""

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.detection.execution import Backend
from service.detection.providers import ORT_ERRORS, Wanted, first_line, open_session
from service.errors import ModelError

__all__ = ["OnnxModel", "runtime_version"]

_CPU: Final = Backend("cpu")


def runtime_version() -> str:
    """Version of ONNX Runtime."""
    return str(ort.__version__)


class OnnxModel:
    """A loaded model with one input; all it takes and gives is float32.

    Attributes:
        size_bytes: Size of the file.
        input_shape: The input's shape as the file declares it: ints where fixed, None where free.
        provider: ONNX Runtime's name of the execution provider that runs it.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        inferences: int = 1,
        backend: Backend = _CPU,
        largest_side: int = 640,
        cache_dir: Path | None = None,
    ) -> None:
        """Load a model.

        Args:
            path: The .onnx file.
            threads: Threads of one inference.
            inferences: Inferences at once.
            backend: What is to run it.
            largest_side: See :class:`service.detection.providers.Wanted`.
            cache_dir: See there.

        Raises:
            ModelError: The file cannot be read, is no ONNX model from one float32 input to float32 outputs, or the
                backend cannot be used here.
        """
        wanted = Wanted(
            threads=threads, inferences=inferences, largest_side=largest_side, cache_dir=cache_dir
        )
        try:
            self.size_bytes = path.stat().st_size
            self._session = open_session(path, backend, wanted)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        except ORT_ERRORS as error:
            if backend != _CPU:
                # Says what is wrong with the file, if it is the file.
                OnnxModel(path, threads=1)
                raise ModelError(
                    f"FACE_API_EXECUTION_PROVIDER={backend.provider}: does not take {path}: {first_line(error)}; "
                    "use cpu or auto"
                ) from error
            raise ModelError(f"{path}: not a usable ONNX model: {first_line(error)}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{item.name} {item.type}" for item in inputs) or "none"
            raise ModelError(f"{path}: expected one float32 input, the model has: {found}")
        outputs = self._session.get_outputs()
        if any(item.type != "tensor(float)" for item in outputs):
            found = ", ".join(f"{item.name} {item.type}" for item in outputs[:12])
            raise ModelError(f"{path}: expected float32 outputs, the model has: {found}")
        self._input_name: str = inputs[0].name
        self.input_shape: list[int | None] = [
            side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape
        ]
        self.provider: str = self._session.get_providers()[0]

    def run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the model on a (1, 3, H, W) tensor; gives all outputs in the file's order.

        Thread-safe: one session serves all threads.

        Raises:
            RuntimeError: ONNX Runtime failed.
        """
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input_name: tensor})
        except ORT_ERRORS as error:
            raise RuntimeError(f"inference failed: {first_line(error)}") from error
        return outputs
