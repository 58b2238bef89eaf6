"""The command line: face-api and its commands. What takes long to import is imported by the command that needs it."""

from collections.abc import Callable
from typing import Final

import rich_click as click

import service

__all__ = ["main"]


def _admin() -> click.Command:
    from service.cli.admin import admin

    return admin


def _config() -> click.Command:
    from service.cli.config import config

    return config


def _detect() -> click.Command:
    from service.cli.detect import detect

    return detect


def _keys() -> click.Command:
    from service.cli.keys import keys

    return keys


def _mask() -> click.Command:
    from service.cli.mask import mask

    return mask


def _models() -> click.Command:
    from service.cli.models import models

    return models


def _serve() -> click.Command:
    from service.cli.serve import serve

    return serve


def _storage() -> click.Command:
    from service.cli.storage import storage

    return storage


_COMMANDS: Final[dict[str, Callable[[], click.Command]]] = {
    "admin": _admin,
    "config": _config,
    "detect": _detect,
    "keys": _keys,
    "mask": _mask,
    "models": _models,
    "serve": _serve,
    "storage": _storage,
}


class _Commands(click.RichGroup):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the base class has it
        """Return the commands' names."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        """Return a command; None if there is none of that name."""
        command = _COMMANDS.get(cmd_name)
        return command() if command else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(service.__version__, prog_name="face-api")
def main() -> None:
    """Find the faces in pictures and make them unrecognisable."""
