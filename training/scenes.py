"""Training views composed of the pool's pictures: crops around a face, mosaics, pasted faces, pictures without any.

Mosaics are those of YOLOv4 (Bochkovskiy et al., 2020), sizes are drawn as SCRFD draws them: so that small faces are
as frequent as large ones.
"""

import math
import random
from functools import partial

import cv2
import numpy as np

from training import geometry
from training.geometry import Boxes, Faces, Pixels, View
from training.labels import MASKED_FACE
from training.masked import mask_faces
from training.occlusion import occlude
from training.photometric import disturb
from training.pool import Pool

__all__ = ["MASKED", "background", "compose"]

_SMALLEST_FACE = 6.0
"""Below this many pixels a face gives no loss: neither a person nor the network can tell."""
_LARGEST_ENLARGEMENT = 2.2
MASKED = 0.4
"""Share of the views in which faces are masked, and so none any more, if nothing else is asked for."""
_SERVED_SIDE = 640
"""The longer side of a picture in the service's tensor, pixels."""
_ALIASED, _LEAST_ALIASED = 0.5, 0.25
"""The share of the views that are reduced from one pixel to the next but one, as the service does, down to a scale."""
_CLEAN, _RESAMPLED_CLEAN = 0.5, 0.9
"""Below the first scale the others are reduced by area first; below the second, views composed once more, too."""
_PLAIN = 0.5
"""Share of the views that are pictures as they are: without them the network forgets what it knew of those."""


def compose(
    pool: Pool,
    rng: random.Random,
    size: int,
    masked: float = MASKED,
    mistaken: float = 0.0,
    *,
    resampled: bool = False,
) -> View:
    """Return a random square view of ``size`` pixels with its labels.

    In ``masked`` of the views most faces are masked, and so none any more; ``mistaken`` of them show a mistake of the
    pool's. ``resampled`` gives the view of the same draws once more, reduced in another way: by area what aliased, and
    the other way about.
    """
    mistake = rng.random() < mistaken
    plain = not mistake and rng.random() < _PLAIN
    kind = rng.random()
    ovals = False
    if mistake:
        view, ovals = _mistake(pool, rng, size, resampled)
    elif plain:
        view = _plain(pool, rng, size, resampled)
    elif kind < 0.52:
        view = _crop(pool, rng, size, size, (8, size * 0.95), resampled)
    elif kind < 0.78:
        view = _mosaic(pool, rng, size, resampled)
    elif kind < 0.90:
        view = _paste(pool, rng, size)
    else:
        view = View(background(pool, rng, size, size), geometry.no_faces(), geometry.no_boxes())
    view.pixels = np.ascontiguousarray(view.pixels)
    if rng.random() < masked or ovals:
        view = mask_faces(view, rng, ovals=ovals)
    if not plain:
        occlude(view.pixels, view.faces, rng, partial(background, pool, rng))
    if rng.random() < 0.5:
        view = geometry.mirror(view)
    if not plain:
        if rng.random() < 0.02:
            view = _upside_down(view)
        view.pixels = disturb(view.pixels, rng)
    small = np.sqrt((view.faces[:, 2:4] - view.faces[:, :2]).prod(1)) < _SMALLEST_FACE
    ignore = np.concatenate([view.ignore, view.faces[small, :4]])
    return View(view.pixels, view.faces[~small], ignore, view.masked)


