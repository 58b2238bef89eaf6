"""Other providers and less precision on real photographs, against the plain runtime in float32."""

from functools import cache

import pytest

from service.detection.agreement import Agreement, compare
from service.detection.detector import DetectionOptions, Detector
from service.detection.execution import Backend, Execution
from service.detection.providers import check_available, usable_providers
from service.detection.registry import BUNDLED_DIR, ModelFile
from service.errors import ModelError
from service.imaging.decode import decode
from service.imaging.probe import probe
from tests.accuracy.conftest import SHARED, Photograph, existing
from tests.accuracy.test_photographs import MODELS, PHOTOGRAPHS

THRESHOLD, MARGIN = 0.5, 0.03


def backends() -> list[Backend]:
    """All that is here besides the plain runtime."""
    found = [Backend(provider) for provider in usable_providers() if provider not in {"cpu", "tensorrt"}]
    try:
        check_available(Backend("openvino", "bf16"))
    except ModelError:
        return found
    return [*found, Backend("openvino", "bf16")]


@cache
def detector(name: str, backend: Backend) -> Detector:
    bundled = BUNDLED_DIR / f"{name}.onnx"
    path = bundled if bundled.is_file() else existing(SHARED / "models" / f"{name}.onnx")
    execution = Execution(provider=backend.provider, precision=backend.precision, reason="the test")
    return Detector(ModelFile(name, path, None), det_size=640, threads=2, execution=execution)


def agreement(name: str, backend: Backend, data: bytes) -> Agreement:
    header = probe(data)
    image = decode(data, header)
    options = DetectionOptions(confidence=THRESHOLD - MARGIN, nms_threshold=0.4)
    first, second = (
        detector(name, one).detect(image, header.upright_width, header.upright_height, options).faces
        for one in (Backend("cpu"), backend)
    )
    return compare(first, second, threshold=THRESHOLD)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backend", backends(), ids=str)
def test_the_same_faces(backend: Backend, model: str, name: str, photograph: Photograph) -> None:
    result = agreement(model, backend, photograph(name))
    assert result.compared
    # In bfloat16 two anchors of one face can score the same, and NMS then keeps the other one's box.
    least_iou, most_apart = (0.999, 0.001) if backend.precision == "f32" else (0.75, 0.03)
    assert result.within(least_iou=least_iou, most_apart=most_apart), str(result)
