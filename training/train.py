"""Train the detector on a labelled folder: ``python -m training.train FOLDER``; stop and start again at any time.

With ``torchrun --nproc-per-node N -m training.train FOLDER`` N processes train one network, each with its own views and
one thread: on a CPU that is faster than N threads of one process.

The learning rate warms up, stays, and falls in the last part of the views (warm-up, stable, decay: Hu et al., 2024,
arXiv 2404.06395), so that a run can be made longer after it has ended: the state before the fall is kept.
"""

import argparse
import copy
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

os.environ.setdefault("KMP_BLOCKTIME", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from torch.utils.data import DataLoader

from training.arithmetic import bfloat16_pays, use_float32_where_faster, use_onednn
from training.batches import Batch, Batches
from training.labels import read_labels, read_mistakes, split
from training.losses import Losses, Usual, held_losses, losses
from training.model import FaceDetector
from training.pool import Pool
from training.scenes import MASKED
from training.team import Team

__all__ = ["Schedule", "main", "option_parser"]

_SAVE_EVERY_S = 180
_REPORT_EVERY = 50
_CLIP, _HELD_CLIP = 10.0, 2.5
"""The largest norm of a step's gradient; where scores are held, five steps of six have less.

A crowd upside-down, whose scores are all to rise, has twenty times as much.
"""
_RISING_STEPS = 50
_WEIGHTS, _HELD_WEIGHTS = (1.0, 2.0, 2.5), (1.0, 1.0, 1.0)
"""Of the losses of scores, boxes and landmarks."""


Part: TypeAlias = Literal["heads", "neck", "stages", "all"]
"""What is learnt, each with those before it; the stages are those from stride 8 on."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate by views seen."""

    peak: float
    views: int
    """All of them; the run ends there."""
    warm_up: int = 4_000
    decay: float = 0.25
    """The share of the views in which the rate falls, linearly, to a hundredth."""

    def rate(self, seen: int) -> float:
        """Return the learning rate after ``seen`` views."""
        if seen < self.warm_up:
            return self.peak * (seen + 1) / self.warm_up
        left = (self.views - seen) / (self.views * self.decay)
        return self.peak * max(0.01, min(1.0, left))

    def falling(self, seen: int) -> bool:
        """Return whether the rate falls."""
        return self.views - seen < self.views * self.decay


class Run:
    """A network in training, its averaged copy and its optimiser, kept in a folder."""

    def __init__(
        self, folder: Path, learn: Part = "all", held: bool = False, steadiness: float = 0.0
    ) -> None:
        """Begin a run, or take up the one in ``folder``.

        Args:
            folder: Made if it is missing.
            learn: ``heads`` (what only scores, boxes or landmarks come from), ``neck`` (the top-down path too),
                ``stages`` (from stride 8 on too) or ``all``.
            held: Whether the scores are held to those of other weights.
            steadiness: The weight of that loss.
        """
        self.folder = folder
        self.network = FaceDetector().to(memory_format=torch.channels_last)
        use_onednn(self.network)
        self.learn, self.held = learn, held
        self.loss_weights = (*(_HELD_WEIGHTS if held else _WEIGHTS), steadiness)
        self.origin: FaceDetector | None = None
        self.usual = Usual()
        self.clip = _HELD_CLIP if held else _CLIP
        if held:
            # In evaluation mode, so that the batch norms of what the weights know stay.
            self.network.eval()
            for module in self.network.endings():
                module.train()
        if learn != "all":
            self.network.requires_grad_(False)
            learnt = self.network.endings()
            learnt += self.network.necks() if learn != "heads" else []
            learnt += self.network.coarse_stages() if learn == "stages" else []
            for module in learnt:
                module.requires_grad_(True)
        self.optimiser = torch.optim.AdamW(_groups(self.network), betas=(0.9, 0.99), fused=True)
        self.average = copy.deepcopy(self.network).eval()
        self.seen = self.steps = 0
        self.half = False
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, name: str) -> None:
        """Take up a saved state."""
        state = torch.load(self.folder / name, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if self.held:
            self.origin = _frozen(self.average, state["origin"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.seen, self.steps = state["seen"], state["steps"]

    def begin_from(self, weights: Path, hold: Path | None = None) -> None:
        """Begin with weights that :mod:`training.weights` kept, held to ``hold``'s; the optimiser begins anew."""
        state = torch.load(weights, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["network"])
        if hold:
            self.origin = _frozen(self.average, torch.load(hold, weights_only=True)["network"])
        self.seen, self.steps = state["seen"], state["steps"]

    def save(self, name: str) -> None:
        """Save the state; an interrupted save leaves the former one."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "seen": self.seen,
            "steps": self.steps,
        }
        if self.origin:
            state["origin"] = self.origin.state_dict()
        partial = self.folder / f"{name}.part"
        torch.save(state, partial)
        partial.replace(self.folder / name)

    def losses(self, batch: Batch) -> Losses:
        """Return the network's losses on a batch."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            inputs = to_input(batch)
            if self.origin is None:
                return losses(self.network(inputs), batch)
            finest = self.network.finest(inputs)
            stages = self.network.coarser(finest)
            features = self.network.neck(stages)
            predictions = self.network.predictions(features)
            with torch.no_grad():
                # What is not learnt is the same in both.
                if self.learn == "all":
                    finest = self.origin.finest(inputs)
                if self.learn in {"stages", "all"}:
                    stages = self.origin.coarser(finest)
                if self.learn != "heads":
                    features = self.origin.neck(stages)
                held = torch.cat(self.origin.logits(features), 1)
        return held_losses(predictions, held, batch, self.usual)

    def total(self, terms: Losses) -> torch.Tensor:
        """Return the weighted sum of the losses."""
        return sum((w * term for w, term in zip(self.loss_weights, terms[:4], strict=True)), torch.zeros(()))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the network; slower as the run goes on."""
        keep = min(0.9985, (self.steps + 1) / (self.steps + 30))
        for mean, value in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)


def _frozen(like: FaceDetector, weights: dict[str, torch.Tensor]) -> FaceDetector:
    network = copy.deepcopy(like)
    network.requires_grad_(False).eval()
    network.load_state_dict(weights)
    return network


def _groups(network: FaceDetector) -> list[dict[str, Any]]:
    """The parameters to learn, by weight decay: vectors have none."""
    groups: dict[float, list[nn.Parameter]] = defaultdict(list)
    for parameter in (p for p in network.parameters() if p.requires_grad):
        groups[0.02 if parameter.ndim > 1 else 0.0].append(parameter)
    return [{"params": members, "weight_decay": decay} for decay, members in groups.items()]


def to_input(batch: Batch) -> torch.Tensor:
    """Return the views as SCRFD wants them: (B, 3, S, S), RGB, (x - 127.5) / 128."""
    rgb = batch.pixels.flip(-1).float().sub_(127.5).div_(128.0)
    return rgb.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def main(arguments: list[str] | None = None) -> None:
    """Train."""
    parser = option_parser()
    options = parser.parse_args(arguments)
    if (options.hold or options.learn != "all") and not options.weights:
        parser.error("--hold and --learn need --weights: there is nothing to keep yet")
    if options.steadiness and not options.hold:
        parser.error("--steadiness needs --hold: it is of a face's winners")
    if not 0 <= options.twins <= 0.5:
        parser.error(f"--twins {options.twins}: 0 to 0.5, a twin needs its view")
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    team = Team()
    run = Run(options.out, options.learn, options.hold is not None, options.steadiness)
    schedule = Schedule(options.rate, options.views, decay=options.decay)
    resume = _resume_from(options.out, schedule)
    if resume:
        run.load(resume)
        print(f"resumed {resume} at {run.seen} views", flush=True)
    elif options.weights:
        run.begin_from(options.weights, options.hold)
        print(f"began from {options.weights} at {run.seen} views", flush=True)
    run.half = team.agree(bfloat16_pays(run.network))
    if run.half:
        use_float32_where_faster(run.network)
    print(f"computing in {'bfloat16' if run.half else 'float32'}", flush=True)
    training, _ = split(read_labels(options.folder))
    if team.rank == 0:
        Pool(training, options.cache)
    team.wait()
    seed = str(run.seen)
    mistakes = read_mistakes(options.mistakes) if options.mistakes else None
    stream = Batches(
        training,
        options.cache,
        seed,
        options.batch,
        options.size,
        options.large,
        team.rank,
        options.masked,
        mistakes,
        options.twins,
    )
    ahead = 4 if options.workers else None
    loader = iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=options.workers,
            prefetch_factor=ahead,
            worker_init_fn=_end_with_the_trainer,
        )
    )
    if team.rank == 0:
        chosen = {name: str(value) for name, value in vars(options).items()} | {"schedule": asdict(schedule)}
        (options.out / "options.json").write_text(json.dumps(chosen, indent=1), encoding="utf-8")
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stop.append(got))
    _train(run, schedule, loader, stop, team)
    if team.rank == 0:
        run.save("last.pt")
        print(f"{'done' if run.seen >= schedule.views else 'stopped'} at {run.seen} views", flush=True)
    team.close()


def _end_with_the_trainer(_: int) -> None:
    """Let a worker outlive the signal that stops all: its death would break into the saving of the state."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _train(run: Run, schedule: Schedule, loader: Iterator[Batch], stop: list[int], team: Team) -> None:
    sums, counted, since, saved = torch.zeros(5), 0, time.monotonic(), time.monotonic()
    first = run.steps
    stopping = False
    while run.seen < schedule.views and not stopping:
        if team.rank == 0 and schedule.falling(run.seen) and not (run.folder / "trunk.pt").exists():
            run.save("trunk.pt")
        # An optimiser that is new to its weights knows nothing of their gradients yet.
        rising = min(1.0, (run.steps - first + 1) / _RISING_STEPS)
        for group in run.optimiser.param_groups:
            group["lr"] = schedule.rate(run.seen) * rising
        batch: Batch = next(loader)
        terms = run.losses(batch)
        run.optimiser.zero_grad(set_to_none=True)
        run.total(terms).backward()
        stopping = team.share(run.network, bool(stop))
        norm = nn.utils.clip_grad_norm_(run.network.parameters(), run.clip)
        if torch.isfinite(norm):
            run.optimiser.step()
        run.steps += 1
        run.seen += len(batch.pixels) * team.size
        run.follow()
        sums += torch.stack([t.detach() for t in terms])
        counted += len(batch.pixels) * team.size
        now = time.monotonic()
        if team.rank == 0 and (run.steps - first) % _REPORT_EVERY == 0:
            score, box, landmarks, wavering, iou = (sums / _REPORT_EVERY).tolist()
            print(
                f"step {run.steps} views {run.seen} {counted / (now - since):.1f}/s rate {schedule.rate(run.seen):.5f}"
                f" score {score:.4f} box {box:.4f} landmarks {landmarks:.4f} wavering {wavering:.4f} iou {iou:.3f}",
                flush=True,
            )
            sums, counted, since = torch.zeros(5), 0, now
        if team.rank == 0 and now - saved > _SAVE_EVERY_S:
            run.save("last.pt")
            saved = now


def _resume_from(folder: Path, schedule: Schedule) -> str | None:
    """The state to go on from: a run that has begun to fall goes on from before its fall when it is made longer."""
    if not (folder / "last.pt").exists():
        return None
    seen = torch.load(folder / "last.pt", weights_only=True)["seen"]
    if (folder / "trunk.pt").exists() and not schedule.falling(seen):
        (folder / "trunk.pt").replace(folder / "last.pt")
    return "last.pt"


def option_parser() -> argparse.ArgumentParser:
    """Return what reads the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument(
        "--out", type=Path, default=Path("training/runs/scrfd_free"), help="where states are kept"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("training/cache"), help="where decoded pictures are kept"
    )
    parser.add_argument("--weights", type=Path, help="begin a new run with these, kept by training.weights")
    parser.add_argument(
        "--views", type=int, default=1_000_000, help="views in all, former parts of the run included"
    )
    parser.add_argument(
        "--decay", type=float, default=0.25, help="share of the views in which the rate falls"
    )
    parser.add_argument("--rate", type=float, default=2.5e-3, help="highest learning rate")
    parser.add_argument(
        "--hold",
        type=Path,
        help="with --weights: scores are held to those that these weights give, false alarms are unlearnt",
    )
    parser.add_argument(
        "--learn",
        choices=get_args(Part),
        default="all",
        help="with --weights: what is learnt, each with those before it; the stages from stride 8 on",
    )
    parser.add_argument("--batch", type=int, default=16, help="views a step")
    parser.add_argument("--size", type=int, default=320, help="side of a view, pixels")
    parser.add_argument(
        "--large", type=float, default=0.2, help="share of the steps with views of 512 pixels"
    )
    parser.add_argument(
        "--masked",
        type=float,
        default=MASKED,
        help="share of the views in which faces are masked, and so none",
    )
    parser.add_argument(
        "--mistakes",
        type=Path,
        help="what a detector gets wrong, as training.mistakes wrote it: looked at more often",
    )
    parser.add_argument(
        "--twins",
        type=float,
        default=0.0,
        help="share of the views that are others once more, a little changed",
    )
    parser.add_argument(
        "--steadiness",
        type=float,
        default=0.0,
        help="with --hold: weight of how far a face's boxes, in a view and its twin, lie from their mean",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that compose views")
    return parser


if __name__ == "__main__":
    main()
