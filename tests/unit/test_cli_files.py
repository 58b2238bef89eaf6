"""Which pictures the arguments of the command line mean."""

import os
from pathlib import Path

import pytest

from service.cli.files import Picture, discover, read_picture


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures, other files, hidden ones, links and a circle; the current folder is around it."""
    for name in (
        "photos/b.jpg",
        "photos/a.JPG",
        "photos/notes.txt",
        "photos/._a.jpg",
        "photos/2024/c.png",
        "photos/2024/deep/d.webp",
        "photos/.trash/e.jpg",
        "photos/2025/f.tiff",
        "other/g.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "photos/circle").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/2024/up").symlink_to("..")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def places(*arguments: str, output: str | None = None) -> dict[str, str]:
    return {picture.source: picture.place for picture in discover(arguments, output).pictures}


def test_a_folder_alone_gives_its_content(photos: Path) -> None:
    found = discover(["photos"])
    assert [(picture.source, picture.place) for picture in found.pictures] == [
        ("photos/a.JPG", "a.JPG"),
        ("photos/b.jpg", "b.jpg"),
        ("photos/2024/c.png", "2024/c.png"),
        ("photos/2024/deep/d.webp", "2024/deep/d.webp"),
        ("photos/2025/f.tiff", "2025/f.tiff"),
    ]
    # notes.txt, ._a.jpg, .trash and the two links.
    assert found.skipped == 5
    assert not found.failures
    assert not found.single


def test_several_folders_keep_their_names(photos: Path) -> None:
    assert places("photos/2024", "other/", "photos/b.jpg") == {
        "photos/2024/c.png": "2024/c.png",
        "photos/2024/deep/d.webp": "2024/deep/d.webp",
        "other/g.jpg": "other/g.jpg",
        "photos/b.jpg": "b.jpg",
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.jpg", {"photos/b.jpg": "b.jpg"}),
        (
            "photos/*",
            {
                "photos/a.JPG": "a.JPG",
                "photos/b.jpg": "b.jpg",
                "photos/2024/c.png": "2024/c.png",
                "photos/2024/deep/d.webp": "2024/deep/d.webp",
                "photos/2025/f.tiff": "2025/f.tiff",
            },
        ),
        ("photos/20*/*.png", {"photos/2024/c.png": "2024/c.png"}),
        ("photos/**/*.webp", {"photos/2024/deep/d.webp": "2024/deep/d.webp"}),
        ("photos/[ab].[jJ]*", {"photos/a.JPG": "a.JPG", "photos/b.jpg": "b.jpg"}),
        ("*/202?/c.png", {"photos/2024/c.png": "photos/2024/c.png"}),
        (
            "photos/202*",
            {
                "photos/2024/c.png": "2024/c.png",
                "photos/2024/deep/d.webp": "2024/deep/d.webp",
                "photos/2025/f.tiff": "2025/f.tiff",
            },
        ),
    ],
)
def test_patterns_keep_what_follows_their_fixed_part(
    photos: Path, pattern: str, expected: dict[str, str]
) -> None:
    assert places(pattern) == expected


def test_a_recursive_pattern_takes_every_picture_once_and_no_circle(photos: Path) -> None:
    found = [picture.source for picture in discover(["photos/**"]).pictures]
    assert set(found) == {picture.source for picture in discover(["photos"]).pictures}
    assert len(found) == len(set(found))


def test_a_pattern_from_the_root(photos: Path) -> None:
    assert places(str(photos / "*.jpg")) == {str(photos / "b.jpg"): "b.jpg"}


def test_a_file_with_wildcards_in_its_name_is_that_file(photos: Path) -> None:
    (photos / "what[1].jpg").touch()
    assert places("photos/what[1].jpg") == {"photos/what[1].jpg": "what[1].jpg"}


def test_a_pattern_without_a_match_is_a_failure(photos: Path) -> None:
    assert discover(["photos/*.gif"]).failures == [("photos/*.gif", "no file matches")]


def test_the_output_folder_is_no_input(photos: Path) -> None:
    for argument in ("photos", "photos/**/*.png", "photos/*/*.png"):
        assert "photos/2024/c.png" not in places(argument, output="photos/2024")


def test_a_link_to_a_folder_is_entered_when_it_is_named(photos: Path) -> None:
    assert places("photos/2024/up", output=None)["photos/2024/up/b.jpg"] == "b.jpg"


def test_named_files_are_taken_whatever_they_are(photos: Path) -> None:
    found = discover(["photos/notes.txt"])
    assert found.pictures == [Picture("photos/notes.txt", "notes.txt", named=True)]
    assert found.single
    assert discover(["missing.jpg"]).pictures == [Picture("missing.jpg", "missing.jpg", named=True)]
    assert discover(["-"]).single


def test_a_folder_that_cannot_be_read_is_a_failure(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read every folder, so the refusal is made here.
    scandir = os.scandir

    def refuse(folder: str) -> object:
        if folder == "photos/2024":
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = discover(["photos"])
    assert found.failures == [("photos/2024", "Permission denied")]
    assert len(found.pictures) == 3


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    picture = discover([str(tmp_path)]).pictures[0]
    with pytest.raises(OSError, match="not a regular file"):
        read_picture(picture, 1000)


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(1000))
    picture = Picture(str(path), "a.jpg")
    assert read_picture(picture, 1000) == bytes(1000)
    assert read_picture(picture, 999) is None
    # Its size is not known before it is read.
    assert read_picture(Picture("/dev/zero", "zero", named=True), 5000) is None
