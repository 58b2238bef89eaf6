"""Reading labelled folders."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.training.support import labelled_folder
from training.geometry import DOUBTFUL, FACE_WIDTH, LANDMARKS, SURENESS
from training.labels import VALIDATION_SOURCES, read_labels, split
from training.pool import Pool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return labelled_folder(tmp_path / "faces")


def test_pictures_are_read_with_their_labels(folder: Path) -> None:
    pictures = read_labels(folder, None)
    assert len(pictures) == 8
    assert pictures[1].faces.shape == (2, FACE_WIDTH)
    assert pictures[1].faces[0, :4].tolist() == [20, 30, 68, 78]
    assert pictures[0].faces.shape == (0, FACE_WIDTH)


def test_training_and_validation_share_no_source(folder: Path) -> None:
    training, validation = split(read_labels(folder, None))
    assert len(training) == 7
    assert len(validation) == 1
    assert not [p for p in training if p.source.startswith(VALIDATION_SOURCES)]


def test_corrections_drop_ignore_and_remove(folder: Path, tmp_path: Path) -> None:
    corrections = tmp_path / "corrections.jsonl"
    rows = [
        {"file": "1.png", "drop": [0]},
        {"file": "2.png", "ignore": [1]},
        {"file": "3.png", "remove": True},
    ]
    corrections.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    by_name = {p.file.name: p for p in read_labels(folder, corrections)}
    assert "3.png" not in by_name
    assert by_name["1.png"].faces[:, 0].tolist() == [100]
    assert len(by_name["1.png"].ignore) == 1
    assert by_name["2.png"].faces[:, 0].tolist() == [20]
    assert by_name["2.png"].ignore[:, 0].tolist() == [130, 100]


def test_ignored_places_that_were_looked_at_are_faces_or_none(folder: Path, tmp_path: Path) -> None:
    before = {p.file.name: p for p in read_labels(folder, None)}
    place = before["2.png"].ignore[0].tolist()
    corrections = tmp_path / "corrections.jsonl"
    for key, faces in (("faces", 3), ("none", 2)):
        corrections.write_text(json.dumps({"file": "2.png", key: [place]}), encoding="utf-8")
        picture = next(p for p in read_labels(folder, corrections) if p.file.name == "2.png")
        assert len(picture.ignore) == 0
        assert len(picture.faces) == faces
        assert picture.faces[:2].tolist() == before["2.png"].faces.tolist()
    labelled = before["2.png"].faces[0, :4].tolist()
    corrections.write_text(json.dumps({"file": "2.png", "faces": [labelled, place]}), encoding="utf-8")
    picture = next(p for p in read_labels(folder, corrections) if p.file.name == "2.png")
    assert len(picture.faces) == 3  # a face that is labelled is no second one
    assert picture.faces[2, :4].tolist() == place
    assert np.isnan(picture.faces[2, LANDMARKS]).all()
    assert picture.faces[2, SURENESS] > 0  # more likely a face than not


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([[30, 40, 50, 70]], []),
        ([[10, 10, 90, 110]], []),
        ([[200, 10, 230, 40], [190, 0, 260, 60]], [[200, 10, 230, 40]]),
        ([[60, 30, 90, 78]], [[60, 30, 90, 78]]),
    ],
    ids=["inside a face", "around a face", "around another that was found", "beside a face"],
)
def test_a_face_found_by_eye_is_of_no_face_that_has_a_better_box(
    folder: Path, tmp_path: Path, found: list[list[int]], kept: list[list[int]]
) -> None:
    corrections = tmp_path / "corrections.jsonl"
    corrections.write_text(json.dumps({"file": "1.png", "faces": found}), encoding="utf-8")
    picture = next(p for p in read_labels(folder, corrections) if p.file.name == "1.png")
    assert picture.faces[:2, 0].tolist() == [20, 100]
    assert picture.faces[2:, :4].tolist() == kept


def test_doubtful_places_are_read_until_somebody_tells_what_they_are(folder: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    place = rows[2]["ignore"][0]
    rows[2]["doubtful"] = [{"bbox": place, "landmarks": None, "sureness": 0.2}]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    picture = read_labels(folder, None)[2]
    assert picture.doubtful[:, :4].tolist() == [place]
    assert picture.doubtful[0, [SURENESS, DOUBTFUL]].tolist() == [pytest.approx(math.log(0.25)), 1]
    assert picture.faces[:, DOUBTFUL].tolist() == [0, 0]
    assert picture.places.tolist()[2][:4] == place
    corrections = tmp_path / "corrections.jsonl"
    for key in ("faces", "none"):
        corrections.write_text(json.dumps({"file": "2.png", key: [place]}), encoding="utf-8")
        told = read_labels(folder, corrections)[2]
        assert len(told.doubtful) == len(told.ignore) == 0


def test_a_label_line_that_is_not_json_is_named(folder: Path) -> None:
    with (folder / "labels.jsonl").open("a", encoding="utf-8") as file:
        file.write("{oops\n")
    with pytest.raises(ValueError, match="line 9: not JSON"):
        read_labels(folder, None)


def test_a_missing_key_is_named(folder: Path) -> None:
    (folder / "labels.jsonl").write_text('{"file": "0.png", "faces": []}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"0\.png: the key 'width' is missing"):
        read_labels(folder, None)


def test_the_pool_keeps_the_pixels(folder: Path, tmp_path: Path) -> None:
    pictures = read_labels(folder, None)
    pool = Pool(pictures, tmp_path / "cache")
    again = Pool(pictures, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for index, picture in enumerate(pictures):
        assert pool.pixels(index).shape == (picture.height, picture.width, 3)
        assert np.array_equal(pool.pixels(index), again.pixels(index))
    assert pool.without_faces == [0, 4]


def test_a_picture_of_another_size_than_labelled_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "labels.jsonl").read_text(encoding="utf-8").replace('"width": 160', '"width": 100', 1)
    (folder / "labels.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="160x120, labelled 100x120"):
        Pool(read_labels(folder, None), tmp_path / "cache")
