"""Masking a picture, from file to file, against deface and the floor."""

from functools import partial
from typing import Final

from bench import contenders
from bench.installed import missing
from bench.pictures import FACES, FULL_HD, write_jpeg
from bench.plan import Plan
from bench.report import Row, Target, judged, reference
from bench.worker import Factory, take_turns

__all__ = ["run"]

SUITE: Final = "mask"
STRENGTH: Final = 199


def run(plan: Plan) -> list[Row]:
    """Run the suite; about half a minute, ten seconds when quick."""
    case = f"mask 1920 x 1080, gaussian {STRENGTH}, {FACES} faces"
    picture = write_jpeg(plan.folder, FULL_HD)
    calls: dict[str, Factory] = {
        "deface": partial(contenders.deface, picture),
        "floor": partial(contenders.mask_floor, picture, plan.model, plan.threads),
        "service's data path": partial(contenders.mask, picture, plan.model, plan.threads, STRENGTH),
    }
    if plan.quick or missing("deface"):
        del calls["deface"]
    timings = take_turns(calls, 3.0 if plan.quick else 8.0)
    floor, ours = timings["floor"], timings["service's data path"]
    if ours.faces != FACES:
        raise RuntimeError(f"{case}: {ours.faces} faces found")
    rows = [
        reference(SUITE, case, "floor", floor),
        judged(
            SUITE, case, "service's data path", ours, floor, Target(0.67, floor=0.4) if plan.quick else None
        ),
    ]
    if "deface" in timings:
        deface = timings["deface"]
        rows += [
            reference(SUITE, f"{case}, deface", "deface", deface),
            judged(SUITE, f"{case}, deface", "service's data path", ours, deface, Target(4)),
        ]
    return rows
