"""How light skin looks, and how often the pool draws faces by it."""

import json
import math
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.support import draw_face, labelled_folder
from training.geometry import FACE_WIDTH, LANDMARKS, Faces
from training.labels import read_labels
from training.pool import Pool
from training.tone import skin_angles


def _face(x: float, y: float, size: float) -> Faces:
    label = draw_face(np.zeros((100, 100, 3), np.uint8), x, y, size)
    face = np.full((1, FACE_WIDTH), np.nan, np.float32)
    face[0, :4], face[0, LANDMARKS] = label["bbox"], label["landmarks"]
    return face


@pytest.mark.parametrize("angle", [-60.0, -20.0, 20.0, 55.0])
def test_the_angle_is_that_of_the_cheeks(angle: float) -> None:
    lab = np.array(
        [50 + 15 * math.sin(math.radians(angle)), 10, 15 * math.cos(math.radians(angle))], np.float32
    )
    bgr = cv2.cvtColor(lab[None, None], cv2.COLOR_LAB2BGR) * 255
    image = np.full((100, 100, 3), 255, np.uint8)
    image[10:90, 10:90] = np.round(bgr[0, 0])
    image[42:58, 42:58] = 0  # The nose is not looked at.
    assert skin_angles(image, _face(10, 10, 80))[0] == pytest.approx(angle, abs=3)


def test_no_angle_without_landmarks_or_pixels() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    unknown = _face(5, 5, 20)
    unknown[:, LANDMARKS] = np.nan
    angles = skin_angles(
        image, np.concatenate([unknown, _face(80, 80, 20), _face(-80, -80, 20), _face(5, 5, 20)])
    )
    assert np.isnan(angles).tolist() == [True, True, True, False]
    assert skin_angles(image, unknown[:0]).shape == (0,)


def test_dark_faces_are_drawn_more_often(tmp_path: Path) -> None:
    folder = labelled_folder(tmp_path / "faces")
    row = json.loads((folder / "labels.jsonl").read_text().splitlines()[1])
    file = folder / "images" / row["file"]
    image = np.asarray(cv2.imread(str(file)), np.uint8)
    x1, y1, x2, y2 = map(int, row["faces"][1]["bbox"])
    image[y1:y2, x1:x2] //= 4
    cv2.imwrite(str(file), image)
    (folder / "labels.jsonl").write_text(json.dumps(row) + "\n")
    pool = Pool(read_labels(folder, None), tmp_path / "cache")
    rng = random.Random(3)
    dark = sum(int(pool.random_face(rng)[1][0]) == x1 for _ in range(1000))
    assert 700 < dark < 800  # Three to one.
