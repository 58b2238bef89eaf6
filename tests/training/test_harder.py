"""Validation pictures made harder, and their labels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.support import labelled_folder
from training.geometry import LANDMARKS
from training.harder import KINDS, main
from training.labels import Picture, read_labels


def made(tmp_path: Path, kind: str) -> tuple[Picture, Picture, np.ndarray, np.ndarray]:
    """The validation picture as it was and made harder, labels and pixels."""
    folder = tmp_path / "faces"
    if not folder.exists():
        labelled_folder(folder)
    main([str(folder), str(tmp_path / kind), kind, "--cache", str(tmp_path / "cache")])
    before, (after,) = read_labels(folder, None)[-1], read_labels(tmp_path / kind, None)
    pixels, changed = (np.asarray(cv2.imread(str(picture.file))) for picture in (before, after))
    assert changed.shape == (after.height, after.width, 3)
    return before, after, pixels, changed


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_kind_gives_the_same_picture(tmp_path: Path, kind: str) -> None:
    _, first, pixels, changed = made(tmp_path, kind)
    assert pixels.shape != changed.shape or np.abs(pixels.astype(int) - changed).mean() > 1
    _, second, _, again = made(tmp_path, kind)
    assert np.array_equal(changed, again)
    assert np.array_equal(first.faces, second.faces, equal_nan=True)


@pytest.mark.parametrize("kind", ["mask", "hand", "disturbed"])
def test_labels_stay_where_the_picture_stays(tmp_path: Path, kind: str) -> None:
    before, after, pixels, changed = made(tmp_path, kind)
    assert pixels.shape == changed.shape
    assert np.array_equal(before.faces[:, :14], after.faces[:, :14])
    assert np.array_equal(before.ignore, after.ignore)


@pytest.mark.parametrize(("kind", "degrees"), [("tilted", 35), ("upside-down", 180)])
def test_labels_turn_with_the_picture(tmp_path: Path, kind: str, degrees: int) -> None:
    before, after, pixels, changed = made(tmp_path, kind)
    assert len(after.faces) == len(before.faces) == 2
    sides = after.faces[:, 2:4] - after.faces[:, :2]
    assert sides == pytest.approx(before.faces[:, 2:4] - before.faces[:, :2], abs=0.01)
    eyes = [picture.faces[0, LANDMARKS].reshape(-1, 2)[:2] for picture in (before, after)]
    angle = [np.degrees(np.arctan2(*(right - left)[::-1])) for left, right in eyes]
    assert abs((angle[1] - angle[0] + 180) % 360 - 180) == pytest.approx(degrees, abs=0.1)
    # The middle of the face and each of its features have the colours that they had.
    for picture, image in ((before, pixels), (after, changed)):
        face = picture.faces[0]
        for x, y in face[LANDMARKS].reshape(-1, 2):
            assert image[round(float(y)), round(float(x))].max() < 90
        x, y = (face[:2] + face[2:4]) / 2
        assert image[round(float(y)), round(float(x))].astype(int) == pytest.approx([150, 180, 220], abs=12)
    inside = 0, 0, after.width, after.height
    assert (after.faces[:, :2] >= inside[:2]).all()
    assert (after.faces[:, 2:4] <= inside[2:]).all()


def test_a_folder_of_training_or_validation_pictures_alone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = labelled_folder(tmp_path / "faces")
    lines = (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for kept, counts in (
        (lines[-1:], "0 training and 1 validation"),
        (lines[:-1], "7 training and 0 validation"),
    ):
        (folder / "labels.jsonl").write_text("".join(kept), encoding="utf-8")
        with pytest.raises(SystemExit):
            main([str(folder), str(tmp_path / "made"), "tilted", "--cache", str(tmp_path / "cache")])
        assert f"{counts} pictures, needs both" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
