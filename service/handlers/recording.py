"""Recording, as detect and mask use it: nothing where storage is off, else ids in the answer and durable rows."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec
from litestar import Request

from service.handlers.activity import note_work
from service.handlers.upload import Upload
from service.imaging.header import MIN_SIDE
from service.imaging.probe import probe
from service.pipeline import Stopwatch
from service.report import milliseconds
from service.schemas.detect import DetectResponse
from service.schemas.parameters import MaskParameters
from service.schemas.storage import JobDocument
from service.storage.archive import Archive
from service.storage.file_names import clean_file_name
from service.storage.images import NewImage
from service.storage.recorder import JobFacts, Recording, Source

__all__ = ["RequestRecording", "id_headers", "recording"]


class RequestRecording:
    """One request that may be recorded."""

    def __init__(self, inner: Recording | None, request: Request[Any, Any, Any], watch: Stopwatch) -> None:
        """Record with `inner`; None: storage is off."""
        self._inner = inner
        self._request = request
        self._watch = watch

    async def finish(
        self,
        answer: DetectResponse,
        *,
        picture: bytes | None = None,
        parameters: MaskParameters | None = None,
    ) -> DetectResponse:
        """Store what was found, where storage is on; the answer comes back with ids and with the time that it took.

        Args:
            answer: What detect answers.
            picture: The masked picture.
            parameters: How it was masked.

        Raises:
            ServiceUnavailable: It cannot be stored now; nothing of it stays.
        """
        if self._inner is None:
            note_work(self._request.scope, answer, 0)
            return answer
        stored = await self._store(self._inner, answer, picture, parameters)
        note_work(self._request.scope, stored, self._inner.stored_bytes)
        return stored

    async def _store(
        self,
        recording: Recording,
        answer: DetectResponse,
        picture: bytes | None,
        parameters: MaskParameters | None,
    ) -> DetectResponse:
        started = perf_counter()
        await recording.put(picture, f"image/{parameters.format}" if parameters else "")
        kept = _timed(answer, perf_counter() - started, self._watch.total())
        document = JobDocument(
            detections=kept.detections,
            summary=kept.summary,
            processing=kept.processing,
            profiling=kept.profiling,
        )
        key = self._request.scope["state"].get("api_key")
        facts = JobFacts(
            job_type="detect" if parameters is None else "mask",
            face_count=kept.summary.face_count,
            inference_ms=kept.processing.inference_ms,
            total_ms=kept.processing.total_ms,
            key_id=key.id if key is not None else None,
            method=parameters.method if parameters else None,
            strength=parameters.strength if parameters else None,
            padding=parameters.padding if parameters else None,
            result_format=parameters.format if parameters else None,
            result_quality=parameters.quality if parameters else None,
        )
        image_id = await recording.commit(facts, msgspec.json.encode(document).decode())
        timed = _timed(answer, perf_counter() - started, self._watch.total())
        return msgspec.structs.replace(timed, image_id=str(image_id), job_id=str(recording.job_id))


@asynccontextmanager
async def recording(
    archive: Archive | None,
    request: Request[Any, Any, Any],
    upload: Upload,
    watch: Stopwatch,
    *,
    max_pixels: int,
    result_format: str | None = None,
) -> AsyncIterator[RequestRecording]:
    """Store the original while the block works on it; whatever ends the block early, nothing of it stays.

    Args:
        archive: The storage; None where it is off.
        request: The request.
        upload: What it carried.
        watch: Started when the body had arrived.
        max_pixels: FACE_API_MAX_IMAGE_PIXELS: what is over it is not stored.
        result_format: Format of the masked picture, where there will be one.
    """
    if archive is None:
        yield RequestRecording(None, request, watch)
        return

    def describe(data: bytes) -> Source:
        header = probe(data, max_pixels=max_pixels, min_side=MIN_SIDE)
        image = NewImage(
            sha256=hashlib.sha256(data).hexdigest(),
            filename=clean_file_name(upload.filename, "") or None,
            content_type=f"image/{header.format}",
            size_bytes=len(data),
            width=header.upright_width,
            height=header.upright_height,
        )
        return Source(image, {"jpeg": "jpg", "tiff": "tif"}.get(header.format, header.format))

    extension = {"jpeg": "jpg"}.get(result_format, result_format) if result_format else None
    async with archive.recorder.recording(upload.image, describe, result_extension=extension) as inner:
        yield RequestRecording(inner, request, watch)


def id_headers(answer: DetectResponse) -> dict[str, str]:
    """The headers of an answer that was recorded."""
    ids = {"X-Image-Id": answer.image_id, "X-Job-Id": answer.job_id}
    return {name: value for name, value in ids.items() if value is not None}


def _timed(answer: DetectResponse, storage_seconds: float, total_seconds: float) -> DetectResponse:
    """The answer with the time that storing added to it."""
    total_ms = milliseconds(total_seconds)
    return msgspec.structs.replace(
        answer,
        processing=msgspec.structs.replace(answer.processing, total_ms=total_ms),
        profiling=msgspec.structs.replace(
            answer.profiling, total_ms=total_ms, storage_ms=milliseconds(storage_seconds)
        ),
    )
