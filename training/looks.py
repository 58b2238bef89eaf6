"""Look at many pictures with several finders, in as many processes as there are processors."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

import cv2
import numpy as np

from training.finders import Finder, Image, finder, look_again, mirrored
from training.metrics import Detections

__all__ = ["Look", "looks", "looks_again"]

_Seen = TypeVar("_Seen")


class Look(NamedTuple):
    """How to look at a picture."""

    model: Path
    size: int
    """Side of the input, pixels."""
    mirror: bool


def looks(files: list[Path], kinds: list[Look]) -> Iterator[list[Detections]]:
    """Yield what each of ``kinds`` sees in each picture, in their order."""
    return _each(_Looks.at, files, kinds)


def looks_again(files: list[Path], kinds: list[Look]) -> Iterator[list[tuple[Detections, Detections]]]:
    """Yield what each of ``kinds`` sees in each picture, and what it sees again once that is masked."""
    return _each(_Looks.twice_at, files, kinds)


def _each(see: Callable[[Path], _Seen], files: list[Path], kinds: list[Look]) -> Iterator[_Seen]:
    # A new interpreter each: OpenCV's threads do not outlive a fork.
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), _Looks.begin, (kinds,)) as pool:
        yield from pool.imap(see, files, chunksize=8)


class _Looks:
    """The finders of one process."""

    finders: ClassVar[list[Finder]] = []

    @classmethod
    def begin(cls, kinds: list[Look]) -> None:
        cv2.setNumThreads(1)
        for kind in kinds:
            find = finder(kind.model, kind.size)
            cls.finders.append(mirrored(find) if kind.mirror else find)

    @classmethod
    def at(cls, file: Path) -> list[Detections]:
        image = _read(file)
        return [find(image) for find in cls.finders]

    @classmethod
    def twice_at(cls, file: Path) -> list[tuple[Detections, Detections]]:
        image = _read(file)
        return [(found := find(image), look_again(find, image, found)) for find in cls.finders]


def _read(file: Path) -> Image:
    return np.asarray(cv2.imread(str(file)), np.uint8)
