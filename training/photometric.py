"""What light, cameras and files do to a picture: applied to a whole view, labels stay."""

import random

import cv2
import numpy as np

from training.geometry import Pixels

__all__ = ["compress", "disturb", "soften_or_sharpen", "speckle"]

_LEVELS = np.arange(256) / 255.0


def disturb(pixels: Pixels, rng: random.Random) -> Pixels:
    """Return a view in other light, colours or contrast, grey, blurred, enlarged, noisy or compressed, by chance."""
    for chance, effect in (
        (0.6, _tone),
        (0.06, _low_light),
        (0.4, _cast),
        (0.3, _saturation),
        (0.12, _overlay),
        (0.15, _blur),
        (0.1, _low_resolution),
        (0.15, _noise),
        (0.25, _jpeg),
    ):
        if rng.random() < chance:
            pixels = effect(pixels, rng)
    return pixels


def soften_or_sharpen(pixels: Pixels, rng: random.Random) -> Pixels:
    """Return a view a little softer or sharper, as another way to reduce it leaves it."""
    soft = cv2.GaussianBlur(pixels, (5, 5), rng.uniform(0.4, 0.8))
    amount = rng.uniform(-0.8, 1.0)
    return np.asarray(cv2.addWeighted(soft, amount, pixels, 1 - amount, 0), np.uint8)


def speckle(pixels: Pixels, rng: random.Random) -> Pixels:
    """Return a view with a little noise."""
    return _noise(pixels, rng, 1, 5)


def compress(pixels: Pixels, rng: random.Random) -> Pixels:
    """Return a view as a JPEG of good quality leaves it."""
    return _jpeg(pixels, rng, 65, 95)


def _tone(pixels: Pixels, rng: random.Random) -> Pixels:
    curve = _LEVELS ** rng.uniform(0.6, 1.6) * rng.uniform(0.7, 1.3) * 255 + rng.uniform(-25, 25)
    return np.asarray(cv2.LUT(pixels, np.clip(curve, 0, 255).astype(np.uint8)), np.uint8)


def _low_light(pixels: Pixels, rng: random.Random) -> Pixels:
    dark = np.asarray(
        cv2.LUT(pixels, (_LEVELS ** rng.uniform(1.2, 2.2) * rng.uniform(60, 140)).astype(np.uint8)), np.uint8
    )
    return _noise(dark, rng)


def _cast(pixels: Pixels, rng: random.Random) -> Pixels:
    gains = [rng.uniform(0.8, 1.2) for _ in range(3)]
    table = np.clip(np.arange(256)[:, None] * np.array(gains), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)


def _saturation(pixels: Pixels, rng: random.Random) -> Pixels:
    amount = rng.uniform(-0.5, 1.0) if rng.random() < 0.6 else 1.0
    return np.asarray(cv2.addWeighted(_grey(pixels), amount, pixels, 1 - amount, 0), np.uint8)


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def _overlay(pixels: Pixels, rng: random.Random) -> Pixels:
    """Faded to the range between two colours, as pictures behind a page's heading are; mostly from grey."""
    if rng.random() < 0.6:
        pixels = _grey(pixels)
    span = rng.uniform(60, 180)
    darkest = rng.uniform(0, 255 - span)
    dark = np.array([darkest + rng.uniform(-50, 50) for _ in range(3)])
    spans = np.array([span * rng.uniform(0.6, 1.2) for _ in range(3)])
    table = np.clip(dark + _LEVELS[:, None] * spans, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)


def _blur(pixels: Pixels, rng: random.Random) -> Pixels:
    if rng.random() < 0.6:
        side = rng.choice((3, 3, 5))
        return np.asarray(cv2.GaussianBlur(pixels, (side, side), 0), np.uint8)
    length = rng.choice((3, 5, 7))
    return np.asarray(cv2.blur(pixels, (length, 1) if rng.random() < 0.6 else (1, length)), np.uint8)


def _low_resolution(pixels: Pixels, rng: random.Random) -> Pixels:
    height, width = pixels.shape[:2]
    scale = rng.uniform(0.35, 0.8)
    small = cv2.resize(pixels, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noise(pixels: Pixels, rng: random.Random, least: float = 2, most: float = 14) -> Pixels:
    noise = np.random.default_rng(rng.randrange(2**31)).standard_normal(
        pixels.shape, np.float32
    ) * rng.uniform(least, most)
    return np.asarray(cv2.add(pixels, noise, dtype=cv2.CV_8U), np.uint8)


def _jpeg(pixels: Pixels, rng: random.Random, worst: int = 25, best: int = 85) -> Pixels:
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(worst, best)])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
