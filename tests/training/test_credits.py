"""The list of credits."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.support import labelled_folder
from training.credits import credits_of, main
from training.labels import read_labels


def test_every_training_picture_is_credited_with_its_licence(tmp_path: Path) -> None:
    folder = labelled_folder(tmp_path / "faces")
    main([str(folder), str(tmp_path / "CREDITS.md")])
    text = (tmp_path / "CREDITS.md").read_text(encoding="utf-8")
    assert "trained on 7 photographs" in text
    for index in range(7):
        assert f"## example/{index}\n" in text
    assert "rladies" not in text  # only measured with
    assert text.count("CC0 1.0, public domain") == 7


def test_the_photographers_page_is_named(tmp_path: Path) -> None:
    picture = read_labels(labelled_folder(tmp_path / "faces"), None)[0]
    picture = replace(
        picture, source="github.com/a/b/c/d.jpg", url="http://photos.example/1", licence="CC-BY-4.0"
    )
    text = credits_of([picture])
    assert "## github.com/a/b\n" in text
    assert "- c/d.jpg <http://photos.example/1>" in text


def test_an_unknown_licence_is_refused(tmp_path: Path) -> None:
    picture = read_labels(labelled_folder(tmp_path / "faces"), None)[0]
    with pytest.raises(ValueError, match="CC-BY-NC"):
        credits_of([replace(picture, licence="CC-BY-NC-4.0")])