def _plain(pool: Pool, rng: random.Random, size: int, resampled: bool) -> View:
    """A piece of any picture at about the scale at which the service sees it, or down to all of it."""
    crowd = rng.random() < 0.5
    index, face = pool.random_face(rng) if crowd else (rng.randrange(len(pool.pictures)), None)
    picture, source = pool.pictures[index], pool.pixels(index)
    longest = max(picture.width, picture.height)
    served = min(_LARGEST_ENLARGEMENT, _SERVED_SIDE / longest)
    scale = served * _log_uniform(rng, 0.85, 1.2)
    if rng.random() < 0.5:
        # Large faces whole, too.
        scale = _log_uniform(rng, min(size / longest, served), served * 1.2)
    width, height = picture.width * scale, picture.height * scale
    # What is smaller than the view lies anywhere in it: a face may be at any edge of a picture.
    x, y = rng.uniform(0, width - size), rng.uniform(0, height - size)
    if face is not None and rng.random() < 0.7:
        x = _within(face[0] * scale - rng.uniform(0, size), width - size)
        y = _within(face[1] * scale - rng.uniform(0, size), height - size)
    matrix = np.array([[scale, 0, -x], [0, scale, -y]], np.float32)
    pixels = np.zeros((size, size, 3), np.uint8)
    _warp(source, matrix, scale, pixels, _clean_below(rng, scale, resampled))
    faces, ignore = geometry.move(picture.places, picture.ignore, matrix)
    return View(pixels, *geometry.clip(faces, ignore, (0, 0, size, size)))


def _within(value: float, end: float) -> float:
    """The value, or the nearest one between 0 and ``end``, which may be negative."""
    return min(max(min(0.0, end), value), max(0.0, end))


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(max(low, high))))


def background(pool: Pool, rng: random.Random, width: int, height: int) -> Pixels:
    """Return a piece of a picture without faces, (height, width, 3)."""
    source = pool.pixels(pool.random_without_face(rng))
    h, w = source.shape[:2]
    scale = max(width / w, height / h) * math.exp(rng.uniform(-0.2, 0.7))
    cut_w, cut_h = max(1, min(w, int(width / scale))), max(1, min(h, int(height / scale)))
    x, y = rng.randint(0, w - cut_w), rng.randint(0, h - cut_h)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.resize(source[y : y + cut_h, x : x + cut_w], (width, height), interpolation=how), np.uint8
    )


def _crop(
    pool: Pool, rng: random.Random, width: int, height: int, sizes: tuple[float, float], resampled: bool
) -> View:
    """A picture scaled so that one of its faces has a size drawn log-uniformly, the face anywhere in the view."""
    index, face = pool.random_face(rng)
    picture = pool.pictures[index]
    side = float(max(face[2] - face[0], face[3] - face[1]))
    scale = min(_log_uniform(rng, *sizes) / side, _LARGEST_ENLARGEMENT)
    if rng.random() < 0.8:
        # Mostly fill the view: a small face is more often part of a large scene than of a small picture.
        scale = min(
            max(scale, rng.uniform(0.6, 1.0) * min(width / picture.width, height / picture.height)),
            _LARGEST_ENLARGEMENT,
        )
    return _cut_out(pool, rng, index, face, scale, (width, height), resampled)


def _mistake(pool: Pool, rng: random.Random, size: int, resampled: bool) -> tuple[View, bool]:
    """A mistake at about the size at which it was made, anywhere in the view; whether it is one of a masked face."""
    index, row = pool.random_mistake(rng)
    side = float(np.sqrt((row[2] - row[0]) * (row[3] - row[1])))
    scale = min(float(row[4]) * _log_uniform(rng, 0.75, 1.33), size * 0.95) / side
    return _cut_out(pool, rng, index, row, scale, (size, size), resampled), bool(row[MASKED_FACE])


def _cut_out(
    pool: Pool,
    rng: random.Random,
    index: int,
    box: np.ndarray,
    scale: float,
    size: tuple[int, int],
    resampled: bool,
) -> View:
    """A picture scaled, with ``box`` (its first four numbers) anywhere in a view of ``size`` (width, height)."""
    width, height = size
    picture, source = pool.pictures[index], pool.pixels(index)
    side = float(max(box[2] - box[0], box[3] - box[1]))
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    matrix = _placement(rng, picture.width, picture.height, centre, side, scale, width, height)
    covers = picture.width * scale >= width * 0.98 and picture.height * scale >= height * 0.98
    if covers or rng.random() < 0.4:
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = [rng.randrange(256) for _ in range(3)] if rng.random() < 0.5 else 0
    else:
        pixels = background(pool, rng, width, height)
    _warp(source, matrix, scale, pixels, _clean_below(rng, scale, resampled))
    faces, ignore = geometry.move(picture.places, picture.ignore, matrix)
    return View(pixels, *geometry.clip(faces, ignore, (0, 0, width, height)))


