"""What detect and mask have in common: from the arguments to the exit code."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import rich_click as click

from service.cli.batch import Interruption, run_in_order
from service.cli.files import STDIN, Discovery, discover, reason
from service.cli.outputs import Refused, Task
from service.cli.screen import Screen, Tally, printable
from service.errors import StartupError

if TYPE_CHECKING:
    from service.cli.engine import Outcome

__all__ = ["file_name", "find_pictures", "json_line", "read_stdin", "refusals", "run_tasks"]

_FAILED: Final = 1
_USAGE: Final = 2
_INTERRUPTED: Final = 130


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what stops a command into one line and an exit code.

    2 before the work; 1 if standard output or the report cannot be written; 130 for Ctrl-C before the work.
    """
    try:
        yield
    except Refused as error:
        _end(str(error), _USAGE)
    except StartupError as error:
        _end(error.detail, _USAGE)
    except BrokenPipeError:
        # The reader has had enough, as `head` has; click ends the command quietly.
        raise
    except OSError as error:
        _end(f"the results cannot be written: {reason(error)}", _FAILED)
    except KeyboardInterrupt:
        _end("interrupted", _INTERRUPTED)


def find_pictures(arguments: Sequence[str], output: str | None) -> Discovery:
    """List the inputs.

    Raises:
        Refused: Standard input is not the only input.
    """
    if STDIN in arguments and len(arguments) > 1:
        raise Refused("- (standard input) must be the only input")
    if "" in arguments:
        raise Refused("an input is an empty text: expected a file, a folder or a pattern")
    return discover(arguments, output)


def read_stdin(found: Discovery, max_bytes: int) -> bytes | None:
    """Read standard input if it is the input: no more than can be refused as too large."""
    if not any(picture.source == STDIN for picture in found.pictures):
        return None
    return sys.stdin.buffer.read(max_bytes + 1)


def run_tasks(
    tasks: Sequence[Task],
    work: Callable[[Task], "Outcome"],
    jobs: int,
    *,
    found: Discovery,
    existing: int = 0,
    screen: Screen,
    verb: str,
    take: Callable[["Outcome"], None],
) -> int:
    """Work on all pictures, show failures and the summary, and return the exit code.

    Args:
        tasks: The pictures.
        work: What to do with one, in a thread.
        jobs: Pictures at once.
        found: Where the tasks come from, with its failures and what was skipped.
        existing: Pictures that are left out, since their output exists.
        screen: Where to show it.
        verb: What is done to the pictures, for the summary.
        take: Gets each outcome, in order.
    """
    tally = Tally()
    tally.total = len(tasks) + len(found.failures)
    tally.skipped, tally.existing = found.skipped, existing
    with Interruption() as interruption, screen:
        for path, why in found.failures:
            tally.failed += 1
            screen.failure(path, why)
        with closing(run_in_order(tasks, work, jobs, interruption)) as outcomes:
            for outcome in outcomes:
                take(outcome)
                if outcome.response is None:
                    tally.failed += 1
                    screen.failure(outcome.task.picture.source, outcome.error or "")
                else:
                    tally.count(outcome.response.summary.face_count)
                screen.advance(tally.done + tally.failed)
        interrupted = interruption.number is not None
        screen.summary(tally, verb, interrupted=interrupted)
    if interrupted:
        return interruption.exit_code
    return _FAILED if tally.failed else 0


def file_name(path: str) -> str:
    """A path for JSON, which holds no bytes that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def json_line(values: dict[str, Any]) -> bytes:
    """One line of JSON Lines."""
    return msgspec.json.encode(values) + b"\n"


def _end(message: str, code: int) -> None:
    click.echo(f"face-api: {printable(message)}", err=True)
    sys.exit(code)
