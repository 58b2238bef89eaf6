"""One picture of a batch: read, detect or mask, write; whatever goes wrong becomes an outcome with a reason."""

import uuid
from collections.abc import Callable
from typing import Literal

import msgspec

from service.cli.files import STDIN, read_picture, reason
from service.cli.outputs import STDOUT, Task, write_whole
from service.detection.detector import DetectionOptions
from service.detection.loading import load_detector
from service.errors import FaceApiError, ImageError, ImageTooLarge
from service.imaging.colour import read_profile, to_srgb
from service.imaging.decode import decode
from service.imaging.draw import draw_face
from service.imaging.encode import check_encodable, encode
from service.imaging.mask import MaskOptions
from service.imaging.opencv import configure_opencv
from service.imaging.probe import probe
from service.pipeline import DetectResult, EncodeOptions, Pipeline
from service.report import detect_response
from service.schemas.detect import Detection, DetectResponse
from service.schemas.parameters import ImageFormat
from service.settings import SettingsReport

__all__ = ["Engine", "Outcome"]

_DRAWN_QUALITY = 95


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one picture.

    Attributes:
        task: The picture and its output.
        status: Whether the work was done.
        error: Why not.
        response: What was found, as HTTP answers it.
        payload: The picture for standard output.
    """

    task: Task
    status: Literal["done", "failed"]
    error: str | None = None
    response: DetectResponse | None = None
    payload: bytes | None = None


class Engine:
    """Does the work of the command line with the service's own pipeline. Thread-safe."""

    def __init__(
        self, report: SettingsReport, *, stdin: bytes | None = None, overwrite: bool = False
    ) -> None:
        """Load the model.

        Args:
            report: Checked settings.
            stdin: What standard input gave, if it is an input.
            overwrite: Whether outputs may be replaced.

        Raises:
            ModelError: The model is missing, corrupt or no detector.
        """
        configure_opencv()
        self._max_bytes = report.settings.max_image_bytes
        self._pipeline = Pipeline(load_detector(report), max_pixels=report.settings.max_image_pixels)
        self._stdin = stdin
        self._overwrite = overwrite

    def detect(self, task: Task, options: DetectionOptions) -> Outcome:
        """Find the faces of a picture; with a target also draw them."""
        return self._guarded(task, lambda: self._detect(task, options))

    def mask(self, task: Task, options: DetectionOptions, masking: MaskOptions, quality: int) -> Outcome:
        """Mask the faces of a picture and write the result."""
        return self._guarded(task, lambda: self._mask(task, options, masking, quality))

    def _detect(self, task: Task, options: DetectionOptions) -> Outcome:
        data = self._read(task)
        result = self._pipeline.detect(data, options)
        response = detect_response(result, self._pipeline.detector, request_id=str(uuid.uuid4()))
        if task.target is not None:
            drawn = _drawn(data, result, response.detections, task.format or _format_of(data))
            write_whole(task.target, drawn, overwrite=self._overwrite)
        return Outcome(task=task, status="done", response=response)

    def _mask(self, task: Task, options: DetectionOptions, masking: MaskOptions, quality: int) -> Outcome:
        data = self._read(task)
        encoding = EncodeOptions(task.format or _format_of(data), quality)
        masked = self._pipeline.mask(data, options, masking, encoding)
        response = detect_response(
            masked.detected, self._pipeline.detector, request_id=str(uuid.uuid4()), masked=masked
        )
        if task.target == STDOUT:
            return Outcome(task=task, status="done", response=response, payload=masked.picture)
        if task.target is not None:
            write_whole(task.target, masked.picture, overwrite=self._overwrite)
        return Outcome(task=task, status="done", response=response)

    def _read(self, task: Task) -> bytes:
        if task.picture.source == STDIN:
            data = self._stdin if self._stdin is not None and len(self._stdin) <= self._max_bytes else None
        else:
            data = read_picture(task.picture, self._max_bytes)
        if data is None:
            raise ImageTooLarge(
                f"the file is too large; a picture may have at most {self._max_bytes:,} bytes "
                "(FACE_API_MAX_IMAGE_BYTES)"
            )
        return data

    def _guarded(self, task: Task, work: Callable[[], Outcome]) -> Outcome:
        try:
            return work()
        except FaceApiError as error:
            why = error.detail
        except OSError as error:
            why = reason(error)
        except MemoryError:
            why = "not enough memory"
        except Exception as error:  # noqa: BLE001  # a fault of ours with one picture must not end the batch
            why = f"internal error: {type(error).__name__}: {error}"
        return Outcome(task=task, status="failed", error=why)


def _format_of(data: bytes) -> ImageFormat:
    """The format of the bytes where it can be written, else JPEG."""
    try:
        found = probe(data).format
    except ImageError:
        # The pipeline will say what is wrong with them.
        return "jpeg"
    return found if found in ("jpeg", "png", "webp") else "jpeg"


def _drawn(data: bytes, result: DetectResult, faces: list[Detection], image_format: ImageFormat) -> bytes:
    check_encodable(image_format, result.header.upright_width, result.header.upright_height)
    image = decode(data, result.header, keep_alpha=True)
    for face in faces:
        box, points = face.bbox, face.landmarks
        landmarks = [getattr(points, name) for name in points.__struct_fields__] if points else []
        draw_face(
            image,
            (box.x1, box.y1, box.x2, box.y2),
            [(point.x, point.y) for point in landmarks],
            f"{face.confidence:.2f}",
        )
    return encode(to_srgb(image, read_profile(data, result.header)), image_format, _DRAWN_QUALITY)
