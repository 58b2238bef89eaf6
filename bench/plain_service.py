"""The service that most people write: FastAPI and uvicorn around OpenCV, NumPy and ONNX Runtime.

It is meant to be good of its kind: the model is loaded once, inference runs in FastAPI's thread pool so that the event
loop stays free, decoding and NMS are vectorised, uvicorn has uvloop and httptools. Nothing is slowed down. What it does
not do is what the service is about: no reduced decode, a square input, default session options, no limits, no checks.

Start it with ``PLAIN_MODEL=FILE uvicorn bench.plain_service:app``.
"""

import os
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, HTTPException, UploadFile

from bench.plain import PlainDetector

__all__ = ["app"]

app = FastAPI()
detector = PlainDetector(Path(os.environ["PLAIN_MODEL"]))


@app.post("/api/v1/detect")  # type: ignore[untyped-decorator]  # FastAPI is not installed for type checks
def detect(image: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Find the faces in a picture; a plain function, so that FastAPI runs it in its thread pool."""
    data = image.file.read()
    started = time.perf_counter()
    try:
        faces, landmarks = detector.detect(data)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return {
        "detections": [
            {"bbox": face[:4], "confidence": face[4], "landmarks": points}
            for face, points in zip(faces.tolist(), landmarks.tolist(), strict=True)
        ],
        "total_ms": round((time.perf_counter() - started) * 1e3, 2),
    }
