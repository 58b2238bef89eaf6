"""Where the command line writes: names, refusals, and files that are whole or not there."""

import os
from pathlib import Path

import pytest

from service.cli.files import discover
from service.cli.outputs import Refused, Task, check_outputs, plan_outputs, write_whole
from service.schemas.parameters import ImageFormat


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with some pictures."""
    for name in ("in/a.jpg", "in/b.PNG", "in/c.webp", "in/d.bmp", "in/e.tif", "in/sub/a.jpeg", "in/raw"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*arguments: str, output: str, wanted: ImageFormat | None = None) -> list[Task]:
    return plan_outputs(discover(arguments, output), arguments, output, wanted)


def targets(
    *arguments: str, output: str, wanted: ImageFormat | None = None
) -> list[tuple[str | None, str | None]]:
    return [(task.target, task.format) for task in plan(*arguments, output=output, wanted=wanted)]


def check(tasks: list[Task], *, force: bool = False, resume: bool = False) -> list[Task]:
    return check_outputs(tasks, force=force, resume=resume, remedy="--force overwrites")


def test_a_folder_keeps_names_and_formats_that_can_be_written() -> None:
    assert targets("in", output="out") == [
        ("out/a.jpg", "jpeg"),
        ("out/b.PNG", "png"),
        ("out/c.webp", "webp"),
        ("out/d.jpg", "jpeg"),
        ("out/e.jpg", "jpeg"),
        ("out/sub/a.jpeg", "jpeg"),
    ]


def test_a_wanted_format_changes_the_suffix_where_it_tells_another() -> None:
    assert [target for target, _ in targets("in", output="out", wanted="png")] == [
        "out/a.png",
        "out/b.PNG",
        "out/c.png",
        "out/d.png",
        "out/e.png",
        "out/sub/a.png",
    ]


@pytest.mark.parametrize(
    ("source", "output", "wanted", "expected"),
    [
        ("in/a.jpg", "new.webp", None, ("new.webp", "webp")),
        ("in/a.jpg", "new.JPG", "jpeg", ("new.JPG", "jpeg")),
        ("in/b.PNG", "new", None, ("new", None)),
        ("in/b.PNG", "new", "jpeg", ("new", "jpeg")),
        ("in/b.PNG", "new.masked", None, ("new.masked", None)),
        ("in/a.jpg", "new/", None, ("new/a.jpg", "jpeg")),
        ("in/a.jpg", "in/sub", None, ("in/sub/a.jpg", "jpeg")),
        ("in/raw", "in/sub", None, ("in/sub/raw.jpg", "jpeg")),
        ("in/raw", "in/sub", "webp", ("in/sub/raw.webp", "webp")),
        ("-", "-", None, ("-", None)),
        ("-", "new.png", None, ("new.png", "png")),
        ("in/a.jpg", "-", "png", ("-", "png")),
    ],
)
def test_one_picture(
    source: str, output: str, wanted: ImageFormat | None, expected: tuple[str, str | None]
) -> None:
    assert targets(source, output=output, wanted=wanted) == [expected]


@pytest.mark.parametrize(
    ("arguments", "output", "wanted", "words"),
    [
        (("in/a.jpg",), "new.bmp", None, ".bmp cannot be written"),
        (("in/a.jpg",), "new.png", "jpeg", "contradicts --format jpeg"),
        (("in",), "-", None, "takes one picture"),
        (("in/a.jpg", "in/b.PNG"), "-", None, "takes one picture"),
        (("in",), "in/a.jpg", None, "in/a.jpg is a file"),
        (("in",), "in", None, "is an input"),
        (("in",), "in/../in/", None, "is an input"),
        (("-",), "in", None, "is a folder"),
        (("in/a.jpg", "in/sub/../sub/a.jpeg", "in/a.jpg"), "out/", "png", "would both become out/a.png"),
    ],
)
def test_refusals(arguments: tuple[str, ...], output: str, wanted: ImageFormat | None, words: str) -> None:
    with pytest.raises(Refused, match=words.replace(".", r"\.")):
        plan(*arguments, output=output, wanted=wanted)


def test_two_inputs_of_one_output_in_a_folder() -> None:
    Path("in/a.bmp").touch()
    with pytest.raises(Refused, match=r"in/a\.bmp and in/a\.jpg would both become out/a\.jpg"):
        plan("in", output="out")


def test_the_same_picture_named_twice_is_done_once() -> None:
    assert len(plan("in/a.jpg", "./in/../in/a.jpg", output="out")) == 1


def test_what_exists_is_refused_or_marked() -> None:
    Path("out").mkdir()
    Path("out/c.webp").touch()
    tasks = plan("in", output="out")
    with pytest.raises(Refused, match=r"out/c\.webp exists already; --force overwrites"):
        check(tasks)
    for resume in (True, False):
        marked = check(tasks, resume=resume, force=not resume)
        assert [task.target for task in marked if task.exists] == ["out/c.webp"]


def test_a_long_list_of_existing_outputs_is_cut() -> None:
    tasks = plan("in", output="out")
    for task in tasks:
        Path(str(task.target)).parent.mkdir(parents=True, exist_ok=True)
        Path(str(task.target)).touch()
    with pytest.raises(Refused, match=r"out/a\.jpg, out/b\.PNG, out/c\.webp and 3 more exist already"):
        check(tasks)


@pytest.mark.parametrize("option", ["force", "resume"])
def test_an_output_is_never_an_input(option: str) -> None:
    cases = [plan("in/a.jpg", output="in/a.jpg"), plan("in/sub/a.jpeg", "in/a.jpg", output="in")]
    Path("link.jpg").symlink_to("in/a.jpg")
    os.link("in/c.webp", "hard.webp")
    cases += [plan("in/a.jpg", output="link.jpg"), plan("link.jpg", output="in/a.jpg")]
    cases += [plan("in/c.webp", output="hard.webp")]
    for tasks in cases:
        with pytest.raises(Refused, match="is the input"):
            check(tasks, force=option == "force", resume=option == "resume")


def test_folders_and_devices_are_not_replaced() -> None:
    Path("out/a.jpg").mkdir(parents=True)
    with pytest.raises(Refused, match="is not a file"):
        check(plan("in", output="out"), force=True)
    with pytest.raises(Refused, match="/dev/null exists and is not a file"):
        check(plan("in/a.jpg", output="/dev/null"), force=True)


def test_written_whole_with_the_usual_rights() -> None:
    before = os.umask(0o022)
    try:
        write_whole("new/folder/x.jpg", b"picture", overwrite=False)
    finally:
        os.umask(before)
    path = Path("new/folder/x.jpg")
    assert path.read_bytes() == b"picture"
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(FileExistsError):
        write_whole(str(path), b"other", overwrite=False)
    assert path.read_bytes() == b"picture"
    write_whole(str(path), b"other", overwrite=True)
    assert path.read_bytes() == b"other"
    assert os.listdir("new/folder") == ["x.jpg"]


def test_a_link_is_replaced_and_what_it_leads_to_is_kept() -> None:
    Path("kept.jpg").write_bytes(b"kept")
    Path("link.jpg").symlink_to("kept.jpg")
    write_whole("link.jpg", b"new", overwrite=True)
    assert not Path("link.jpg").is_symlink()
    assert Path("kept.jpg").read_bytes() == b"kept"


def test_nothing_is_left_behind_when_writing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole("new/x.jpg", b"picture", overwrite=False)
    assert os.listdir("new") == []