def _placement(
    rng: random.Random, w: int, h: int, centre: np.ndarray, side: float, scale: float, width: int, height: int
) -> np.ndarray:
    """The 2 x 3 matrix that puts ``centre`` somewhere in the view, scaled, sometimes rotated or stretched."""
    margin_x, margin_y = min(width / 2, side * scale / 2), min(height / 2, side * scale / 2)
    x, y = rng.uniform(margin_x, width - margin_x), rng.uniform(margin_y, height - margin_y)
    if rng.random() < 0.7:
        if w * scale >= width:
            x = min(max(x, width - (w - centre[0]) * scale), centre[0] * scale)
        if h * scale >= height:
            y = min(max(y, height - (h - centre[1]) * scale), centre[1] * scale)
    angle = 0.0
    if rng.random() < 0.5:
        angle = math.radians(rng.uniform(-40, 40) if rng.random() < 0.9 else rng.uniform(-90, 90))
    stretch = math.exp(rng.uniform(-0.1, 0.1)) if rng.random() < 0.3 else 1.0
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    linear = np.array([[cos * stretch, -sin], [sin, cos / stretch]], np.float32)
    shift = np.array([x, y], np.float32) - linear @ centre.astype(np.float32)
    return np.concatenate([linear, shift[:, None]], 1).astype(np.float32)


def _clean_below(rng: random.Random, scale: float, resampled: bool) -> float:
    """Below which scale a picture is to be reduced by area first; drawn."""
    aliased = rng.random() < _ALIASED
    if resampled and scale >= _CLEAN:
        return _RESAMPLED_CLEAN
    return _LEAST_ALIASED if aliased != resampled else _CLEAN


