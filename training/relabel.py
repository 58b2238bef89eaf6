"""Label the training pictures by agreement: ``python -m training.relabel FOLDER INTO yunet_n.onnx centerface.onnx``.

YuNet (Apache-2.0) looks at each picture at several sizes, CenterFace (MIT) at one. Looks at larger inputs see small
faces that one look at 640 pixels misses, and together they rank faces better than any of them: what the network at 640
pixels is to learn. What was mended by eye stays mended.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.agreement import Places, places
from training.anchors import iou, mostly_inside
from training.labels import Picture, line_of, read_labels, split
from training.looks import Look, looks

__all__ = ["Found", "agreed", "main", "sureness"]

_YUNET_LOOKS = ((640, False, 0.5), (640, True, 0.5), (896, False, 1.0), (1280, True, 1.0))
_CENTERFACE_LOOKS = ((960, False, 1.0),)
"""Input size, whether mirrored, and weight; the first two are what the network in training sees."""
_SERVED_LOOKS = 2
_LOWEST = 0.05
_FACE, _NEW_FACE, _UNSURE = 0.30, 0.50, 0.14
"""The least agreement on a face that was labelled, on one that was not, and on a doubtful place.

Of the unlabelled places between the first two, most were fruit, hands and parts of larger faces, looked at by eye. A
label is that of its surest place alone, and of none inside a surer one: large inputs show parts of large faces.
"""
_SURE = 0.55
_SAME = 0.4

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """G places of a picture, and how sure the looks are of them."""

    boxes: Floats
    """(G, 4), pixels."""
    landmarks: Floats
    """(G, 10), pixels."""
    agreement: Floats
    """(G,), the mean score of all looks."""
    served: Floats
    """(G,), the mean score of the looks at the size that the service uses."""


@dataclass(frozen=True)
class Found(Seen):
    """A picture's faces by agreement, and what else the looks see."""

    doubtful: Seen
    """Places of which they are less sure."""
    ignore: Floats
    """(I, 4), all boxes that nobody is sure of, the doubtful ones too."""


def agreed(seen: Places, weights: Floats, picture: Picture, unmended: Picture) -> Found:
    """Return the faces of a picture.

    Args:
        seen: What the looks see.
        weights: Of each look.
        picture: Its former labels, mended by eye.
        unmended: The same before that.
    """
    mean = seen.scores @ (weights / weights.sum())
    former = picture.faces[:, :4]
    dropped = _others(unmended.faces[:, :4], former)
    # What was ignored by eye is among the dropped ones too, and stays ignored.
    none = _meets(seen.boxes, dropped) & ~_meets(seen.boxes, picture.ignore)
    unsure = _meets(seen.boxes, picture.ignore) & (_meets(seen.boxes, dropped) | (mean < _SURE))
    least = np.where(_labelled(seen.boxes, mean, former), _FACE, _NEW_FACE)
    face = (mean >= least) & ~none & ~unsure
    boxes = seen.boxes[face]
    perhaps = (mean >= _UNSURE) & ~face & ~none & ~unsure & ~mostly_inside(seen.boxes, boxes).any(1)
    lost = former[~_meets(former, boxes) & ~mostly_inside(former, boxes).any(1)]
    served = seen.scores[:, :_SERVED_LOOKS].mean(1)
    return Found(
        boxes,
        seen.landmarks[face],
        mean[face],
        served[face],
        Seen(seen.boxes[perhaps], seen.landmarks[perhaps], mean[perhaps], served[perhaps]),
        np.concatenate([picture.ignore, seen.boxes[perhaps], lost]),
    )


def _labelled(boxes: Floats, agreement: Floats, labels: Floats) -> npt.NDArray[np.bool_]:
    """Which places are those of the labels: of each the surest one, unless it is part of a still surer one."""
    part = (mostly_inside(boxes, boxes) & (agreement[:, None] < agreement)).any(1)
    of_label = np.where(iou(boxes, labels) >= _SAME, agreement[:, None], 0.0)
    surest = (of_label > 0) & (of_label == of_label.max(0, initial=0.0))
    return np.asarray(surest.any(1) & ~part)


def _others(boxes: Floats, kept: Floats) -> Floats:
    """The boxes that are not among ``kept``."""
    apart = np.abs(boxes[:, None] - kept[None]).max(-1, initial=0.0)
    return np.asarray(boxes[(apart >= 0.5).all(1)])


def _meets(boxes: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray((iou(boxes, others) >= _SAME).any(1))


def sureness(agreement: Floats, served: Floats) -> Floats:
    """Return (G,): ``agreement``'s order on the scale of ``served``, so that the scores as a whole stay as they are."""
    order = np.argsort(np.argsort(agreement, kind="stable"), kind="stable")
    scale = np.clip(served, 0.05, 0.97)
    return np.asarray(np.quantile(scale, order / max(len(order) - 1, 1)), np.float32)


def main(arguments: list[str] | None = None) -> None:
    """Write a labelled folder of the training pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("into", type=Path, help="the folder to write; its pictures are links")
    parser.add_argument("yunet", type=Path, help="yunet_n.onnx")
    parser.add_argument("centerface", type=Path, help="centerface.onnx")
    options = parser.parse_args(arguments)
    unmended = {picture.file: picture for picture in read_labels(options.folder, None)}
    pictures, _ = split(read_labels(options.folder))
    kinds = [
        (Look(file, size, mirror), weight)
        for file, of_file in ((options.yunet, _YUNET_LOOKS), (options.centerface, _CENTERFACE_LOOKS))
        for size, mirror, weight in of_file
    ]
    seen = looks([picture.file for picture in pictures], [look for look, _ in kinds])
    weights = np.array([weight for _, weight in kinds], np.float32)
    found = [
        agreed(places(here, _LOWEST), weights, picture, unmended[picture.file])
        for picture, here in zip(pictures, seen, strict=True)
    ]
    faces = _write(options.into, pictures, found)
    print(f"{options.into}: {len(pictures)} pictures, {faces} faces")


def _write(into: Path, pictures: list[Picture], found: list[Found]) -> int:
    seen = [part for one in found for part in (one, one.doubtful)]
    sure = iter(
        sureness(
            np.concatenate([s.agreement for s in seen]), np.concatenate([s.served for s in seen])
        ).tolist()
    )
    images = into / "images"
    images.mkdir(parents=True, exist_ok=True)
    with (into / "labels.jsonl").open("w", encoding="utf-8") as file:
        for picture, one in zip(pictures, found, strict=True):
            # A name of its own: the corrections of the folder's labels are not for these.
            name = f"agreed_{picture.file.name}"
            (images / name).unlink(missing_ok=True)
            (images / name).symlink_to(picture.file.resolve())
            faces, doubtful = _rows(one, sure), _rows(one.doubtful, sure)
            file.write(line_of(picture, name, faces, one.ignore.tolist(), doubtful))
    return sum(len(one.boxes) for one in found)


def _rows(seen: Seen, sure: Iterator[float]) -> list[dict[str, Any]]:
    return [
        {"bbox": box, "landmarks": points, "sureness": round(next(sure), 4)}
        for box, points in zip(seen.boxes.tolist(), seen.landmarks.tolist(), strict=True)
    ]


if __name__ == "__main__":
    main()
