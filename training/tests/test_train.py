"""Runs: the rate, a stop and going on, what is learnt, several processes."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.support import labelled_folder
from training.model import FaceDetector
from training.pool import Pool
from training.recipe import steps
from training.train import Schedule, main, option_parser
from training.weights import keep


def test_the_rate_warms_up_stays_and_falls() -> None:
    schedule = Schedule(1.0, 100_000, warm_up=1000, decay=0.2)
    assert schedule.rate(0) < 0.01
    assert schedule.rate(1000) == schedule.rate(79_000) == 1.0
    assert schedule.rate(90_000) == pytest.approx(0.5)
    assert schedule.rate(100_000) == pytest.approx(0.01)
    assert not schedule.falling(79_999)
    assert schedule.falling(80_001)


def test_the_recipes_options_are_those_of_training(tmp_path: Path) -> None:
    runs = [step for step in steps(*(tmp_path / name for name in "abcd")) if step.module == "train"]
    for step in runs:
        options = option_parser().parse_args(step.arguments)
        schedule = Schedule(options.rate, options.views, decay=options.decay)
        assert schedule.rate(options.views) == pytest.approx(options.rate / 100)
        assert options.hold


def test_a_run_learns_stops_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = labelled_folder(tmp_path / "faces")
    options = [str(folder), "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    options += ["--batch", "4", "--size", "96", "--large", "0", "--workers", "0", "--threads", "1"]
    main([*options, "--views", "40"])
    first = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert first["seen"] == 40
    assert (tmp_path / "run" / "trunk.pt").exists()
    main([*options, "--views", "80"])
    assert "resumed last.pt at 32 views" in capsys.readouterr().out  # from before the rate fell
    second = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert second["seen"] == 80
    assert not torch.equal(first["network"]["stem.0.0.weight"], second["network"]["stem.0.0.weight"])
    assert json.loads((tmp_path / "run" / "options.json").read_text())["views"] == "80"


def test_a_run_looks_at_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = labelled_folder(tmp_path / "faces")
    row = {"file": "1.png", "mistakes": [[20, 30, 68, 78, 40, 0]]}
    (tmp_path / "mistakes.jsonl").write_text(json.dumps(row) + "\n")
    drawn: list[int] = []
    draw = Pool.random_mistake

    def counted(pool: Pool, rng: random.Random) -> tuple[int, np.ndarray]:
        index, row = draw(pool, rng)
        drawn.append(index)
        return index, row

    monkeypatch.setattr(Pool, "random_mistake", counted)
    options = [
        str(folder),
        "--out",
        str(tmp_path / "run"),
        "--cache",
        str(tmp_path / "cache"),
        "--views",
        "40",
    ]
    options += ["--batch", "4", "--size", "96", "--large", "0", "--workers", "0", "--threads", "1"]
    main([*options, "--mistakes", str(tmp_path / "mistakes.jsonl")])
    assert 1 <= len(drawn) <= 20
    assert set(drawn) == {1}


def test_weights_that_were_kept_are_gone_on_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = labelled_folder(tmp_path / "faces")
    options = [str(folder), "--cache", str(tmp_path / "cache")]
    options += ["--batch", "4", "--size", "96", "--large", "0", "--workers", "0", "--threads", "1"]
    main([*options, "--out", str(tmp_path / "first"), "--views", "8"])
    kept = tmp_path / "kept" / "weights.pt"
    assert keep(tmp_path / "first" / "last.pt", kept) == 8
    main([*options, "--out", str(tmp_path / "second"), "--weights", str(kept), "--views", "8"])
    assert f"began from {kept} at 8 views" in capsys.readouterr().out
    first, second = (
        torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("first", "second")
    )
    assert all(torch.equal(value, second["network"][name]) for name, value in first["average"].items())


@pytest.mark.parametrize("learn", ["heads", "neck", "stages", "all"])
def test_a_part_can_be_learnt_and_the_rest_left(tmp_path: Path, learn: str) -> None:
    folder = labelled_folder(tmp_path / "faces")
    torch.manual_seed(7)
    begun = FaceDetector().eval()
    start = tmp_path / "start.pt"
    torch.save({"network": begun.state_dict(), "seen": 0, "steps": 0}, start)
    options = [str(folder), "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    options += ["--weights", str(start), "--hold", str(start), "--learn", learn]
    options += ["--twins", "0.25", "--steadiness", "1"]
    options += ["--batch", "4", "--size", "96", "--large", "0", "--workers", "0", "--threads", "1"]
    main([*options, "--views", "24"])
    trained = FaceDetector().eval()
    trained.load_state_dict(torch.load(tmp_path / "run" / "last.pt", weights_only=True)["average"])
    views = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        before, after = begun(views), trained(views)
        stages, new_stages = begun.backbone(views), trained.backbone(views)
        features, new_features = begun.neck(stages), trained.neck(stages)
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(stages[0], new_stages[0]) == (learn != "all")
    coarser = zip(stages[1:], new_stages[1:], strict=True)
    assert all(torch.equal(a, b) == (learn in {"heads", "neck"}) for a, b in coarser)
    levels = zip(features[1:], new_features[1:], strict=True)
    assert all(torch.equal(a, b) == (learn == "heads") for a, b in levels)
    main([*options, "--views", "48"])
    again = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert again["seen"] == 48
    assert all(torch.equal(value, again["origin"][name]) for name, value in begun.state_dict().items())


def test_what_is_kept_needs_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--learn", "heads"], ["--hold", "start.pt"]):
        with pytest.raises(SystemExit):
            main([str(tmp_path), *option])
        assert "need --weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--steadiness", "1"], "--steadiness needs --hold"), (["--twins", "0.6"], "--twins 0.6: 0 to 0.5")],
)
def test_twins_and_steadiness_that_cannot_be(
    options: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), *options])
    assert complaint in capsys.readouterr().err


def test_processes_train_together(tmp_path: Path) -> None:
    """Two processes share one network: the views of both count, and both end."""
    folder = labelled_folder(tmp_path / "faces")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "training.train", str(folder), "--out", str(tmp_path / "run")]
    command += [
        "--cache",
        str(tmp_path / "cache"),
        "--batch",
        "2",
        "--size",
        "64",
        "--large",
        "0.5",
        "--workers",
        "1",
    ]
    done = subprocess.run(
        [*command, "--views", "24"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "done at 24 views" in done.stdout
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["steps"] == 6


def test_a_run_is_saved_when_all_its_processes_are_told_to_stop(tmp_path: Path) -> None:
    """A terminal, and torchrun, tell the workers too: their death must not break into the saving."""
    folder = labelled_folder(tmp_path / "faces")
    command = [sys.executable, "-u", "-m", "training.train", str(folder), "--out", str(tmp_path / "run")]
    command += ["--cache", str(tmp_path / "cache"), "--batch", "2", "--size", "96", "--large", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as run:
        assert run.stdout is not None
        # A run that hangs ends the test, not the day.
        watch = threading.Timer(240, run.kill)
        watch.start()
        said = []
        for line in run.stdout:
            said.append(line)
            if line.startswith("step 50 "):
                os.killpg(run.pid, signal.SIGTERM)
        watch.cancel()
    assert run.returncode == 0, said
    assert said[-1].startswith("stopped at ")
    seen = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["seen"]
    assert said[-1] == f"stopped at {seen} views\n"
    assert seen >= 100
