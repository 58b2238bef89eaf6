"""Make the bundled model anew: ``python -m training.recipe FOLDER yunet_n.onnx centerface.onnx``.

The pictures are labelled by agreement, then one version is trained after the other, each begun with the version before
and held to its scores, and exported. It can be stopped and started again at any time: what is there is not made again,
and a run in training goes on. The last version's file is the bundled one.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["STAGES", "Stage", "Step", "main", "make", "steps"]

_WITH_PYTORCH = {"transfer", "train", "weights", "export"}
"""The modules that need it, and so its interpreter."""


class Stage(NamedTuple):
    """A run and what is made of it."""

    name: str
    training: str
    """Options of :mod:`training.train`; the views are counted from YuNet-n's weights on."""
    export: str | None
    """Options of :mod:`training.export`; None: the next stage goes on from the run, held to what this one was."""
    mistakes: bool = True
    """Whether the mistakes of the version before are looked at more often."""


STAGES = (
    Stage("neck", "--learn neck --rate 5e-4 --views 30000 --decay 0.7 --masked 0.5", None, mistakes=False),
    Stage(
        "3",
        "--learn all --rate 3e-4 --views 165000 --decay 0.7 --masked 0.5",
        "--origin-share 0.5 --box-scale 1.06",
        mistakes=False,
    ),
    Stage(
        "4",
        "--learn all --rate 3e-4 --views 304000 --decay 0.2 --masked 0.4",
        "--origin-share 0.4 --score-shift 0.21 --box-scale 1.05",
        mistakes=False,
    ),
    Stage(
        "5",
        "--learn stages --rate 4e-4 --views 460000 --decay 0.15 --masked 0.3",
        "--origin-share 0.38 --score-shift 0.28 --box-scale 1.06",
        mistakes=False,
    ),
    Stage(
        "6",
        "--learn stages --rate 5e-4 --views 678816 --decay 0.118 --masked 0.4",
        "--origin-share 0.72 --score-shift 0.26 --box-scale 1.06",
    ),
    Stage(
        "7",
        "--learn stages --rate 5e-4 --views 1020000 --decay 0.1 --masked 0.35",
        "--origin-share 0.72 --score-shift 0.245 --box-scale 1.08",
    ),
    Stage(
        "8",
        "--learn stages --rate 5e-4 --views 1255000 --decay 0.065 --masked 0.3",
        "--origin-share 0.44 --score-shift 0.205 --box-scale 1.071",
    ),
    Stage(
        "9",
        "--learn all --rate 2.5e-4 --views 1498000 --decay 0.104 --masked 0.45 --twins 0.3 --steadiness 3",
        "--origin-share 0.17 --score-shift 0.235 --box-scale 1.073",
    ),
    Stage(
        "10",
        "--learn all --rate 3e-4 --views 1720000 --decay 0.0872 --masked 0.28 --twins 0.3 --steadiness 3",
        "--origin-share 0.22 --score-shift 0.17 --box-scale 1.085",
    ),
    Stage(
        "11",
        "--learn all --rate 3e-4 --views 2050000 --decay 0.1073 --masked 0.36 --twins 0.3 --steadiness 3",
        "--origin-share 0.23 --score-shift 0.275 --box-scale 1.075",
    ),
    Stage(
        "12",
        "--learn all --rate 3e-4 --views 2400000 --decay 0.1 --masked 0.36 --twins 0.3 --steadiness 3",
        "--origin-share 0.5 --score-shift 0.3375 --box-scale 1.068",
    ),
    Stage(
        "13",
        "--learn stages --rate 3e-4 --views 2456000 --decay 0.0163 --masked 0.33 --twins 0.3 --steadiness 3",
        "--origin-share 0.35 --score-shift 0.3925 --box-scale 1.0765",
    ),
)


class Step(NamedTuple):
    """A command: a module of this folder with its arguments."""

    module: str
    arguments: list[str]
    makes: Path
    """Not run where this is there. A run in training ends by itself, so that what is made *of* it counts."""


