"""The data path of detect and mask, in order.

::

    bytes ─ probe ─▶ header ─ decode ─▶ pixels (upright) ─ letterbox ─▶ tensor ─ infer ─ decode+NMS ─▶ faces
      limits are checked on the header                     mask: faces + pixels ─▶ pixels ─ encode ─▶ bytes

Everything here is synchronous and runs in a worker thread, never on the event loop.

Copies of the file, after the server has read it: one, where the pieces that it came in are joined; of a form also the
first piece, which holds the part's header. Reading the header copies nothing but the header.

Copies of the pixels:

- the decoder writes them once: all of them to mask, fewer of a large JPEG to detect only;
- turning them upright writes them again, where the file has an orientation; so does leaving an alpha out or adding
  channels to gray;
- the letterbox reads them and writes the tensor, in one pass;
- masks are made in place;
- another ICC profile than sRGB, and alpha in a JPEG, each write them again;
- the JPEG and PNG encoders read them where they are, WebP's takes a copy first;
- the encoded file is copied once, from OpenCV's or Pillow's buffer into the answer's.
"""

from time import perf_counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.imaging.colour import read_profile, to_srgb
from service.imaging.decode import PixelRegion, decode, reduction_for, region_of
from service.imaging.encode import check_encodable, encode
from service.imaging.header import MIN_SIDE, ImageHeader
from service.imaging.mask import MaskOptions, mask_regions, padded_region
from service.imaging.probe import probe
from service.schemas.parameters import ImageFormat

__all__ = ["DetectResult", "EncodeOptions", "MaskResult", "Pipeline", "Stopwatch"]


class EncodeOptions(msgspec.Struct, frozen=True):
    """How to write the masked picture."""

    format: ImageFormat
    quality: int


class DetectResult(msgspec.Struct, frozen=True, kw_only=True):
    """Faces of one picture.

    Attributes:
        header: Facts about the picture.
        size_bytes: Size of the picture's file.
        options: The thresholds used.
        found: The faces.
        decode_seconds: Probing and decoding.
        total_seconds: From the bytes to the result.
    """

    header: ImageHeader
    size_bytes: int
    options: DetectionOptions
    found: FacesFound
    decode_seconds: float
    total_seconds: float


class MaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """A masked picture.

    Attributes:
        detected: The faces, all of them masked.
        picture: The encoded picture.
        mask_seconds: Masking alone.
        encode_seconds: Colour conversion and encoding.
    """

    detected: DetectResult
    picture: bytes
    mask_seconds: float
    encode_seconds: float


class Stopwatch:
    """Seconds since the start, and since the last lap."""

    def __init__(self) -> None:
        self._started = self._lap = perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = perf_counter()
        seconds, self._lap = now - self._lap, now
        return seconds

    def total(self) -> float:
        """Seconds since the start."""
        return perf_counter() - self._started


class Pipeline:
    """Detects and masks with one model and one limit. Thread-safe."""

    def __init__(self, detector: Detector, *, max_pixels: int) -> None:
        """Use `detector` on pictures of at most `max_pixels`."""
        self.detector = detector
        self._max_pixels = max_pixels

    def detect(self, data: bytes, options: DetectionOptions, watch: Stopwatch | None = None) -> DetectResult:
        """Find the faces of an encoded picture.

        Args:
            data: The picture's file.
            options: Thresholds.
            watch: Started earlier, when waiting for a thread is to count in the total.

        Raises:
            ImageError: The picture cannot be used.
            ServiceUnavailable: The model cannot run.
        """
        watch = watch or Stopwatch()
        watch.lap()
        header = probe(data, max_pixels=self._max_pixels, min_side=MIN_SIDE)
        reduction = reduction_for(header, self.detector.letterboxed_side())
        image = decode(data, header, reduction=reduction)
        return self._find(data, header, image, options, watch, region_of(header, reduction))

    def mask(
        self,
        data: bytes,
        options: DetectionOptions,
        masking: MaskOptions,
        encoding: EncodeOptions,
        watch: Stopwatch | None = None,
    ) -> MaskResult:
        """Find the faces of an encoded picture, mask them and encode the result.

        Args:
            data: The picture's file.
            options: Thresholds.
            masking: Method, strength and padding.
            encoding: Format and quality of the result.
            watch: Started earlier, when waiting for a thread is to count in the total.

        Raises:
            ImageError: The picture cannot be used.
            RequestError: The output format cannot hold a picture of this size.
            ServiceUnavailable: The model cannot run.
        """
        watch = watch or Stopwatch()
        watch.lap()
        header = probe(data, max_pixels=self._max_pixels, min_side=MIN_SIDE)
        width, height = header.upright_width, header.upright_height
        check_encodable(encoding.format, width, height)
        image = decode(data, header, keep_alpha=True)
        detected = self._find(data, header, image, options, watch)
        watch.lap()
        regions = [
            padded_region((x1, y1, x2, y2), masking.padding, width, height)
            for x1, y1, x2, y2 in detected.found.boxes().tolist()
        ]
        mask_regions(image, regions, masking)
        mask_seconds = watch.lap()
        picture = encode(to_srgb(image, read_profile(data, header)), encoding.format, encoding.quality)
        encode_seconds = watch.lap()
        return MaskResult(
            detected=msgspec.structs.replace(detected, total_seconds=watch.total()),
            picture=picture,
            mask_seconds=mask_seconds,
            encode_seconds=encode_seconds,
        )

    def _find(
        self,
        data: bytes,
        header: ImageHeader,
        image: NDArray[np.uint8],
        options: DetectionOptions,
        watch: Stopwatch,
        region: PixelRegion | None = None,
    ) -> DetectResult:
        decode_seconds = watch.lap()
        found = self.detector.detect(image, header.upright_width, header.upright_height, options, region)
        return DetectResult(
            header=header,
            size_bytes=len(data),
            options=options,
            found=found,
            decode_seconds=decode_seconds,
            total_seconds=watch.total(),
        )
