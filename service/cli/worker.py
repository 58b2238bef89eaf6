"""What the server runs in each of its processes."""

import gc
import os
import sys
from typing import TYPE_CHECKING

from service.cli.parent import follow_parent
from service.cli.stderr import divert_stderr
from service.errors import StartupError
from service.logs import configure_logging
from service.memory import give_back_memory
from service.settings import load_settings

if TYPE_CHECKING:
    from service.handlers.envelope import Envelope

__all__ = ["build_app"]


def build_app() -> "Envelope":
    """Build the application from the environment; a wrong setting or model ends the process with one line."""
    follow_parent()
    give_back_memory()
    # A twelfth of the imports' time would go into looking for garbage among what stays.
    gc.disable()
    # Only now: it takes a second, and the parent may lose patience or its life meanwhile.
    from service.app import create_app

    try:
        report = load_settings(os.environ)
        configure_logging(report.settings.log_format)
        app = create_app(report)
    except StartupError as error:
        print(f"face-api: {error.detail}", file=sys.stderr, flush=True)  # noqa: T201  # the user's terminal
        raise SystemExit(3) from None
    # Only now: what ends the start is for the user's eyes, not for the log.
    configure_logging(report.settings.log_format, divert_stderr())
    # What is here now stays: looking through all of it would hold up a request for 40 ms now and then.
    gc.freeze()
    gc.enable()
    return app
