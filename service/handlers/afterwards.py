"""What a request leaves to be done once its client has the answer."""

from collections.abc import Callable
from typing import Final

from litestar.types import Scope

__all__ = ["do_afterwards", "run_afterwards"]

_STATE: Final = "afterwards"


def do_afterwards(scope: Scope, call: Callable[[], None]) -> None:
    """Have `call` made by the envelope when the answer has been sent, or could not be."""
    scope["state"].setdefault(_STATE, []).append(call)


def run_afterwards(scope: Scope) -> None:
    """Make the calls that were left."""
    for call in scope["state"].pop(_STATE, ()):
        call()
