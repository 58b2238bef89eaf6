"""Pictures drawn here, the same ones every time."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FACES", "FULL_HD", "TWELVE_MEGAPIXELS", "draw", "jpeg", "write_jpeg"]

FULL_HD: Final = (1920, 1080)
TWELVE_MEGAPIXELS: Final = (4032, 3024)

Image = NDArray[np.uint8]

# Centre and size, as fractions of width, height and height.
_PLACES: Final = (
    (0.16, 0.34, 0.3),
    (0.5, 0.36, 0.38),
    (0.8, 0.3, 0.25),
    (0.26, 0.8, 0.2),
    (0.53, 0.82, 0.2),
    (0.8, 0.76, 0.28),
)
FACES: Final = len(_PLACES)


def draw(width: int, height: int) -> Image:
    """A ground as busy as a photograph (1.0 to 1.2 bits per px at quality 85) with six drawn faces."""
    rng = np.random.default_rng(1)
    ground = np.full((height, width, 3), 20, np.float32)
    # As in photographs, colours change slowly; the fine texture is of brightness.
    for grain, strength, channels in ((64, 110, 3), (8, 40, 1), (2, 24, 1)):
        shape = (height // grain + 2, width // grain + 2, channels)
        noise = rng.uniform(0, strength, shape).astype(np.float32)
        ground += cv2.resize(noise, (width, height)).reshape(height, width, channels)
    canvas = np.asarray(ground.clip(0, 255), np.uint8)
    for x, y, size in _PLACES:
        _draw_face(canvas, round(x * width), round(y * height), round(size * height))
    return canvas


def _draw_face(canvas: Image, x: int, y: int, size: int) -> None:
    """Draw a head of `size` px with hair, brows, eyes, nose and mouth."""

    def ellipse(u: float, v: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        centre = round(x + u * size), round(y + v * size)
        cv2.ellipse(
            canvas, centre, (round(wide * size), round(high * size)), 0, 0, 360, colour, -1, cv2.LINE_AA
        )

    skin, dark = (132, 171, 216), (40, 45, 60)
    ellipse(0, -0.08, 0.42, 0.5, dark)
    ellipse(0, 0.02, 0.35, 0.47, skin)
    ellipse(0, -0.36, 0.3, 0.12, dark)
    for u in (-0.16, 0.16):
        ellipse(u, -0.13, 0.1, 0.02, dark)
        ellipse(u, -0.03, 0.12, 0.07, (90, 120, 155))
        ellipse(u, -0.03, 0.085, 0.04, (235, 235, 235))
        ellipse(u, -0.03, 0.04, 0.04, (30, 30, 40))
        ellipse(u * 0.3, 0.18, 0.03, 0.02, (70, 90, 120))
    ellipse(0, 0.1, 0.035, 0.1, (150, 190, 230))
    ellipse(0, 0.31, 0.13, 0.04, (75, 70, 170))
    ellipse(0, 0.305, 0.12, 0.008, (35, 30, 70))
    around = np.s_[max(y - size // 2, 0) : y + size // 2, max(x - size // 2, 0) : x + size // 2]
    canvas[around] = cv2.GaussianBlur(canvas[around], (0, 0), max(size / 80, 0.3))


def jpeg(image: Image) -> bytes:
    """Encode at quality 85."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise RuntimeError("OpenCV wrote no JPEG")
    return data.tobytes()


def write_jpeg(folder: Path, size: tuple[int, int]) -> Path:
    """Draw a picture into a folder; gives its file."""
    path = folder / f"{size[0]}x{size[1]}.jpg"
    path.write_bytes(jpeg(draw(*size)))
    return path
