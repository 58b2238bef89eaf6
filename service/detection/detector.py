"""A picture becomes faces: letterbox, inference, decoding and NMS."""

import os
import threading
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from native import kernels
from service.detection.execution import Execution
from service.detection.layout import OutputLayout, outputs_by_shape
from service.detection.registry import ModelFile
from service.detection.runtime import OnnxModel
from service.errors import ModelError, ServiceUnavailable
from service.imaging.decode import PixelRegion

__all__ = ["DetectionOptions", "Detector", "FacesFound", "automatic_threads", "usable_cores"]

# SCRFD's normalisation: (pixel - 127.5) / 128.
_MEAN: Final = 127.5
_SCALE: Final = 1 / 128

_PLAIN: Final = Execution(provider="cpu", precision="f32", reason="nothing else was asked for")


class DetectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of one detection; see :class:`service.schemas.parameters.DetectParameters`."""

    confidence: float
    nms_threshold: float
    max_faces: int = 0


class FacesFound(msgspec.Struct, frozen=True, kw_only=True):
    """Faces and how they were found.

    Attributes:
        faces: (N, 5) or (N, 15) float32: x1, y1, x2, y2 in px of the upright picture, score, then five landmarks x, y.
            Best first.
        candidates_before_nms: Anchors at or above the threshold.
        candidates_after_nms: Those that NMS kept.
        det_scale: Tensor px per px of the upright picture.
        tensor_size: Width and height of the tensor, px.
        preprocess_seconds: Letterbox and what surrounds it.
        blob_seconds: The letterbox kernel alone.
        inference_seconds: The model alone, without waiting for a free slot.
        postprocess_seconds: Decoding and NMS.
        nms_seconds: NMS alone.
    """

    faces: NDArray[np.float32]
    candidates_before_nms: int
    candidates_after_nms: int
    det_scale: float
    tensor_size: tuple[int, int]
    preprocess_seconds: float
    blob_seconds: float
    inference_seconds: float
    postprocess_seconds: float
    nms_seconds: float

    def boxes(self) -> NDArray[np.float64]:
        """(N, 4) x1, y1, x2, y2 in px, rounded to 0.1: what is reported is what is masked."""
        return _rounded(self.faces)


def _rounded(faces: NDArray[np.float32]) -> NDArray[np.float64]:
    return faces[:, :4].astype(np.float64).round(1) + 0.0  # turns -0.0, which reads oddly in JSON, into 0.0


def _with_area(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the slivers at the picture's border that rounding leaves no area."""
    boxes = _rounded(faces)
    return faces[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]


