"""Batches of composed views, made by worker processes."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from training.anchors import anchors
from training.geometry import View
from training.labels import Mistakes, Picture
from training.pool import Pool
from training.scenes import MASKED, compose
from training.twins import twins_by

__all__ = ["Batch", "Batches"]

_LARGE_VIEW = 512
_LARGE_SHARE = 0.4
"""A batch of large views has this share of the others' count, for about the same pixels."""
_MISTAKEN = 0.25


class Batch(NamedTuple):
    """Views with their labels."""

    pixels: Tensor
    """(B, S, S, 3), uint8, BGR."""
    faces: Tensor
    """(F, 16), all views' faces as :mod:`training.geometry` says."""
    view: Tensor
    """(F,), the view of each face."""
    counted: Tensor
    """(B, N), bool: anchors that give a score loss even if they are no face's own."""
    person: Tensor
    """(F,), one number for a face and the same face in the view's twin."""
    masked: Tensor
    """(K, 4), boxes of the faces that were masked, and so are none."""
    masked_view: Tensor
    """(K,), the view of each of them."""


class Batches(IterableDataset[Batch]):
    """An endless stream of batches; each worker draws its own."""

    def __init__(
        self,
        pictures: list[Picture],
        cache: Path,
        seed: str,
        count: int,
        size: int,
        large: float,
        rank: int = 0,
        masked: float = MASKED,
        mistakes: dict[str, Mistakes] | None = None,
        twins: float = 0.0,
    ) -> None:
        """Compose views of ``pictures``: ``count`` of ``size`` pixels, or fewer of 512 with a chance of ``large``.

        In ``masked`` of them faces are masked; a quarter show one of ``mistakes``, by the pictures' file names;
        ``twins`` of them, half at most, are twins of the batch's first ones.

        Streams of one seed and different ranks differ in their views and agree in the order of their sizes.
        """
        self.pictures, self.cache, self.seed, self.rank = pictures, cache, seed, rank
        self.count, self.size, self.large = count, size, large
        self.masked, self.mistakes, self.twins = masked, mistakes, twins

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        worker_id = worker.id if worker else 0
        sizes = random.Random(f"{self.seed}/{worker_id}")
        rng = random.Random(f"{self.seed}/{worker_id}/{self.rank}")
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        pool = Pool(self.pictures, self.cache, self.mistakes)
        mistaken = _MISTAKEN if self.mistakes else 0.0
        while True:
            size, count = self.size, self.count
            if sizes.random() < self.large:
                size, count = _LARGE_VIEW, max(2, round(self.count * _LARGE_SHARE))
            twins = min(round(count * self.twins), count // 2)
            drawn = partial(compose, pool, size=size, masked=self.masked, mistaken=mistaken)
            pairs = [twins_by(drawn, rng) for _ in range(twins)]
            alone = [drawn(rng) for _ in range(count - 2 * twins)]
            yield _batch([view for view, _ in pairs] + alone, [twin for _, twin in pairs], size)


def _batch(first: list[View], twins: list[View], size: int) -> Batch:
    """Views with the twins of the first of them."""
    composed = first + twins
    boxes, _ = anchors(size)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    pixels = np.empty((len(composed), size, size, 3), np.uint8)
    counted = np.ones((len(composed), len(boxes)), bool)
    faces, views = [], []
    for index, view in enumerate(composed):
        pixels[index] = view.pixels
        for box in view.ignore:
            margin = max(2.0, 0.15 * float(box[2] - box[0]))
            near = (centres >= box[:2] - margin).all(1) & (centres <= box[2:] + margin).all(1)
            counted[index, near] = False
        faces.append(view.faces)
        views.append(np.full(len(view.faces), index))
    # A twin has its view's faces, in their order.
    persons = np.arange(sum(len(view.faces) for view in first))
    persons = np.concatenate([persons, persons[: sum(len(view.faces) for view in twins)]])
    return Batch(
        torch.from_numpy(pixels),
        torch.from_numpy(np.concatenate(faces).astype(np.float32)),
        torch.from_numpy(np.concatenate(views)),
        torch.from_numpy(counted),
        torch.from_numpy(persons),
        torch.from_numpy(np.concatenate([view.masked for view in composed]).astype(np.float32)),
        torch.from_numpy(np.repeat(np.arange(len(composed)), [len(view.masked) for view in composed])),
    )
