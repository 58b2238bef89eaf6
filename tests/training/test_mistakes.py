"""What a detector gets wrong, and views of that."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from service.detection.registry import BUNDLED_DIR
from tests.training.support import labelled_folder
from training.finders import Image, look_again
from training.geometry import DOUBTFUL, FACE_WIDTH, SURENESS
from training.labels import MASKED_FACE, Picture, read_labels, read_mistakes
from training.metrics import Detections
from training.mistakes import main, masked_mistakes, mistakes
from training.pool import Pool
from training.scenes import compose

_FACE = (100.0, 100.0, 140.0, 140.0)
_DOUBTFUL = (500.0, 300.0, 540.0, 340.0)
"""A place of which detectors are as sure as not."""


def _picture() -> Picture:
    faces = np.full((1, FACE_WIDTH), np.nan, np.float32)
    faces[0, :4] = _FACE
    ignore = np.array([[300, 300, 340, 340], _DOUBTFUL], np.float32)
    doubtful = np.full((1, FACE_WIDTH), np.nan, np.float32)
    doubtful[0, :4], doubtful[0, SURENESS], doubtful[0, DOUBTFUL] = _DOUBTFUL, 0.0, 1
    return Picture(Path("a.png"), 640, 480, "CC0-1.0", "a", "", faces, ignore, doubtful)


def _found(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4])


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ((400, 100, 440, 140, 0.4), True),
        ((400, 100, 440, 140, 0.2), False),  # not sure of it
        ((400, 100, 406, 106, 0.9), False),  # too small to tell
        ((305, 302, 341, 338, 0.9), False),  # nobody knows what is there
        ((120, 100, 160, 140, 0.4), True),  # beside the face
        ((*_DOUBTFUL, 0.7), False),
        ((*_DOUBTFUL, 0.8), True),  # much surer than the others
    ],
)
def test_a_false_alarm_is_a_mistake(row: tuple[float, float, float, float, float], wrong: bool) -> None:
    found = mistakes(_found((*_FACE, 0.8), row), _picture(), 0.5)
    assert found.tolist() == ([[*row[:4], (row[2] - row[0]) / 2, 0]] if wrong else [])


@pytest.mark.parametrize(
    ("rows", "scale", "missed"),
    [
        ([], 1.0, True),
        ([], 0.25, True),  # 10 px
        ([], 0.19, False),  # too small to be found
        ([(*_FACE, 0.45)], 1.0, True),
        ([(*_FACE, 0.55)], 1.0, False),
        ([(110, 102, 150, 142, 0.9)], 1.0, True),  # the box fits badly
    ],
)
def test_a_face_that_is_not_found_is_a_mistake(
    rows: list[tuple[float, float, float, float, float]], scale: float, missed: bool
) -> None:
    found = mistakes(_found(*rows), _picture(), scale)
    assert found.tolist() == ([[*_FACE, 40 * scale, 0]] if missed else [])


def test_a_masked_face_that_is_found_again_is_a_mistake() -> None:
    beside, unsure = (400, 100, 440, 140, 0.9), (*_DOUBTFUL, 0.2)
    again = masked_mistakes(_found((*_FACE, 0.4), beside, unsure), _picture(), 0.5)
    assert again.tolist() == [[*_FACE, 20, 1]]
    assert len(masked_mistakes(_found((*_FACE, 0.4)), _picture(), 0.1)) == 0, "4 px are too small to tell"
    assert masked_mistakes(_found((*_DOUBTFUL, 0.4)), _picture(), 0.5).tolist() == [[*_DOUBTFUL, 20, 1]]


def test_faces_are_looked_for_again_where_they_were_masked() -> None:
    image = np.random.default_rng(5).integers(0, 256, (200, 300, 3), np.uint8)
    before = image.copy()
    found = _found((50, 60, 90, 110, 0.8), (200, 100, 240, 150, 0.4))
    seen = []

    def find(pixels: Image) -> Detections:
        seen.append(pixels)
        return found

    assert look_again(find, image, found).scores.tolist() == pytest.approx([0.8])
    assert np.array_equal(image, before)
    (masked,) = seen
    changed = (image != masked).any(2)
    assert changed[85, 70], "it was found"
    assert not changed[100:150, 200:240].any(), "the service would not mask it"


def test_views_of_masked_faces_have_them_masked(tmp_path: Path) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)
    face = pictures[1].faces[0, :4]
    for masked in (0, 1):
        made = {pictures[1].file.name: np.array([[*face, 60, masked]], np.float32)}
        pool = Pool(pictures, tmp_path / "cache", made)
        rng = random.Random(3)
        views = [compose(pool, rng, 160, 0.0, 1.0) for _ in range(60)]
        # A face is masked in four of five views.
        assert np.mean([len(view.masked) > 0 for view in views]) == pytest.approx(0.9 * masked, abs=0.1)


def test_masked_faces_are_drawn_four_times_as_often_as_other_mistakes(tmp_path: Path) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)
    rows = np.array([[1, 1, 9, 9, 8, 0], [1, 1, 9, 9, 8, 1]], np.float32)
    pool = Pool(pictures, tmp_path / "cache", {pictures[1].file.name: rows})
    rng = random.Random(5)
    drawn = [pool.random_mistake(rng)[1][MASKED_FACE] for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.8, abs=0.04)


def test_mistakes_are_written_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = labelled_folder(tmp_path / "faces")
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    # A face is said to be where a plain wall is: it is missed at every size at which it is large enough.
    rows[0]["faces"] = [{"bbox": [60, 40, 100, 80], "landmarks": None}]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main([str(folder), str(BUNDLED_DIR / "scrfd_free.onnx"), str(tmp_path / "mistakes.jsonl")])
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'mistakes.jsonl'}: ")
    found = read_mistakes(tmp_path / "mistakes.jsonl")
    assert "7.png" not in found, "of a validation source"
    missed = found["0.png"]
    sizes = missed[(missed[:, :4] == [60, 40, 100, 80]).all(1), 4]
    assert sorted(sizes.tolist()) == [80, 80, 160, 160, 256, 256]


def test_views_show_mistakes_at_about_their_size(tmp_path: Path) -> None:
    """The only mistake is said to be the larger face, made when it was 60 pixels large."""
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)
    made = {pictures[1].file.name: np.array([[*pictures[1].faces[0, :4], 60, 0]], np.float32)}
    pool = Pool(pictures, tmp_path / "cache", made)
    rng = random.Random(3)
    views = [compose(pool, rng, 160, 0.0, 1.0) for _ in range(60)]
    largest = [np.sqrt((v.faces[:, 2:4] - v.faces[:, :2]).prod(1)).max(initial=0) for v in views]
    # A few are stretched, or cut at an edge of the view.
    assert np.mean([0.7 * 60 <= size <= 1.4 * 60 for size in largest]) > 0.9


def test_mistakes_of_other_pictures_are_refused(tmp_path: Path) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)
    with pytest.raises(ValueError, match=r"other pictures: else\.png is not"):
        Pool(pictures, tmp_path / "cache", {"else.png": np.zeros((1, 6), np.float32)})


def test_profiles_are_drawn_four_times_as_often(tmp_path: Path) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)
    # One picture with a face that shows one eye and one that shows both.
    picture = pictures[1]
    picture.faces[0, 6:8] = picture.faces[0, 4:6] + [2, 0]
    pool = Pool([picture, pictures[0]], tmp_path / "cache")
    rng = random.Random(5)
    drawn = [pool.random_face(rng) for _ in range(2000)]
    assert {index for index, _ in drawn} == {0}
    profiles = sum(float(face[0]) == float(picture.faces[0, 0]) for _, face in drawn)
    assert profiles / 2000 == pytest.approx(0.8, abs=0.04)