def _warp(
    source: Pixels, matrix: np.ndarray, scale: float, into: Pixels, clean_below: float = _CLEAN
) -> None:
    """Warp over ``into``; below a scale a reduction is made by area first, so that it does not alias.

    ``matrix`` moves labels.
    """
    matrix = matrix.copy()
    if scale < clean_below:
        first = scale * 1.2
        h, w = source.shape[:2]
        reduced = max(2, round(w * first)), max(2, round(h * first))
        source = np.asarray(cv2.resize(source, reduced, interpolation=cv2.INTER_AREA), np.uint8)
        matrix[:, :2] *= np.array([w, h], np.float32) / reduced
    height, width = into.shape[:2]
    cv2.warpAffine(
        source,
        geometry.of_middles(matrix),
        (width, height),
        dst=into,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def _mosaic(pool: Pool, rng: random.Random, size: int, resampled: bool) -> View:
    x, y = int(size * rng.uniform(0.35, 0.65)), int(size * rng.uniform(0.35, 0.65))
    view = View(np.empty((size, size, 3), np.uint8), geometry.no_faces(), geometry.no_boxes())
    for left, top, width, height in (
        (0, 0, x, y),
        (x, 0, size - x, y),
        (0, y, x, size - y),
        (x, y, size - x, size - y),
    ):
        tile = _crop(pool, rng, width, height, (7, min(width, height) * 0.95), resampled)
        view.pixels[top : top + height, left : left + width] = tile.pixels
        place = np.array([[1, 0, left], [0, 1, top]], np.float32)
        faces, ignore = geometry.move(tile.faces, tile.ignore, place)
        view.faces = np.concatenate([view.faces, faces])
        view.ignore = np.concatenate([view.ignore, ignore])
    return view


def _paste(pool: Pool, rng: random.Random, size: int) -> View:
    """Faces of several pictures on a scene without any: their light matched to the scene's, their edges soft."""
    view = View(background(pool, rng, size, size).copy(), geometry.no_faces(), geometry.no_boxes())
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(rng.randint(2, 12)):
        index, face = pool.random_face(rng)
        picture = pool.pictures[index]
        side = float(max(face[2] - face[0], face[3] - face[1]))
        if side < 24:
            continue
        scale = min(_log_uniform(rng, 8, size * 0.35), 1.5 * side) / side
        around = rng.uniform(0.25, 1.0) * side
        x1, y1 = int(max(0, face[0] - around)), int(max(0, face[1] - around))
        x2, y2 = int(min(picture.width, face[2] + around)), int(min(picture.height, face[3] + 1.6 * around))
        width, height = max(4, round((x2 - x1) * scale)), max(4, round((y2 - y1) * scale))
        if width >= size or height >= size:
            continue
        left, top = rng.randint(0, size - width), rng.randint(0, size - height)
        window = (left, top, left + width, top + height)
        if any(_meet(window, other) for other in taken):
            continue
        taken.append(window)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        patch = np.asarray(
            cv2.resize(pool.pixels(index)[y1:y2, x1:x2], (width, height), interpolation=how), np.uint8
        )
        matrix = np.array([[scale, 0, left - x1 * scale], [0, scale, top - y1 * scale]], np.float32)
        faces, ignore = geometry.clip(*geometry.move(picture.places, picture.ignore, matrix), window)
        own = geometry.move(face[None], geometry.no_boxes(), matrix)[0][0]
        if rng.random() < 0.6:
            faces, ignore = _blend_ellipse(view.pixels, patch, window, own, faces, ignore, rng)
        else:
            view.pixels[top : top + height, left : left + width] = patch
        view.faces = np.concatenate([view.faces, faces])
        view.ignore = np.concatenate([view.ignore, ignore])
    return view


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def _blend_ellipse(
    scene: Pixels,
    patch: Pixels,
    window: tuple[int, int, int, int],
    own: Faces,
    faces: Faces,
    ignore: Boxes,
    rng: random.Random,
) -> tuple[Faces, Boxes]:
    """Blend the patch's own face into the scene by a soft ellipse; what else was in the patch is ignored."""
    left, top, right, bottom = window
    side = float(own[2] - own[0])
    alpha = np.zeros(patch.shape[:2], np.float32)
    centre = (round(float(own[0] + own[2]) / 2 - left), round(float(own[1] + own[3]) / 2 - top))
    axes = (max(1, int(side * rng.uniform(0.65, 1.0))), max(1, int(side * rng.uniform(0.8, 1.2))))
    cv2.ellipse(alpha, centre, axes, 0, 0, 360, 1.0, -1)
    blur = max(1, int(side * 0.12)) * 2 + 1
    soft = np.asarray(cv2.GaussianBlur(alpha, (blur, blur), 0))[..., None]
    below = scene[top:bottom, left:right].astype(np.float32)
    strength = rng.uniform(0.0, 0.6)
    matched = patch + strength * (below.mean((0, 1)) - patch.mean((0, 1)))
    scene[top:bottom, left:right] = np.clip(matched * soft + below * (1 - soft), 0, 255).astype(np.uint8)
    others = np.abs(faces[:, :4] - own[:4]).max(1, initial=0) > 1 if len(faces) else np.zeros(0, bool)
    return faces[~others], np.concatenate([ignore, faces[others, :4]])


def _upside_down(view: View) -> View:
    height, width = view.pixels.shape[:2]
    matrix = np.array([[-1, 0, width], [0, -1, height]], np.float32)
    faces, ignore = geometry.move(view.faces, view.ignore, matrix)
    masked = geometry.move_boxes(view.masked, matrix)
    return View(np.ascontiguousarray(view.pixels[::-1, ::-1]), faces, ignore, masked)
