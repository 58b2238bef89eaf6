"""Masked pictures: every method and format, what is covered, what is left alone, what is gone."""

import io
import itertools
import math
from typing import Any

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.faces import face_scene
from tests.integration.test_detect import detect
from tests.pictures import Pixels, encoded, exif_block, jpeg_with_everything

METHODS = ("gaussian", "pixelate", "solid", "elliptical")
FORMATS = ("jpeg", "png", "webp")
STEPS = ("decode", "preprocess", "inference", "postprocess", "mask", "encode", "total")


def mask(client: httpx.Client, picture: bytes, **parameters: Any) -> httpx.Response:
    answer = client.post("/api/v1/mask", files={"image": ("photo", picture)}, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer


def pixels_of(data: bytes) -> Pixels:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def covered(
    faces: list[dict[str, Any]], width: int, height: int, padding: float = 0.15
) -> npt.NDArray[np.bool_]:
    """(height, width): True inside the padded boxes."""
    inside = np.zeros((height, width), np.bool_)
    for face in faces:
        box, size = face["bbox"], face["size"]
        x1 = max(0, math.floor(box["x1"] - padding * size["width"] + 1e-6))
        y1 = max(0, math.floor(box["y1"] - padding * size["height"] + 1e-6))
        x2 = math.ceil(box["x2"] + padding * size["width"] - 1e-6)
        y2 = math.ceil(box["y2"] + padding * size["height"] - 1e-6)
        inside[y1:y2, x1:x2] = True
    return inside


@pytest.mark.parametrize(("method", "image_format"), list(itertools.product(METHODS, FORMATS)))
def test_every_method_and_format(
    client: httpx.Client, face_png: bytes, method: str, image_format: str
) -> None:
    answer = mask(client, face_png, method=method, format=image_format)
    assert answer.headers["content-type"] == f"image/{image_format}"
    assert int(answer.headers["content-length"]) == len(answer.content)
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.format == image_format.upper()
    assert picture.size == (640, 512)
    headers = answer.headers
    assert headers["x-face-count"] == "3"
    assert headers["x-model"] == client.get("/health").json()["model"]
    assert (headers["x-image-width"], headers["x-image-height"]) == ("640", "512")
    assert headers["x-blur-method"] == method
    assert float(headers["x-det-scale"]) == 1
    for name in ("decode", "inference", "mask", "encode", "total"):
        assert float(headers[f"x-{name}-ms"]) >= 0
    assert "x-image-id" not in headers
    assert "x-job-id" not in headers
    timing = dict(step.split(";dur=") for step in headers["server-timing"].split(", "))
    assert tuple(timing) == STEPS
    assert float(timing["total"]) == float(headers["x-total-ms"])
    parts = sum(float(timing[step]) for step in STEPS[:-1])
    assert parts <= float(timing["total"]) + 0.05


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP"])
def test_outside_the_padded_boxes_every_pixel_is_the_decoders(
    client: httpx.Client, source: str, method: str
) -> None:
    data = encoded(face_scene(), source, quality=80)
    faces = detect(client, data)["detections"]
    assert faces
    masked = pixels_of(mask(client, data, method=method, format="png").content)
    original = pixels_of(data)
    changed = (masked != original).any(axis=2)
    assert not changed[~covered(faces, 640, 512)].any()
    assert changed[covered(faces, 640, 512)].mean() > 0.5


@pytest.mark.parametrize("padding", [0, 0.5, 2])
def test_padding_widens_the_box(client: httpx.Client, face_png: bytes, padding: float) -> None:
    faces = detect(client, face_png, max_faces=1)["detections"]
    answer = mask(client, face_png, method="solid", format="png", padding=padding, max_faces=1)
    assert answer.headers["x-face-count"] == "1"
    black = (pixels_of(answer.content) == 0).all(axis=2)
    assert np.array_equal(black, covered(faces, 640, 512, padding))


def test_pixelate_makes_blocks_of_the_strength(client: httpx.Client, face_png: bytes) -> None:
    boxes = [face["bbox"] for face in detect(client, face_png)["detections"]]
    answer = mask(client, face_png, method="pixelate", strength=20, format="png", padding=0)
    masked = pixels_of(answer.content)
    whole = 0
    for box in boxes:
        left, top, right, bottom = (math.floor(box[side]) for side in ("x1", "y1", "x2", "y2"))
        for row, column in itertools.product(range(top, bottom, 20), range(left, right, 20)):
            block = masked[row : min(row + 20, bottom), column : min(column + 20, right)]
            assert (block == block[0, 0]).all()
            whole += block.shape == (20, 20, 3)
    assert len(boxes) == 3
    assert whole >= 16


@pytest.mark.parametrize("method", ["gaussian", "pixelate", "solid"])
@pytest.mark.parametrize("image_format", FORMATS)
def test_masked_faces_are_not_found_again(
    client: httpx.Client, face_png: bytes, method: str, image_format: str
) -> None:
    strength = 32 if method == "pixelate" else 199
    masked = mask(client, face_png, method=method, format=image_format, strength=strength).content
    assert detect(client, masked, confidence=0.3)["detections"] == []


def test_quality_changes_the_size(client: httpx.Client, face_png: bytes) -> None:
    for image_format in ("jpeg", "webp"):
        sizes = [
            len(mask(client, face_png, format=image_format, quality=quality).content)
            for quality in (10, 60, 100)
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1] / 2


def test_a_picture_without_faces_comes_back_unchanged(client: httpx.Client) -> None:
    data = encoded(face_scene(faces=0), "PNG")
    answer = mask(client, data, format="png")
    assert answer.headers["x-face-count"] == "0"
    assert np.array_equal(pixels_of(answer.content), pixels_of(data))


@pytest.mark.parametrize("image_format", FORMATS)
def test_nothing_but_pixels_comes_back(client: httpx.Client, image_format: str) -> None:
    answer = mask(client, jpeg_with_everything(face_scene()), format=image_format)
    assert int(answer.headers["x-face-count"]) > 0
    for trace in (
        b"SECRET",
        b"Exif\0",
        b"xmpmeta",
        b"XMP \0",
        b"ICC_PROFILE",
        b"iCCP",
        b"EXIF",
        b"eXIf",
        b"tEXt",
    ):
        assert trace not in answer.content
    picture = Image.open(io.BytesIO(answer.content))
    assert not picture.getexif()
    # A JPEG's own header (JFIF) is all that may be left.
    assert (
        not set(picture.info)
        - {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "loop"}
        - {
            "background",
            "timestamp",
            "duration",
        }
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_answer_is_upright(client: httpx.Client, orientation: int) -> None:
    plain = face_scene()
    undo = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.swapaxes(0, 1),
        6: np.rot90(plain, 1),
        7: plain[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(plain, -1),
    }[orientation]
    stored = np.ascontiguousarray(undo)
    data = encoded(stored, "PNG", exif=exif_block(orientation))
    faces = detect(client, data)
    assert faces["image"]["width"] == 640
    assert faces["image"]["height"] == 512
    assert [face["bbox"] for face in faces["detections"]] == [
        face["bbox"] for face in detect(client, encoded(plain, "PNG"))["detections"]
    ]
    answer = mask(client, data, format="png", method="solid")
    assert (answer.headers["x-image-width"], answer.headers["x-image-height"]) == ("640", "512")
    masked = pixels_of(answer.content)[..., ::-1]
    outside = ~covered(faces["detections"], 640, 512)
    assert np.array_equal(masked[outside], plain[outside])
    assert not Image.open(io.BytesIO(answer.content)).getexif()


def test_alpha_is_kept_or_laid_on_white(client: httpx.Client) -> None:
    alpha = np.full((512, 640, 1), 255, np.uint8)
    alpha[:, :30] = 0
    alpha[200:, 500:] = 128
    data = encoded(np.dstack([face_scene(), alpha]), "PNG")
    faces = detect(client, data)["detections"]
    assert len(faces) == 3
    kept = pixels_of(mask(client, data, format="png", method="solid").content)
    assert np.array_equal(kept[..., 3], alpha[..., 0])
    outside = ~covered(faces, 640, 512)
    assert np.array_equal(kept[outside], pixels_of(data)[outside])
    webp = pixels_of(mask(client, data, format="webp").content)
    assert np.array_equal(webp[..., 3], alpha[..., 0])
    jpeg = pixels_of(mask(client, data, format="jpeg", quality=100).content)
    assert jpeg.shape == (512, 640, 3)
    assert (jpeg[:, :20] > 250).all()


def test_a_picture_too_long_for_webp_is_refused(client: httpx.Client) -> None:
    data = encoded(np.zeros((10, 16400, 3), np.uint8), "PNG")
    answer = client.post("/api/v1/mask", files={"image": data}, params={"format": "webp"})
    assert answer.status_code == 400
    assert "16383" in answer.json()["detail"]
    assert client.post("/api/v1/mask", files={"image": data}, params={"format": "png"}).status_code == 200
