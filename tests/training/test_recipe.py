"""The steps that make the bundled model."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from service.detection.registry import BUNDLED_DIR
from training import recipe
from training.recipe import STAGES, Step, main, steps


@pytest.fixture
def given(tmp_path: Path) -> list[Path]:
    """A labelled folder and the weights that the recipe begins with, and an interpreter; nothing is read of them."""
    files = [
        tmp_path / "faces" / "labels.jsonl",
        *(tmp_path / name for name in ("y.onnx", "c.onnx", "python")),
    ]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return [files[0].parent, *files[1:]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that are run; each writes what its arguments say it makes."""
    run: list[list[str]] = []

    def command(arguments: list[str], *, check: bool) -> Any:
        assert check
        run.append(arguments)
        for made in (Path(value) for value in arguments if Path(value).name.startswith("partial_")):
            assert not made.exists()
            made.touch()

    monkeypatch.setattr(subprocess, "run", command)
    return run


def options(given: list[Path], into: Path) -> list[str]:
    folder, yunet, centerface, python = map(str, given)
    return [folder, yunet, centerface, "--into", str(into), "--torch", python]


def test_every_step_takes_what_is_there_by_then(tmp_path: Path) -> None:
    there = {tmp_path / name for name in ("faces", "y.onnx", "c.onnx")}
    into = tmp_path / "runs"
    for step in steps(tmp_path / "faces", tmp_path / "y.onnx", tmp_path / "c.onnx", into):
        named = {Path(value) for value in step.arguments if value.startswith(str(tmp_path))}
        if step.module == "train":
            run = Path(step.arguments[step.arguments.index("--out") + 1])
            named.remove(run)
            there.add(run / "last.pt")
        assert named - {step.makes} <= there
        there.add(step.makes)
    assert into / f"version_{STAGES[-1].name}.onnx" in there


def test_the_last_version_is_the_bundled_one() -> None:
    session = onnxruntime.InferenceSession(
        BUNDLED_DIR / "scrfd_free.onnx", providers=["CPUExecutionProvider"]
    )
    bundled = session.get_modelmeta().custom_metadata_map
    last = STAGES[-1]
    assert last.export is not None
    words = last.export.split()
    chosen = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    assert bundled["version"] == last.name
    assert {
        f"--{name.replace('_', '-')}": float(bundled[name])
        for name in ("origin_share", "score_shift", "box_scale")
    } == chosen
    views = int(last.training.split()[last.training.split().index("--views") + 1])
    # It ends with the first step that reaches them.
    assert views <= int(bundled["views"]) < views + 100


def test_versions_follow_each_other() -> None:
    numbers = [int(stage.name) for stage in STAGES if stage.export is not None]
    assert numbers == list(range(3, 3 + len(numbers)))
    views = [int(words[words.index("--views") + 1]) for words in (stage.training.split() for stage in STAGES)]
    assert views == sorted(set(views))


def test_what_is_there_is_not_made_again(
    tmp_path: Path, given: list[Path], commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "runs"
    main(options(given, into))
    folder, yunet, centerface, _ = given
    every = list(steps(folder, yunet, centerface, into))
    assert len(commands) == len(every)
    assert capsys.readouterr().out.endswith(
        f"{into / f'version_{STAGES[-1].name}.onnx'}: version {STAGES[-1].name}\n"
    )
    assert not list(into.glob("partial_*"))
    assert all(step.makes.exists() for step in every)

    # Half of it made again: the steps before stay as they are.
    del commands[:]
    later = [
        step
        for step in every
        if step.makes.name.endswith("_9.onnx") or "version_9.onnx" in " ".join(step.arguments)
    ]
    for made in {step.makes for step in later}:
        made.unlink()
    main(options(given, into))
    assert [command[-len(step.arguments) :][0] for command, step in zip(commands, later, strict=True)] == [
        step.arguments[0] for step in later
    ]


def test_pytorch_has_an_interpreter_of_its_own(
    tmp_path: Path, given: list[Path], commands: list[list[str]]
) -> None:
    main(options(given, tmp_path / "runs"))
    interpreters = {
        command[2] if "torch.distributed.run" not in command else "train": command[0] for command in commands
    }
    with_torch = {"training.transfer", "training.weights", "training.export", "train"}
    assert {name for name, python in interpreters.items() if python == str(given[3])} == with_torch
    assert {name for name, python in interpreters.items() if python == sys.executable} == {
        "training.relabel",
        "training.mistakes",
    }


def test_a_step_that_fails_ends_it_and_is_made_again(
    tmp_path: Path,
    given: list[Path],
    commands: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    into = tmp_path / "runs"
    whole = recipe.make

    def make(step: Step, command: list[str]) -> None:
        if step.module == "export":
            raise subprocess.CalledProcessError(3, command)
        whole(step, command)

    monkeypatch.setattr(recipe, "make", make)
    with pytest.raises(SystemExit) as ended:
        main(options(given, into))
    assert ended.value.code == 1
    assert "training.export ended with 3: start again to go on" in capsys.readouterr().err
    before = len(commands)
    monkeypatch.setattr(recipe, "make", whole)
    main(options(given, into))
    # Training first: it goes on, or finds that it has ended.
    assert "torch.distributed.run" in commands[before]
    assert commands[before + 1][2] == "training.export"


def test_a_missing_file_is_named(
    tmp_path: Path, given: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given[2].unlink()
    with pytest.raises(SystemExit):
        main(options(given, tmp_path / "runs"))
    assert f"error: centerface: {given[2]}: no such file" in capsys.readouterr().err


def test_an_interrupt_ends_it_in_words(
    tmp_path: Path, given: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(step: Step, command: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "make", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(options(given, tmp_path / "runs"))
    assert ended.value.code == 130
    assert "stopped: start again to go on" in capsys.readouterr().err
