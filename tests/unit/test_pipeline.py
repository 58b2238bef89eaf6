"""Detect and mask from bytes to the result, with a model whose faces are known."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from service import pipeline as module
from service.detection.detector import DetectionOptions, Detector
from service.detection.registry import ModelFile
from service.errors import CorruptImage, ImageTooLarge, ImageTooSmall, RequestError
from service.imaging.decode import decode
from service.imaging.header import ImageHeader
from service.imaging.mask import MaskOptions
from service.imaging.probe import probe
from service.pipeline import EncodeOptions, Pipeline, Stopwatch
from service.settings import MaskMethod
from tests.onnx_models import REACH, picture_of_cells, scanner
from tests.pictures import encoded, png_bomb, upright

Pixels = npt.NDArray[np.uint8]

OPTIONS = DetectionOptions(confidence=0.5, nms_threshold=0.4)
SOLID = MaskOptions(method="solid", strength=20, padding=0.0)
PNG = EncodeOptions("png", 95)
CELLS = [(5, 4), (20, 10), (70, 30)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    path = scanner(tmp_path_factory.mktemp("models") / "scanner.onnx")
    return Pipeline(Detector(ModelFile("scanner", path, None), det_size=640), max_pixels=20_000_000)


def face(cell: tuple[int, int], size: float = 8) -> list[float]:
    column, row = cell
    return [(column - REACH) * size, (row - REACH) * size, (column + REACH) * size, (row + REACH) * size]


def reductions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The reduction of every picture decoded from now on."""
    seen: list[int] = []

    def recording(data: bytes, header: ImageHeader, **options: Any) -> Pixels:
        seen.append(options.get("reduction", 1))
        return decode(data, header, **options)

    monkeypatch.setattr(module, "decode", recording)
    return seen


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "JPEG", "WEBP"])
def test_faces_of_every_format(image_format: str, pipeline: Pipeline) -> None:
    careful: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}
    options = careful.get(image_format, {})
    data = encoded(picture_of_cells(640, 384, CELLS), image_format, **options)
    result = pipeline.detect(data, OPTIONS)
    assert result.size_bytes == len(data)
    assert result.header.format == image_format.lower()
    assert result.options is OPTIONS
    assert sorted(result.found.boxes().tolist()) == sorted(face(cell) for cell in CELLS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_coordinates_are_of_the_upright_picture(orientation: int, pipeline: Pipeline) -> None:
    stored = picture_of_cells(640, 384, CELLS)
    shown = upright(stored, orientation)
    result = pipeline.detect(encoded(stored, "JPEG", quality=100, orientation=orientation), OPTIONS)
    expected = pipeline.detect(encoded(shown, "PNG"), OPTIONS)
    assert (result.header.upright_width, result.header.upright_height) == shown.shape[1::-1]
    assert np.array_equal(result.found.boxes(), expected.found.boxes())


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_decoding(
    factor: int, orientation: int, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = reductions(monkeypatch)
    stored = picture_of_cells(640 * factor, 384 * factor, CELLS, size=8 * factor)
    result = pipeline.detect(encoded(stored, "JPEG", quality=90, orientation=orientation), OPTIONS)
    assert seen == [{1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 8: 4}[factor]]
    shown = pipeline.detect(encoded(upright(stored, orientation), "PNG"), OPTIONS)
    assert len(result.found.faces) == 3
    assert np.allclose(np.sort(result.found.boxes(), 0), np.sort(shown.found.boxes(), 0), atol=0.1)


@pytest.mark.parametrize(
    ("width", "height", "reduction"),
    [(2558, 1600, 1), (2560, 1600, 2), (1600, 2560, 2), (5116, 64, 2), (5120, 64, 4)],
)
def test_never_under_twice_the_input(
    width: int, height: int, reduction: int, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = reductions(monkeypatch)
    pipeline.detect(encoded(np.zeros((height, width, 3), np.uint8), "JPEG"), OPTIONS)
    assert seen == [reduction]


def test_mask_decodes_in_full(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reductions(monkeypatch)
    stored = picture_of_cells(2560, 1536, CELLS, size=32)
    result = pipeline.mask(encoded(stored, "JPEG"), OPTIONS, SOLID, PNG)
    assert seen == [1]
    assert probe(result.picture).width == 2560


@pytest.mark.parametrize("method", ["gaussian", "pixelate", "solid", "elliptical"])
@pytest.mark.parametrize("padding", [0.0, 0.35])
@pytest.mark.parametrize("alpha", [False, True])
def test_only_the_padded_boxes_change(
    method: MaskMethod, padding: float, alpha: bool, pipeline: Pipeline
) -> None:
    picture = picture_of_cells(640, 384, CELLS)
    picture += np.random.default_rng(0).integers(0, 40, picture.shape, np.uint8) * (picture == 0)
    if alpha:
        picture = np.dstack([picture, np.arange(384 * 640, dtype=np.uint8).reshape(384, 640)])
    data = encoded(picture, "PNG")
    masking = MaskOptions(method=method, strength=9, padding=padding)
    result = pipeline.mask(data, OPTIONS, masking, PNG)
    output = decode(result.picture, probe(result.picture), keep_alpha=alpha)
    source = decode(data, probe(data), keep_alpha=alpha)
    inside = np.zeros(source.shape[:2], bool)
    for x1, y1, x2, y2 in result.detected.found.boxes():
        wide, high = (x2 - x1) * padding, (y2 - y1) * padding
        inside[
            int(max(0, np.floor(y1 - high))) : int(np.ceil(y2 + high)),
            int(max(0, np.floor(x1 - wide))) : int(np.ceil(x2 + wide)),
        ] = True
    assert np.array_equal(output[~inside], source[~inside])
    assert (output[inside] != source[inside]).any()
    assert output.shape[2] == (4 if alpha else 3)
    if alpha:
        assert np.array_equal(output[..., 3], source[..., 3])
    if method == "solid":
        assert not output[inside][:, :3].any()


def test_max_faces_masks_only_the_best(pipeline: Pipeline) -> None:
    picture = picture_of_cells(640, 384, CELLS)
    one = DetectionOptions(confidence=0.5, nms_threshold=0.4, max_faces=1)
    result = pipeline.mask(encoded(picture, "PNG"), one, SOLID, PNG)
    assert len(result.detected.found.faces) == 1
    again = pipeline.detect(result.picture, OPTIONS)
    assert len(again.found.faces) == 2


def test_no_faces(pipeline: Pipeline) -> None:
    data = encoded(np.full((100, 150, 3), 90, np.uint8), "PNG")
    result = pipeline.mask(data, OPTIONS, SOLID, PNG)
    assert len(result.detected.found.faces) == 0
    assert np.array_equal(decode(result.picture, probe(result.picture)), decode(data, probe(data)))


def test_a_thousand_faces(pipeline: Pipeline) -> None:
    cells = [(2 + 2 * column, 2 + 2 * row) for row in range(23) for column in range(38)]
    picture = picture_of_cells(640, 384, cells)
    every = DetectionOptions(confidence=0.01, nms_threshold=1.0)
    result = pipeline.mask(encoded(picture, "PNG"), every, SOLID, PNG)
    assert len(result.detected.found.faces) >= 800
    assert len(pipeline.detect(result.picture, OPTIONS).found.faces) == 0


def test_times_add_up(pipeline: Pipeline) -> None:
    watch = Stopwatch()
    result = pipeline.mask(encoded(picture_of_cells(640, 384, CELLS), "PNG"), OPTIONS, SOLID, PNG, watch)
    detected, found = result.detected, result.detected.found
    steps = (
        detected.decode_seconds,
        found.preprocess_seconds,
        found.inference_seconds,
        found.postprocess_seconds,
        result.mask_seconds,
        result.encode_seconds,
    )
    assert min(steps) > 0
    assert sum(steps) <= detected.total_seconds <= watch.total()


def test_waiting_counts_in_the_total_only(pipeline: Pipeline) -> None:
    watch = Stopwatch()
    watch._started -= 5
    watch._lap -= 5
    result = pipeline.detect(encoded(picture_of_cells(64, 64, []), "PNG"), OPTIONS, watch)
    assert result.decode_seconds < 5 < result.total_seconds


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", CorruptImage),
        (png_bomb(), ImageTooLarge),
        (encoded(np.zeros((9, 50, 3), np.uint8), "PNG"), ImageTooSmall),
    ],
    ids=["empty", "bomb", "small"],
)
def test_refused_on_the_header(
    data: bytes, error: type[Exception], pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = reductions(monkeypatch)
    with pytest.raises(error):
        pipeline.detect(data, OPTIONS)
    with pytest.raises(error):
        pipeline.mask(data, OPTIONS, SOLID, PNG)
    assert seen == []


def test_a_side_too_long_for_the_format_is_refused_before_decoding(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = reductions(monkeypatch)
    data = encoded(np.zeros((16, 16400, 3), np.uint8), "PNG")
    with pytest.raises(RequestError, match=r"^format: webp holds at most 16383 pixels on a side"):
        pipeline.mask(data, OPTIONS, SOLID, EncodeOptions("webp", 90))
    assert seen == []


def test_cut_jpeg_is_not_half_masked(pipeline: Pipeline) -> None:
    data = encoded(picture_of_cells(640, 384, CELLS), "JPEG")
    with pytest.raises(CorruptImage):
        pipeline.mask(data[: len(data) * 2 // 3], OPTIONS, SOLID, PNG)


def test_square_model_of_fixed_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scanner(tmp_path / "fixed.onnx", size=(320, 320))
    fixed = Pipeline(Detector(ModelFile("fixed", path, None), det_size=640), max_pixels=20_000_000)
    seen = reductions(monkeypatch)
    stored = picture_of_cells(1280, 768, [(10, 6), (30, 12)], size=32)
    result = fixed.detect(encoded(stored, "JPEG", quality=95), OPTIONS)
    assert seen == [2]
    assert result.found.tensor_size == (320, 320)
    assert sorted(result.found.boxes().tolist()) == sorted(face(cell, 32) for cell in [(10, 6), (30, 12)])
