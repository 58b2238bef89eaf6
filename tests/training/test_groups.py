"""Recall by group: faces shown at one size, and counted in their groups."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from training.groups import SIZES, GroupedFace, at_size, read_groups, recall_by_group
from training.metrics import Detections


def _picture(width: int, height: int, box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """Black, with a white box for a face."""
    image = np.zeros((height, width, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image


def _find_white(image: npt.NDArray[np.uint8]) -> Detections:
    """What is white, with a score of its brightness."""
    bright = image[..., 0] > 127
    if not bright.any():
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    y, x = np.nonzero(bright)
    box = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    return Detections(np.array([box], np.float32), np.array([image.max() / 255], np.float32))


@pytest.mark.parametrize("size", [12, 48])
@pytest.mark.parametrize("box", [(0, 0, 50, 60), (900, 500, 1000, 620), (400, 100, 460, 160)])
def test_a_face_is_shown_at_its_size_wherever_it_was(box: tuple[int, int, int, int], size: int) -> None:
    shown = at_size(_picture(1000, 620, box), box, size)
    assert shown is not None
    canvas, where = shown
    assert canvas.shape == (640, 640, 3)
    assert np.sqrt((where[2:] - where[:2]).prod()) == pytest.approx(size, rel=0.01)
    np.testing.assert_allclose(_find_white(canvas).boxes[0], where, atol=1.5)


def test_a_face_that_is_smaller_is_not_enlarged() -> None:
    box = (10, 10, 40, 40)
    assert at_size(_picture(100, 100, box), box, 31) is None
    assert at_size(_picture(100, 100, box), box, 30) is not None


def test_faces_count_in_their_groups(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    box = (20, 20, 60, 60)
    for name, grey in (("found.png", 255), ("missed.png", 90)):
        image = _picture(100, 80, box)
        cv2.imwrite(str(tmp_path / "images" / name), np.where(image == 255, grey, 0).astype(np.uint8))
    faces = [
        GroupedFace("found.png", box, "darker", "adult"),
        GroupedFace("missed.png", box, "lighter", "adult"),
        GroupedFace("found.png", box, None, None),
    ]
    result = recall_by_group([_find_white], tmp_path, faces)
    assert set(result) == {"all", "age: adult", "tone: darker", "tone: lighter"}
    assert result["all"] == {12: (2, 3), 16: (2, 3), 24: (2, 3), 48: (0, 0)}
    assert result["age: adult"][24] == (1, 2)
    assert (result["tone: darker"][12], result["tone: lighter"][12]) == ((1, 1), (0, 1))
    twice = recall_by_group([_find_white, lambda image: _find_white(image[:1])], tmp_path, faces)
    assert twice["all"] == {12: (2, 6), 16: (2, 6), 24: (2, 6), 48: (0, 0)}


def test_the_grouped_faces() -> None:
    faces, once = read_groups(repeats=True), read_groups()
    assert len(faces) == len({(face.file, face.bbox) for face in faces})
    assert 0 < len(once) < len(faces)
    assert all(face in faces for face in once)
    assert {face.repeats for face in faces} - {None} <= {face.file for face in once}
    assert {face.tone for face in faces} == {"lighter", "medium", "darker", None}
    assert {face.age for face in faces} == {"child", "adult", "older"}
    assert all(max(face.bbox[2] - face.bbox[0], face.bbox[3] - face.bbox[1]) >= min(SIZES) for face in faces)
