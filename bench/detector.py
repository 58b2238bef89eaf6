"""The data path of detection against what one would write, InsightFace, and the floor."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from bench import contenders
from bench.installed import missing
from bench.pictures import FACES, FULL_HD, TWELVE_MEGAPIXELS, write_jpeg
from bench.plan import Plan
from bench.report import Row, Target, judged, reference
from bench.worker import Factory, Timing, take_turns

__all__ = ["run"]

SUITE: Final = "detector"

_PAGES: Final = (
    "In processor time half size is 1.6 times as fast, since reading the entropy-coded data costs the same at every "
    "size; what carries it over 2 is the cost of fresh pages for the full picture, which differs between machines"
)


def run(plan: Plan) -> list[Row]:
    """Run the suite; about a minute, half of it when quick."""
    seconds = 2.0 if plan.quick else 4.0
    small, large = (write_jpeg(plan.folder, size) for size in (FULL_HD, TWELVE_MEGAPIXELS))
    return [
        *_reduced_decode(large, seconds),
        *_less_inference(plan, small, seconds),
        *_detection(plan, "detect 1920 x 1080", small, seconds),
        *_detection(plan, "detect 4032 x 3024", large, seconds),
    ]


def _reduced_decode(large: Path, seconds: float) -> list[Row]:
    case = "jpeg 4032 x 3024 q85 decode"
    timings = take_turns(
        {
            "in full": partial(contenders.reduced_decode, large, False),
            "reduced": partial(contenders.reduced_decode, large, True),
        },
        seconds,
    )
    full = timings["in full"]
    return [
        reference(SUITE, case, "in full", full),
        judged(SUITE, case, "reduced", timings["reduced"], full, Target(2, floor=1.25, reason=_PAGES)),
    ]


def _less_inference(plan: Plan, small: Path, seconds: float) -> list[Row]:
    case = "all but inference 1920 x 1080, at most 1.4 x the decode"
    timings = take_turns(
        {
            "cv2.imdecode": partial(contenders.full_decode, small),
            "detect less inference": partial(
                contenders.detect_less_inference, small, plan.model, plan.threads
            ),
        },
        seconds,
    )
    decoding = timings["cv2.imdecode"]
    target = Target(round(1 / 1.4, 3), floor=0.5, reason="Other work on the machine delays both")
    return [
        reference(SUITE, case, "cv2.imdecode", decoding),
        judged(SUITE, case, "detect less inference", timings["detect less inference"], decoding, target),
    ]


def _detection(plan: Plan, case: str, picture: Path, seconds: float) -> list[Row]:
    """From the file to the faces, all with as many threads as there are cores."""
    calls: dict[str, Factory] = {
        "plain": partial(contenders.plain, picture, plan.model),
        "insightface": partial(contenders.insightface, picture, plan.model, plan.threads),
        "floor": partial(contenders.floor, picture, plan.model, plan.threads),
        "service's data path": partial(contenders.detect, picture, plan.model, plan.threads),
        "the same, provider cpu": partial(contenders.detect, picture, plan.model, plan.threads, "cpu"),
    }
    if plan.quick or missing("insightface"):
        del calls["insightface"]
    timings = take_turns(calls, seconds)
    _check(case, timings)
    plain = timings["plain"]
    rows = [
        reference(SUITE, case, name, timings[name]) for name in ("plain", "insightface") if name in timings
    ]
    rows += [
        judged(SUITE, case, name, timings[name], plain, target)
        for name, target in (
            ("floor", None),
            ("service's data path", Target(1)),
            ("the same, provider cpu", Target(1)),
        )
    ]
    return rows


def _check(case: str, timings: Mapping[str, Timing]) -> None:
    """Contenders that find different faces are not doing the same work."""
    faces = {name: timing.faces for name, timing in timings.items() if timing.faces is not None}
    if set(faces.values()) != {FACES}:
        raise RuntimeError(f"{case}: {FACES} faces are drawn; found: {faces}")
