"""Pixels to bytes, without any metadata."""

import io

import cv2
import numpy as np
import numpy.typing as npt

from service.errors import RequestError
from service.schemas.parameters import ImageFormat

__all__ = ["MAX_SIDE", "check_encodable", "encode", "media_type"]

Pixels = npt.NDArray[np.uint8]

# What the formats and their encoders can hold: libjpeg's JPEG_MAX_DIMENSION, libwebp's WEBP_MAX_DIMENSION,
# libpng's default user limit.
MAX_SIDE: dict[str, int] = {"jpeg": 65500, "png": 1_000_000, "webp": 16383}

# On photographs the average filter alone takes two thirds of the time of choosing a filter for each row, and
# makes files of the same size.
_PNG_OPTIONS = [
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_AVG,
]
# libwebp's effort, 0 to 6. The least takes a third of the time of the usual 4; at quality 90 its files are 3 %
# larger, and 0.4 dB worse.
_WEBP_METHOD = 0


def media_type(output_format: ImageFormat) -> str:
    """The IANA media type of an output format."""
    return f"image/{output_format}"


def check_encodable(output_format: ImageFormat, width: int, height: int) -> None:
    """Refuse a picture that is too long or high for the format.

    Raises:
        RequestError: A side is over the format's limit.
    """
    limit = MAX_SIDE[output_format]
    if max(width, height) > limit:
        raise RequestError(
            f"format: {output_format} holds at most {limit} pixels on a side; the image is {width}x{height}"
        )


def encode(image: Pixels, output_format: ImageFormat, quality: int) -> bytes:
    """Encode pixels.

    Args:
        image: (height, width, 3) BGR or (height, width, 4) BGRA.
        output_format: ``jpeg`` flattens an alpha on white; ``png`` and ``webp`` keep it.
        quality: 1 to 100 for ``jpeg`` and ``webp``, which stays lossy at 100; ``png`` has none.

    Raises:
        RequestError: A side is over the format's limit.
    """
    check_encodable(output_format, image.shape[1], image.shape[0])
    match output_format:
        case "jpeg":
            return _imencode(".jpg", _flatten(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
        case "png":
            return _imencode(".png", image, _PNG_OPTIONS)
        case "webp":
            return _encode_webp(image, quality)


def _imencode(extension: str, image: Pixels, options: list[int]) -> bytes:
    done, encoded = cv2.imencode(extension, image, options)
    if not done:
        raise RuntimeError(f"OpenCV wrote no {extension} of {image.shape}")
    return encoded.tobytes()


def _encode_webp(image: Pixels, quality: int) -> bytes:
    """Encode with Pillow, since OpenCV has no setting for the effort."""
    # Importing it takes time at the start of every process, and most answers are JPEG.
    from PIL import Image

    height, width, channels = image.shape
    mode, layout = ("RGBA", "BGRA") if channels == 4 else ("RGB", "BGR")
    picture = Image.frombuffer(mode, (width, height), np.ascontiguousarray(image), "raw", layout, 0, 1)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality, method=_WEBP_METHOD)
    return file.getvalue()


def _flatten(image: Pixels) -> Pixels:
    """Lay a picture with alpha on white; one without is returned as it is."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint16)
    over_white = image[..., :3] * alpha + 255 * (255 - alpha)
    return ((over_white + 127) // 255).astype(np.uint8)
