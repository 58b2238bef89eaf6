"""face-api mask: pictures in, masked pictures out."""

import os
import sys
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
import rich_click as click

from service.cli.files import STDIN, identity
from service.cli.options import (
    det_size_option,
    jobs_option,
    parameter_options,
    read_options,
    settings_for,
)
from service.cli.outputs import STDOUT, Refused, Task, check_outputs, plan_outputs
from service.cli.screen import Screen
from service.cli.session import file_name, find_pictures, json_line, read_stdin, refusals, run_tasks
from service.schemas.parameters import MaskParameters

if TYPE_CHECKING:
    from service.cli.engine import Outcome

__all__ = ["mask"]

_REMEDY: Final = "--force overwrites, --resume leaves what is there and does the rest"


@click.command()
@click.argument("inputs", metavar="IN...", nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    required=True,
    metavar="OUT",
    help="File for one picture, folder for several, - for standard output.",
)
@parameter_options(
    MaskParameters, {"format": "what the name of OUT says, else that of the input, else jpeg (BMP, TIFF)"}
)
@det_size_option
@jobs_option
@click.option("--force", is_flag=True, help="Overwrite what exists.")
@click.option("--resume", is_flag=True, help="Leave out pictures whose output exists.")
@click.option("--report", metavar="FILE", help="JSON Lines: what was found and done, picture by picture.")
@click.option("--quiet", "-q", is_flag=True, help="Show failures only.")
def mask(
    inputs: tuple[str, ...],
    output: str,
    det_size: int | None,
    jobs: int | None,
    force: bool,
    resume: bool,
    report: str | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Make the faces in pictures unrecognisable.

    IN is a file, a folder with all in it, a quoted pattern such as 'photos/**/*.jpg', or - for standard input.
    Folders keep their structure. Each output is written whole or not at all; nothing is overwritten without --force.
    A picture without a face is written too. Metadata is not kept, the picture is upright.

    Exit code: 0 all done, 1 some pictures failed, 2 nothing was begun, 130 interrupted.
    """
    with refusals():
        sys.exit(_run(inputs, output, det_size, jobs, force, resume, report, quiet, given))


def _run(
    inputs: tuple[str, ...],
    output: str,
    det_size: int | None,
    jobs: int | None,
    force: bool,
    resume: bool,
    report: str | None,
    quiet: bool,
    given: dict[str, Any],
) -> int:
    if force and resume:
        raise Refused("--force and --resume exclude each other")
    if output == STDOUT and sys.stdout.isatty():
        raise Refused("-o - would write a picture to the terminal; redirect the output")
    found = find_pictures(inputs, output)
    planned = check_outputs(
        plan_outputs(found, inputs, output, given["format"]), force=force, resume=resume, remedy=_REMEDY
    )
    tasks = [task for task in planned if force or not task.exists]

    # Only now what takes a while to import.
    from service.cli.engine import Engine
    from service.detection.detector import DetectionOptions, usable_cores
    from service.imaging.mask import MaskOptions

    jobs = max(1, min(jobs or usable_cores(), len(tasks)))
    effective = settings_for(os.environ, det_size=det_size, jobs=jobs)
    parameters = read_options(MaskParameters, effective.settings, given)
    options = msgspec.convert(parameters, DetectionOptions, from_attributes=True)
    masking = msgspec.convert(parameters, MaskOptions, from_attributes=True)
    screen = Screen(len(tasks), quiet=quiet)
    for warning in effective.warnings:
        screen.note(f"warning: {warning}")
    stdin = read_stdin(found, effective.settings.max_image_bytes)
    engine = Engine(effective, stdin=stdin, overwrite=force)
    with _Report(report, planned, append=resume, overwrite=force) as lines:

        def take(outcome: "Outcome") -> None:
            lines.write(outcome)
            if outcome.payload is not None:
                sys.stdout.buffer.write(outcome.payload)
                sys.stdout.buffer.flush()

        return run_tasks(
            tasks,
            lambda task: engine.mask(task, options, masking, parameters.quality),
            jobs,
            found=found,
            existing=len(planned) - len(tasks),
            screen=screen,
            verb="masked",
            take=take,
        )


class _Report:
    """The JSON Lines of --report; every line is on its way to the disk before the next picture."""

    def __init__(self, path: str | None, tasks: list[Task], *, append: bool, overwrite: bool) -> None:
        self._path = path
        self._append = append
        if path is not None and os.path.lexists(path):
            if not (append or overwrite):
                raise Refused(f"{path} exists already; --force overwrites, --resume adds to it")
            sources = (task.picture.source for task in tasks if task.picture.source != STDIN)
            there = identity(path)
            if there is not None and any(identity(source) == there for source in sources):
                raise Refused(f"the report {path} is an input; choose another place")
        if path is not None and any(_same_place(path, task.target) for task in tasks):
            raise Refused(f"the report {path} is an output as well; choose another place")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "_Report":
        if self._path is not None:
            try:
                self._file = open(self._path, "ab" if self._append else "wb")
            except OSError as error:
                raise Refused(f"the report {self._path} cannot be written: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, outcome: "Outcome") -> None:
        """Add a line."""
        if self._file is None:
            return
        response = msgspec.to_builtins(outcome.response) if outcome.response else {}
        target = outcome.task.target
        line = {
            "file": file_name(outcome.task.picture.source),
            "output": file_name(target) if target is not None and outcome.response else None,
            "status": "masked" if outcome.response else "failed",
            "error": outcome.error,
            "image": response.get("image"),
            "detections": response.get("detections", []),
            "summary": response.get("summary"),
            "processing": response.get("processing"),
            "profiling": response.get("profiling"),
        }
        self._file.write(json_line(line))
        self._file.flush()


def _same_place(path: str, target: str | None) -> bool:
    return target is not None and os.path.abspath(path) == os.path.abspath(target)
