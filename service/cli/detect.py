"""face-api detect: pictures in, faces out."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import rich_click as click

from service.cli.options import (
    det_size_option,
    jobs_option,
    parameter_options,
    read_options,
    settings_for,
)
from service.cli.outputs import STDOUT, Refused, Task, check_outputs, plan_outputs
from service.cli.screen import Screen, printable
from service.cli.session import file_name, find_pictures, json_line, read_stdin, refusals, run_tasks
from service.schemas.parameters import DetectParameters

if TYPE_CHECKING:
    from service.cli.engine import Outcome

__all__ = ["detect"]


@click.command()
@click.argument("inputs", metavar="PHOTO...", nargs=-1, required=True)
@click.option(
    "as_json",
    "--json/--table",
    default=None,
    help="One JSON document a line for each picture, or tables. Default: tables at a terminal, else JSON.",
)
@click.option(
    "--draw", metavar="OUT", help="Write the picture with boxes, landmarks and scores: file or folder."
)
@parameter_options(DetectParameters, {})
@det_size_option
@jobs_option
@click.option("--force", is_flag=True, help="Let --draw overwrite what exists.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
def detect(
    inputs: tuple[str, ...],
    as_json: bool | None,
    draw: str | None,
    det_size: int | None,
    jobs: int | None,
    force: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Find the faces in pictures.

    PHOTO is a file, a folder with all in it, a quoted pattern such as 'photos/**/*.jpg', or - for standard input.
    The JSON is what POST /api/v1/detect answers, with the file's name; a picture that failed has "detail" instead.

    Exit code: 0 all done, 1 some pictures failed, 2 nothing was begun, 130 interrupted.
    """
    if as_json is None:
        as_json = not sys.stdout.isatty()
    with refusals():
        sys.exit(_run(inputs, as_json, draw, det_size, jobs, force, quiet, given))


def _run(
    inputs: tuple[str, ...],
    as_json: bool,
    draw: str | None,
    det_size: int | None,
    jobs: int | None,
    force: bool,
    quiet: bool,
    given: dict[str, Any],
) -> int:
    if draw == STDOUT:
        raise Refused("--draw - is not possible: standard output carries the faces; name a file")
    found = find_pictures(inputs, draw)
    if draw is None:
        tasks = [Task(picture) for picture in found.pictures]
    else:
        try:
            planned = plan_outputs(found, inputs, draw, None)
            tasks = check_outputs(planned, force=force, resume=False, remedy="--force overwrites")
        except Refused as error:
            raise Refused(f"--draw: {error}") from None

    # Only now what takes a while to import.
    from service.cli.engine import Engine
    from service.detection.detector import DetectionOptions, usable_cores

    jobs = max(1, min(jobs or usable_cores(), len(tasks)))
    effective = settings_for(os.environ, det_size=det_size, jobs=jobs)
    parameters = read_options(DetectParameters, effective.settings, given)
    options = msgspec.convert(parameters, DetectionOptions, from_attributes=True)
    screen = Screen(len(tasks), quiet=quiet, progress=not sys.stdout.isatty())
    for warning in effective.warnings:
        screen.note(f"warning: {warning}")
    stdin = read_stdin(found, effective.settings.max_image_bytes)
    engine = Engine(effective, stdin=stdin, overwrite=force)
    return run_tasks(
        tasks,
        lambda task: engine.detect(task, options),
        jobs,
        found=found,
        screen=screen,
        verb="searched",
        take=_print_json if as_json else _table_printer(),
    )


def _print_json(outcome: "Outcome") -> None:
    faces = msgspec.to_builtins(outcome.response) if outcome.response else {"detail": outcome.error}
    sys.stdout.buffer.write(json_line({"file": file_name(outcome.task.picture.source), **faces}))
    sys.stdout.buffer.flush()


def _table_printer() -> Callable[["Outcome"], None]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)

    def show(outcome: "Outcome") -> None:
        response = outcome.response
        if response is None:
            return
        count = response.summary.face_count
        title = (
            f"{printable(outcome.task.picture.source)}: {response.image.width} x {response.image.height} px, "
            f"{count} face{'' if count == 1 else 's'}, {response.processing.total_ms:.0f} ms"
        )
        console.print(Text(title, style="bold"), soft_wrap=True)
        if not count:
            return
        table = Table(box=None, pad_edge=True)
        for column in ("#", "confidence", "x1", "y1", "x2", "y2", "width", "height"):
            table.add_column(column, justify="right")
        for face in response.detections:
            box, size = face.bbox, face.size
            numbers = (box.x1, box.y1, box.x2, box.y2, size.width, size.height)
            table.add_row(str(face.index), f"{face.confidence:.4f}", *(f"{number:.1f}" for number in numbers))
        console.print(table)

    return show
