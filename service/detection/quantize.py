"""An int8 version of a model, and what it costs in faces.

Static quantisation by ONNX Runtime's own tools: QDQ nodes, unsigned 8-bit activations, signed 8-bit weights by channel,
ranges from the smallest and largest values that the calibration pictures cause. The heads stay in: leaving them, or the
first convolution, in float32 kept no more faces of scrfd_2.5g and was slower.
"""

import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.detection.agreement import Agreement, compare, total
from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.detection.registry import ModelFile
from service.errors import ImageError, ModelError
from service.imaging.decode import PixelRegion, decode, reduction_for, region_of
from service.imaging.probe import probe

__all__ = ["QuantizationReport", "quantize_model"]

# The first with scales by channel is 13; 17 is what every ONNX Runtime that we take knows.
_OPSET: Final = 17
_OPTIONS: Final = DetectionOptions(confidence=0.5, nms_threshold=0.4)
_RUNS: Final = 9


class QuantizationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was made and how good it is.

    Attributes:
        file: The new model.
        size_bytes: Its size.
        calibrated: Pictures that the ranges come from.
        held_out: Other pictures, which the accuracy comes from.
        skipped: Files that are no pictures, with the reason.
        kept: Faces of the held-out pictures, at threshold 0.5, that both models find.
        lost: Faces that only the float32 model finds.
        new: Faces that only the int8 model finds.
        lowest_iou: Of the two boxes of a face.
        largest_score_change: Of the two scores of a face.
        f32_ms: Time of one inference on the plain runtime in ms.
        int8_ms: The same of the new model.
    """

    file: str
    size_bytes: int
    calibrated: int
    held_out: int
    skipped: list[str]
    kept: int
    lost: int
    new: int
    lowest_iou: float
    largest_score_change: float
    f32_ms: float
    int8_ms: float


def quantize_model(
    model: ModelFile, pictures: Sequence[Path], target: Path, *, det_size: int, threads: int
) -> QuantizationReport:
    """Write an int8 version of a model and compare the two.

    Args:
        model: The float32 model.
        pictures: Picture files; every third is held out for the comparison.
        target: The new file, written whole or not at all.
        det_size: Side of the square input for a model of free size, px.
        threads: Threads of one inference.

    Raises:
        ModelError: The package onnx is missing, there are too few pictures, the model cannot be quantised, or the
            file cannot be written.
    """
    try:
        import onnx  # noqa: F401  # better said now than after reading the pictures
    except ImportError as error:
        raise ModelError("quantising needs the package onnx: pip install onnx") from error
    detector = Detector(model, det_size=det_size, threads=threads)
    usable, skipped = _usable(pictures)
    if len(usable) < 2:
        raise ModelError(f"{len(usable)} usable pictures: at least 2 are needed, 50 or more are better")
    held_out = usable[2::3] or usable[-1:]
    calibration = [path for path in usable if path not in held_out]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".quantize-") as folder:
            fresh = Path(folder) / target.name
            _quantize(model.path, fresh, (_tensor(detector, path) for path in calibration), Path(folder))
            int8 = Detector(ModelFile(target.stem, fresh, None), det_size=det_size, threads=threads)
            agreement, f32_ms, int8_ms = _compare(detector, int8, held_out)
            size = fresh.stat().st_size
            fresh.replace(target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error
    return QuantizationReport(
        file=str(target),
        size_bytes=size,
        calibrated=len(calibration),
        held_out=len(held_out),
        skipped=skipped,
        kept=agreement.kept,
        lost=agreement.lost,
        new=agreement.new,
        lowest_iou=round(agreement.lowest_iou, 4),
        largest_score_change=round(agreement.largest_score_change, 4),
        f32_ms=f32_ms,
        int8_ms=int8_ms,
    )


def _usable(pictures: Sequence[Path]) -> tuple[list[Path], list[str]]:
    usable, skipped = [], []
    for path in pictures:
        try:
            probe(path.read_bytes())
        except (ImageError, OSError) as error:
            skipped.append(
                f"{path.name}: {error.detail if isinstance(error, ImageError) else error.strerror}"
            )
        else:
            usable.append(path)
    return usable, skipped


class _Picture(NamedTuple):
    """What a detector takes: pixels, the size of the upright picture, and which part of the pixels is the picture."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    region: PixelRegion