def steps(folder: Path, yunet: Path, centerface: Path, into: Path) -> Iterator[Step]:
    """Yield what makes the bundled model, in order.

    Args:
        folder: ``labels.jsonl`` and ``images/``.
        yunet: ``yunet_n.onnx``.
        centerface: ``centerface.onnx``.
        into: The folder of everything that is made.
    """
    labelled = into / "agreed"
    yield Step("relabel", [*map(str, (folder, labelled, yunet, centerface))], labelled)
    hold = begin = into / "start.pt"
    yield Step("transfer", [*map(str, (yunet, labelled, begin))], begin)
    former = yunet
    for stage in STAGES:
        run, weights = into / f"version_{stage.name}", into / f"version_{stage.name}.pt"
        exported = into / f"version_{stage.name}.onnx"
        options = [str(labelled), "--out", str(run), "--weights", str(begin), "--hold", str(hold)]
        options += stage.training.split()
        if stage.mistakes:
            mistakes = into / f"mistakes_of_{former.stem}.jsonl"
            yield Step("mistakes", [*map(str, (labelled, former, mistakes))], mistakes)
            options += ["--mistakes", str(mistakes)]
        begin = weights
        if stage.export is None:
            yield Step("train", options, weights)
            yield Step("weights", [str(run / "last.pt"), str(weights)], weights)
            continue
        yield Step("train", options, exported)
        calibration = [*stage.export.split(), "--version", stage.name]
        yield Step("export", [str(run / "last.pt"), str(exported), *calibration], exported)
        yield Step("transfer", [*map(str, (exported, labelled, weights))], weights)
        hold, former = weights, exported


def make(step: Step, command: list[str]) -> None:
    """Run what a step's ``command`` begins with and the step's arguments; what it makes is there whole or not at all.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    # An ONNX file keeps its ending.
    partial = step.makes.with_name(f"partial_{step.makes.name}")
    arguments = [str(partial) if value == str(step.makes) else value for value in step.arguments]
    print(shlex.join(["training." + step.module, *arguments]), flush=True)
    subprocess.run([*command, *arguments], check=True)
    if str(step.makes) in step.arguments:
        partial.rename(step.makes)


def _command(step: Step, torch: Path) -> list[str]:
    """What runs a step: this interpreter, which has the service's packages, or that with PyTorch, on all processors."""
    if step.module == "train":
        processes = ["--standalone", "--nproc-per-node", str(os.cpu_count() or 1)]
        return [str(torch), "-m", "torch.distributed.run", *processes, "-m", "training.train"]
    return [str(torch) if step.module in _WITH_PYTORCH else sys.executable, "-m", f"training.{step.module}"]


def main(arguments: list[str] | None = None) -> None:
    """Make it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("yunet", type=Path, help="yunet_n.onnx")
    parser.add_argument("centerface", type=Path, help="centerface.onnx")
    parser.add_argument("--into", type=Path, default=Path("training/runs"), help="where everything is made")
    parser.add_argument(
        "--torch",
        type=Path,
        default=Path(sys.prefix) / "training" / "bin" / "python",
        help="the interpreter that has PyTorch",
    )
    options = parser.parse_args(arguments)
    needed = {
        "folder": options.folder / "labels.jsonl",
        "yunet": options.yunet,
        "centerface": options.centerface,
    }
    for name, file in (needed | {"--torch": options.torch}).items():
        if not file.is_file():
            parser.error(f"{name}: {file}: no such file")
    options.into.mkdir(parents=True, exist_ok=True)
    last = options.into
    for step in steps(options.folder, options.yunet, options.centerface, options.into):
        if not step.makes.exists():
            try:
                make(step, _command(step, options.torch))
            except subprocess.CalledProcessError as error:
                parser.exit(
                    1, f"training.{step.module} ended with {error.returncode}: start again to go on\n"
                )
            except KeyboardInterrupt:
                parser.exit(130, "stopped: start again to go on\n")
        last = step.makes if step.module == "export" else last
    print(f"{last}: version {STAGES[-1].name}")


if __name__ == "__main__":
    main()
