"""The contenders of the data path: each function loads what it needs and gives the call that is measured."""

import contextlib
import ctypes
import tempfile
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from bench.plain import PlainDetector, decode_in_full
from bench.plan import NMS_THRESHOLD, SIDE, THRESHOLD
from bench.worker import Call, Done
from native import kernels
from service.detection.detector import DetectionOptions
from service.detection.loading import load_detector
from service.detection.registry import ModelFile
from service.imaging.decode import decode, reduction_for
from service.imaging.mask import MaskOptions
from service.imaging.probe import probe
from service.memory import give_back_memory
from service.pipeline import EncodeOptions, Pipeline
from service.settings import Settings, load_settings

__all__ = [
    "deface",
    "detect",
    "detect_less_inference",
    "floor",
    "full_decode",
    "insightface",
    "mask",
    "mask_floor",
    "plain",
    "reduced_decode",
]

QUALITY: Final = 95
# From malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_OPTIONS: Final = DetectionOptions(confidence=THRESHOLD, nms_threshold=NMS_THRESHOLD)
_REDUCED: Final = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def _pipeline(picture: Path, model: ModelFile, threads: int, provider: str, inferences: int = 1) -> Pipeline:
    """The service's data path, set up as in the service; what it learns about the machine is kept beside it."""
    cv2.setNumThreads(1)  # as the service does
    give_back_memory()
    settings = {
        "FACE_API_MODEL": model.name,
        "FACE_API_MODEL_DIR": str(model.path.parent),
        "FACE_API_DET_SIZE": str(SIDE),
        "FACE_API_ORT_THREADS": str(threads),
        "FACE_API_MAX_CONCURRENT_INFERENCE": str(inferences),
        "FACE_API_DATA_DIR": str(picture.parent),
        "FACE_API_EXECUTION_PROVIDER": provider,
    }
    return Pipeline(load_detector(load_settings(settings)), max_pixels=2**31)


def detect(picture: Path, model: ModelFile, threads: int, provider: str = "auto") -> Call:
    """The service's data path, without the service."""
    pipeline, data = _pipeline(picture, model, threads, provider), picture.read_bytes()
    note = str(pipeline.detector.execution.backend)
    return lambda: Done(faces=len(pipeline.detect(data, _OPTIONS).found.faces), note=note)


def detect_less_inference(picture: Path, model: ModelFile, threads: int) -> Call:
    """The same without the model's own time."""
    pipeline, data = _pipeline(picture, model, threads, "auto"), picture.read_bytes()
    return lambda: Done(not_counted=pipeline.detect(data, _OPTIONS).found.inference_seconds)


def mask(picture: Path, model: ModelFile, threads: int, strength: int) -> Call:
    """The service's data path of mask: gaussian, JPEG."""
    pipeline, data = _pipeline(picture, model, threads, "auto"), picture.read_bytes()
    masking = MaskOptions(method="gaussian", strength=strength, padding=Settings().padding)

    def call() -> Done:
        result = pipeline.mask(data, _OPTIONS, masking, EncodeOptions("jpeg", QUALITY))
        return Done(faces=len(result.detected.found.faces))

    return call


def plain(picture: Path, model: ModelFile) -> Call:
    """What most people write; ONNX Runtime takes as many threads as there are cores."""
    detector, data = PlainDetector(model.path), picture.read_bytes()
    return lambda: Done(faces=len(detector.detect(data)[0]))


def insightface(picture: Path, model: ModelFile, threads: int) -> Call:
    """InsightFace's SCRFD class, detection only, on a session of so many threads; it takes a decoded picture."""
    import onnxruntime as ort
    from insightface.model_zoo.scrfd import SCRFD

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    detector = SCRFD(model_file=str(model.path), session=session)
    detector.prepare(0, input_size=(SIDE, SIDE), det_thresh=THRESHOLD, nms_thresh=NMS_THRESHOLD)
    data = picture.read_bytes()
    return lambda: Done(faces=len(detector.detect(decode_in_full(data))[0]))


def deface(picture: Path) -> Call:
    """What ``deface FILE`` does with a picture, its model loaded once: read, blur, write, with its defaults."""
    from deface.centerface import CenterFace
    from deface.deface import image_detect

    centerface = CenterFace()
    folder = tempfile.TemporaryDirectory()
    output = str(Path(folder.name) / "masked.jpg")

    def call(_keep: Any = folder) -> None:
        image_detect(
            ipath=str(picture),
            opath=output,
            centerface=centerface,
            threshold=0.2,
            replacewith="blur",
            mask_scale=1.3,
            ellipse=True,
            draw_scores=False,
            enable_preview=False,
            keep_metadata=False,
        )

    return call


def _keep_memory() -> None:
    """Let glibc keep what a picture took: mapping 6 MB anew costs a floor of 20 ms some 5 ms of page faults."""
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**30)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**25)


def floor(picture: Path, model: ModelFile, threads: int, provider: str = "auto", inferences: int = 1) -> Call:
    """Decode as far as the accuracy rule asks, resize, infer; nothing around it, nothing after it."""
    _keep_memory()
    detector = _pipeline(picture, model, threads, provider, inferences).detector
    run, done = detector._onnx.run, Done(note=str(detector.execution.backend))
    data = picture.read_bytes()
    header = probe(data)
    flags = _REDUCED[reduction_for(header, SIDE)]
    tensor, inner = _tensor(header.upright_width, header.upright_height)

    def call() -> Done:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        kernels.letterbox(np.asarray(image, np.uint8), tensor, *inner, 127.5, 1 / 128)
        run(tensor)
        return done

    return call


def mask_floor(picture: Path, model: ModelFile, threads: int) -> Call:
    """Decode in full, resize, infer, encode; no mask is drawn."""
    _keep_memory()
    detector = _pipeline(picture, model, threads, "auto").detector
    run, done = detector._onnx.run, Done(note=str(detector.execution.backend))
    data = picture.read_bytes()
    header = probe(data)
    tensor, inner = _tensor(header.upright_width, header.upright_height)

    def call() -> Done:
        image = decode_in_full(data)
        kernels.letterbox(image, tensor, *inner, 127.5, 1 / 128)
        run(tensor)
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return done

    return call


def _tensor(width: int, height: int) -> tuple[Any, tuple[int, int]]:
    scale = min(SIDE / width, SIDE / height)
    inner = round(width * scale), round(height * scale)
    padded = [-(-side // 32) * 32 for side in inner]
    return np.empty((1, 3, padded[1], padded[0]), np.float32), inner


def full_decode(picture: Path) -> Call:
    """OpenCV's own decoding, at full size."""
    cv2.setNumThreads(1)
    data = picture.read_bytes()
    return lambda: decode_in_full(data)


def reduced_decode(picture: Path, reduced: bool) -> Call:
    """The service's decoding, at full size or only as large as detection needs."""
    data = picture.read_bytes()
    reduction = reduction_for(probe(data), SIDE) if reduced else 1
    return lambda: decode(data, probe(data), reduction=reduction)
