"""What the kernel tests share: how many examples, pictures of every memory layout."""

import os
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

__all__ = ["LAYOUTS", "examples", "lay_out", "pictures", "psnr", "texture"]

Image = NDArray[np.uint8]

SANITIZING = os.environ.get("NATIVE_SANITIZE") == "1"
"""Set by native/sanitize.sh: everything runs some five times slower, so fewer examples."""

LAYOUTS = ("contiguous", "window", "upside down", "mirrored", "every second", "columns first", "planes")


def examples(number: int) -> settings:
    """Hypothesis settings for the property tests; no deadline, since test machines are shared."""
    return settings(
        max_examples=max(number // 5, 5) if SANITIZING else number,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def lay_out(picture: Image, layout: str) -> tuple[Image, Image]:
    """Put the picture into a larger buffer in a memory layout; returns the view and the buffer."""
    shape = picture.shape
    colours = shape[2:]
    base: Image
    if layout == "contiguous":
        base = np.full(shape, 77, np.uint8)
        view = base
    elif layout == "window":
        base = np.full((shape[0] + 5, shape[1] + 7, *colours), 77, np.uint8)
        view = base[2 : 2 + shape[0], 3 : 3 + shape[1]]
    elif layout == "upside down":
        base = np.full(shape, 77, np.uint8)
        view = base[::-1]
    elif layout == "mirrored":
        base = np.full(shape, 77, np.uint8)
        view = base[:, ::-1]
    elif layout == "every second":
        base = np.full((2 * shape[0], 2 * shape[1], *colours), 77, np.uint8)
        view = base[::2, ::2]
    elif layout == "columns first":
        base = np.full((shape[1], shape[0], *colours), 77, np.uint8)
        view = base.swapaxes(0, 1)
    else:
        base = np.full((*colours, *shape[:2]), 77, np.uint8)
        view = np.moveaxis(base, 0, -1) if colours else base
    view[...] = picture
    return view, base


@st.composite
def pictures(draw: st.DrawFn, side: int = 40) -> Image:
    """Random pictures: noise or flat, (H, W) or one to four channels."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    channels = draw(st.sampled_from([(), (1,), (2,), (3,), (4,)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    flat = draw(st.sampled_from([None, 0, 255]))
    if flat is not None:
        return np.full((height, width, *channels), flat, np.uint8)
    return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def texture(height: int, width: int, seed: int = 0) -> Image:
    """A smooth BGR picture with edges and a little noise, as photographs have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width, 3))
    for _ in range(12):
        fx, fy, phase = rng.uniform(0, 0.12), rng.uniform(0, 0.12), rng.uniform(0, 6.3, 3)
        wave = np.sin(fx * x + fy * y)[:, :, np.newaxis]
        picture += rng.uniform(5, 25) * np.sign(wave) ** rng.integers(0, 2) * np.abs(wave) * np.cos(phase)
    picture += 120 + rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures, dB."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
