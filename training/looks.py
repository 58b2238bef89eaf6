"""Look at many pictures with several finders, in as many processes as there are processors."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import cv2
import numpy as np

from training.finders import Finder, finder, found_again, mirrored
from training.metrics import Detections

__all__ = ["Look", "looks"]


class Look(NamedTuple):
    """How to look at a picture."""

    model: Path
    size: int
    """Side of the input, pixels."""
    mirror: bool
    masked: bool = False
    """Whether to mask by ovals what is found, and to look again."""


def looks(files: list[Path], kinds: list[Look]) -> Iterator[list[Detections]]:
    """Yield what each of ``kinds`` sees in each picture, in their order."""
    # A new interpreter each: OpenCV's threads do not outlive a fork.
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), _Looks.begin, (kinds,)) as pool:
        yield from pool.imap(_Looks.at, files, chunksize=8)


class _Looks:
    """The finders of one process."""

    finders: ClassVar[list[Finder]] = []

    @classmethod
    def begin(cls, kinds: list[Look]) -> None:
        cv2.setNumThreads(1)
        for kind in kinds:
            find = finder(kind.model, kind.size)
            find = found_again(find) if kind.masked else find
            cls.finders.append(mirrored(find) if kind.mirror else find)

    @classmethod
    def at(cls, file: Path) -> list[Detections]:
        image = np.asarray(cv2.imread(str(file)), np.uint8)
        return [find(image) for find in cls.finders]