def _read(detector: Detector, path: Path) -> _Picture:
    try:
        data = path.read_bytes()
        header = probe(data)
        reduction = reduction_for(header, detector.letterboxed_side())
        pixels = decode(data, header, reduction=reduction)
    except ImageError as error:
        raise ModelError(f"{path}: {error.detail}") from error
    return _Picture(pixels, header.upright_width, header.upright_height, region_of(header, reduction))


def _find(detector: Detector, picture: _Picture) -> FacesFound:
    return detector.detect(picture.pixels, picture.width, picture.height, _OPTIONS, picture.region)


def _tensor(detector: Detector, path: Path) -> NDArray[np.float32]:
    return detector.tensor_of(*_read(detector, path))


def _quantize(source: Path, target: Path, tensors: Iterator[NDArray[np.float32]], folder: Path) -> None:
    import onnx
    import onnx.version_converter
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # a class without types
        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            tensor = next(tensors, None)
            return None if tensor is None else {name: tensor}

    current, folded = folder / "current.onnx", folder / "folded.onnx"
    try:
        with _quiet():
            model: Any = onnx.load(source)
            name = model.graph.input[0].name
            version = next((item.version for item in model.opset_import if not item.domain), 0)
            if version < _OPSET:
                model = onnx.version_converter.convert_version(model, _OPSET)
            onnx.save(model, current)
            quant_pre_process(str(current), str(folded), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(folded),
                str(target),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
            )
            shortened: Any = onnx.load(target)
            _shorten_names(shortened.graph)
            onnx.save(shortened, target)
    except (OSError, ModelError):
        raise
    except Exception as error:  # what the tools raise on a model that they do not take is anything
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(f"{source}: cannot be quantised: {said}") from error


def _shorten_names(graph: Any) -> None:
    """Number the tensors within a graph and leave its nodes without names.

    The tools build a name for each new tensor from those before it; in a network of many small layers the names, and
    the shapes noted by name, weigh as much as the weights. What a tensor is for stays readable at its name's end.
    """
    given: set[str] = {value.name for value in (*graph.input, *graph.output)}
    names: dict[str, str] = {name: name for name in (*given, "")}
    numbers = count()

    def short(name: str) -> str:
        if name not in names:
            kind = next((end for end in ("_zero_point", "_scale") if name.endswith(end)), "")
            # Exporters like to give outputs numbers for names.
            names[name] = next(new for number in numbers if (new := f"{number}{kind}") not in given)
        return names[name]

    def rename(part: Any) -> None:
        for value in (*part.initializer, *part.input, *part.output):
            value.name = short(value.name)
        for node in part.node:
            node.name = ""
            for tensors in (node.input, node.output):
                tensors[:] = [short(name) for name in tensors]
            # The branches of an If, which see the tensors outside them.
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    rename(attribute.g)
        # Every runtime works the shapes out by itself.
        del part.value_info[:]

    rename(graph)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that the tools give on standard output and in the log."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _compare(f32: Detector, int8: Detector, pictures: Sequence[Path]) -> tuple[Agreement, float, float]:
    parts: list[Agreement] = []
    times: tuple[list[float], list[float]] = ([], [])
    for path in pictures:
        picture = _read(f32, path)
        found, again = (_find(detector, picture).faces for detector in (f32, int8))
        parts.append(compare(found, again, threshold=_OPTIONS.confidence))
    # In turn, so that what else the machine does meets both.
    picture = _read(f32, pictures[0])
    for _ in range(_RUNS):
        for detector, measured in zip((f32, int8), times, strict=True):
            measured.append(_find(detector, picture).inference_seconds * 1000)
    return total(parts), round(median(times[0]), 2), round(median(times[1]), 2)
