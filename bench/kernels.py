"""The compiled kernels against NumPy and OpenCV, on pictures and detector outputs drawn here."""

from functools import partial
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.plan import Plan
from bench.report import Row, Target, judged, reference
from bench.worker import Call, Factory, take_turns
from native import kernels
from native import reference as twins

__all__ = ["run"]

SUITE: Final = "kernels"
STRIDES: Final = (8, 16, 32)
SIDE: Final = 640

Image = NDArray[np.uint8]
Outputs = tuple[list[NDArray[np.float32]], list[NDArray[np.float32]], list[NDArray[np.float32]]]


def run(plan: Plan) -> list[Row]:
    """Run the suite; about half a minute, half of it when quick."""
    seconds = 0.5 if plan.quick else 1.5
    cases: list[tuple[str, str, Factory, Factory, Target | None]] = [
        (
            "decode + NMS, 150 faces, from 0.5",
            "NumPy twin",
            partial(decoding, False, 0.0, 0.5),
            partial(decoding, True, 0.0, 0.5),
            Target(20, floor=12),
        ),
        (
            "decode + NMS, 2,500 candidates, from 0.02",
            "NumPy twin",
            partial(decoding, False, 0.13, 0.02),
            partial(decoding, True, 0.13, 0.02),
            Target(50, floor=30),
        ),
        (
            "gaussian 199 on 400 x 400",
            "cv2.GaussianBlur",
            opencv_blur,
            partial(blur, "gaussian"),
            Target(30),
        ),
        ("ellipse 199 on 400 x 400", "cv2.GaussianBlur", opencv_blur, partial(blur, "ellipse"), Target(30)),
        _letterbox_case(1920, 1080, Target(1)),
        _letterbox_case(1280, 853, None),
        ("pixelate 16 on 400 x 400", "cv2.resize twice", opencv_pixelate, pixelate, None),
    ]
    rows = []
    for case, name, theirs, ours, target in cases:
        timings = take_turns({name: theirs, "native": ours}, seconds)
        rows.append(reference(SUITE, case, name, timings[name]))
        rows.append(judged(SUITE, case, "native", timings["native"], timings[name], target))
    return rows


def _letterbox_case(
    width: int, height: int, target: Target | None
) -> tuple[str, str, Factory, Factory, Target | None]:
    name = "cv2.resize + blobFromImage"
    case = f"letterbox {width} x {height}"
    return case, name, partial(opencv_letterbox, width, height), partial(letterbox, width, height), target


def texture(height: int, width: int) -> Image:
    """Random blobs, smooth as a photograph is."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def crowd(faces: int, noise: float) -> Outputs:
    """Outputs of a detector that looks at a crowd.

    Args:
        faces: Faces, 16 to 60 px wide, anywhere in the 640 x 640 input; anchors near a centre score high and give
            that face's box, a little off.
        noise: Share of the other anchors that score between 0.02 and 0.4, with boxes of their own.
    """
    rng = np.random.default_rng(0)
    centres, sizes = rng.uniform(20, SIDE - 20, (faces, 2)), rng.uniform(16, 60, faces)
    outputs: Outputs = ([], [], [])
    for stride in STRIDES:
        columns = SIDE // stride
        n = 2 * columns**2
        cell = np.arange(n) // 2
        anchor = np.stack([cell % columns, cell // columns], axis=1) * float(stride)
        distance = np.linalg.norm(anchor[:, np.newaxis] - centres, axis=2) / sizes
        face = distance.argmin(axis=1)
        near, size = distance.min(axis=1), sizes[face]
        low, high = {8: (0, 32), 16: (20, 70), 32: (48, 1000)}[stride]
        seen = (near < 0.25) & (size >= low) & (size < high)
        score = np.where(rng.random(n) < noise, rng.uniform(0.02, 0.4, n), rng.uniform(0, 0.015, n))
        score = np.where(seen, 0.95 - 1.2 * near + rng.normal(0, 0.05, n), score).clip(0, 1)
        offset, half = anchor - centres[face], size[:, np.newaxis] / 2
        true = np.concatenate([half + offset, half - offset], axis=1) / stride
        boxes = np.where(near[:, np.newaxis] < 0.5, true, rng.uniform(0.5, 3, (n, 4)))
        outputs[0].append(score[:, np.newaxis].astype(np.float32))
        outputs[1].append((boxes + rng.normal(0, 0.05, (n, 4))).astype(np.float32))
        outputs[2].append(rng.normal(0, 1, (n, 10)).astype(np.float32))
    return outputs


def decoding(native: bool, noise: float, threshold: float) -> Call:
    """Decoding with suppression, three strides, landmarks included: the kernel or its twin in NumPy."""
    outputs = crowd(150, noise)
    function = kernels.decode_detections if native else twins.decode_detections
    return lambda: function(
        *outputs,
        STRIDES,
        2,
        SIDE,
        score_threshold=threshold,
        nms_threshold=0.4,
        scale=0.5,
        width=1280,
        height=1280,
    )


def blur(name: str) -> Call:
    """One of the two blurs at strength 199 on one face."""
    face = texture(400, 400)
    mask = {"gaussian": kernels.gaussian, "ellipse": kernels.ellipse}[name]
    return lambda: mask(face, 0, 0, 400, 400, 199)


def opencv_blur() -> Call:
    """OpenCV's Gaussian blur of the same size."""
    cv2.setNumThreads(1)
    face = texture(400, 400)
    return lambda: cv2.GaussianBlur(face, (199, 199), 0, dst=face)


def _letterboxed(width: int, height: int) -> tuple[int, int]:
    return SIDE, round(height * SIDE / width)


def letterbox(width: int, height: int) -> Call:
    """A picture to a model input 640 px wide, normalised as SCRFD wants it."""
    picture, inner = texture(height, width), _letterboxed(width, height)
    tensor = np.empty((1, 3, -(-inner[1] // 32) * 32, SIDE), np.float32)
    return lambda: kernels.letterbox(picture, tensor, *inner, 127.5, 1 / 128)


def opencv_letterbox(width: int, height: int) -> Call:
    """The same with OpenCV."""
    cv2.setNumThreads(1)
    picture, inner = texture(height, width), _letterboxed(width, height)
    padded_height = -(-inner[1] // 32) * 32

    def call() -> object:
        padded = np.zeros((padded_height, SIDE, 3), np.uint8)
        padded[: inner[1]] = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
        return cv2.dnn.blobFromImage(padded, 1 / 128, (SIDE, padded_height), (127.5,) * 3, swapRB=True)

    return call


def pixelate() -> Call:
    """A mosaic on one face."""
    face = texture(400, 400)
    return lambda: kernels.pixelate(face, 0, 0, 400, 400, 16)


def opencv_pixelate() -> Call:
    """The usual one with OpenCV: down by area, up by nearest neighbour."""
    cv2.setNumThreads(1)
    face = texture(400, 400)

    def call() -> object:
        cells = cv2.resize(face, (25, 25), interpolation=cv2.INTER_AREA)
        return cv2.resize(cells, (400, 400), dst=face, interpolation=cv2.INTER_NEAREST)

    return call