def automatic_threads(configured: int, inferences: int, workers: int) -> int:
    """Threads of one inference: as configured, or the cores divided among all parallel inferences."""
    return configured or max(1, usable_cores() // (inferences * workers))


def usable_cores() -> int:
    """Cores that this process may use: its affinity, or less if a cgroup (a container's limit) says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))


class Detector:
    """An SCRFD face detector. Thread-safe.

    Attributes:
        name: The model's name.
        path: The model's file.
        model_size_mb: Size of the file, MiB.
        input_size: Width and height of the configured input, px.
        supports_landmarks: Whether faces come with landmarks.
        threads: Threads of one inference.
        provider: ONNX Runtime's name of the execution provider.
        execution: What runs the model, and why.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        det_size: int,
        det_size_given: bool = False,
        threads: int = 1,
        max_inferences: int = 1,
        execution: Execution = _PLAIN,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the model and try it.

        Args:
            model: The file.
            det_size: Side of the square input for a model of free size, px.
            det_size_given: Whether the user asked for this size, so that a model of another fixed size is an error.
            threads: Threads of one inference.
            max_inferences: Inferences at once.
            execution: What is to run the model, and why.
            cache_dir: See :class:`service.detection.providers.Wanted`.

        Raises:
            ModelError: The file is missing, corrupt or no SCRFD detector, or cannot be run as asked.
        """
        self.name = model.name
        self.path = model.path
        self.threads = threads
        self.execution = execution
        self._onnx = OnnxModel(
            model.path,
            threads=threads,
            inferences=max_inferences,
            backend=execution.backend,
            largest_side=det_size,
            cache_dir=cache_dir,
        )
        self.model_size_mb = round(self._onnx.size_bytes / 2**20, 2)
        self.provider = self._onnx.provider
        self._free_size, self.input_size = self._read_input(det_size, det_size_given)
        self._slots = threading.BoundedSemaphore(max_inferences)
        self._buffers = threading.local()
        self._failure: str | None = None
        width, height = self.input_size
        self._layout = self._try(width, height)
        self._grain = self._layout.strides[-1]
        if width % self._grain or height % self._grain:
            raise ModelError(f"{model.path}: the input {width}×{height} is not a multiple of {self._grain}")
        # Some files declare a free size and hold tables for one: better found now than in a request.
        if self._free_size and self._try(width, self._grain) != self._layout:
            raise ModelError(f"{model.path}: its outputs are arranged differently at {width}×{self._grain}")
        self.supports_landmarks = bool(self._layout.landmarks)

    @property
    def failure(self) -> str | None:
        """Why the last inference failed; None while the model works."""
        return self._failure

    def detect(
        self,
        image: NDArray[np.uint8],
        width: int,
        height: int,
        options: DetectionOptions,
        region: PixelRegion | None = None,
    ) -> FacesFound:
        """Find the faces.

        Args:
            image: (h, w, 3 or 4) BGR or BGRA; the upright picture, perhaps decoded at reduced size.
            width: Width of the upright picture, px; coordinates are in these units.
            height: Height of the upright picture, px.
            options: Thresholds.
            region: x1, y1, x2, y2 in px of `image`: which part of it is the picture; by default all of it.

        Raises:
            ServiceUnavailable: The runtime failed.
        """
        started = perf_counter()
        scale, inner, tensor = self._geometry(width, height)
        blob_started = perf_counter()
        kernels.letterbox(image, tensor, inner[0], inner[1], _MEAN, _SCALE, region)
        preprocessed = perf_counter()
        with self._slots:
            inference_started = perf_counter()
            outputs = self._run(tensor)
            inferred = perf_counter()
        layout = self._layout
        found = kernels.decode_detections(
            [outputs[i] for i in layout.scores],
            [outputs[i] for i in layout.boxes],
            [outputs[i] for i in layout.landmarks] or None,
            layout.strides,
            layout.anchors,
            tensor.shape[3],
            score_threshold=options.confidence,
            nms_threshold=options.nms_threshold,
            scale=scale,
            width=width,
            height=height,
        )
        return FacesFound(
            faces=_with_area(found.faces)[: options.max_faces or None],
            candidates_before_nms=found.candidates_before_nms,
            candidates_after_nms=found.candidates_after_nms,
            det_scale=scale,
            tensor_size=(tensor.shape[3], tensor.shape[2]),
            preprocess_seconds=preprocessed - started,
            blob_seconds=preprocessed - blob_started,
            inference_seconds=inferred - inference_started,
            postprocess_seconds=perf_counter() - inferred,
            nms_seconds=found.nms_seconds,
        )

    def tensor_of(
        self,
        image: NDArray[np.uint8],
        width: int,
        height: int,
        region: PixelRegion | None = None,
    ) -> NDArray[np.float32]:
        """What the model is shown of a picture, (1, 3, H, W) float32; the arguments are those of `detect`."""
        _, inner, tensor = self._geometry(width, height)
        kernels.letterbox(image, tensor, inner[0], inner[1], _MEAN, _SCALE, region)
        return tensor.copy()

    def letterboxed_side(self) -> int:
        """The longest side that a letterboxed picture can have, px; decides how far a JPEG may be reduced."""
        return max(self.input_size)

    def _geometry(self, width: int, height: int) -> tuple[float, tuple[int, int], NDArray[np.float32]]:
        """Scale, letterboxed size and a tensor to fill, kept per thread: a few shapes only."""
        box_width, box_height = self.input_size
        scale = min(box_width / width, box_height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        if self._free_size:
            box_width, box_height = (-(-side // self._grain) * self._grain for side in inner)
        return scale, inner, self._tensor(box_width, box_height)

    def _tensor(self, width: int, height: int) -> NDArray[np.float32]:
        tensors: dict[tuple[int, int], NDArray[np.float32]] | None = getattr(self._buffers, "tensors", None)
        if tensors is None:
            tensors = self._buffers.tensors = {}
        if (tensor := tensors.get((width, height))) is None:
            tensor = tensors[width, height] = np.empty((1, 3, height, width), np.float32)
        return tensor

    def _run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            outputs = self._onnx.run(tensor)
        except RuntimeError as error:
            self._failure = str(error)
            raise ServiceUnavailable("the model cannot run at the moment") from error
        self._failure = None
        return outputs

    def _try(self, width: int, height: int) -> OutputLayout:
        try:
            outputs = self._onnx.run(np.zeros((1, 3, height, width), np.float32))
            return outputs_by_shape(outputs, width, height)
        except (RuntimeError, ModelError) as error:
            raise ModelError(f"{self.path}: at an input of {width}×{height}: {error}") from error

    def _read_input(self, det_size: int, det_size_given: bool) -> tuple[bool, tuple[int, int]]:
        shape = self._onnx.input_shape
        if len(shape) != 4 or shape[0] not in (None, 1) or shape[1] not in (None, 3):
            shown = "×".join("?" if side is None else str(side) for side in shape)
            raise ModelError(f"{self.path}: expected an input of 1×3×H×W, the model has {shown}")
        height, width = shape[2], shape[3]
        if height is None and width is None:
            return True, (det_size, det_size)
        if height is None or width is None:
            raise ModelError(f"{self.path}: the input is free on one side only, which is not supported")
        if det_size_given and (width, height) != (det_size, det_size):
            raise ModelError(
                f"FACE_API_DET_SIZE={det_size}: the model {self.name} has a fixed input of {width}×{height}"
            )
        return False, (width, height)
