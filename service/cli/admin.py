"""face-api admin: the admin's password, on the database of the service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from service.cli.checks import fail, read_settings
from service.errors import FaceApiError
from service.settings import variable_name

if TYPE_CHECKING:
    from service.storage.engine import Database

__all__ = ["admin"]

# Under the longest password and over the longest line that anybody means.
_LONGEST_LINE = 8192


@click.group()
def admin() -> None:
    """The admin's access."""


@admin.command("set-password")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from standard input, one line.")
def set_password(from_stdin: bool) -> None:
    """Change the admin's password; all sessions and lock-outs end, in a running service too.

    The password is asked for, or read from standard input, and never an argument: others could read it in the list of
    processes.
    """
    from service.access.credentials import set_password as change
    from service.access.passwords import SHORT_PASSWORD, check_password, is_short
    from service.cli.database import with_database

    settings = read_settings().settings
    variable = variable_name("admin_password")
    if settings.admin_password is not None:
        fail(f"{variable} is set, and what it says counts: change it there, or take it away")
    password = _read_line() if from_stdin else _ask()

    async def work(database: "Database") -> str:
        return await change(database, password)

    try:
        check_password(password)
        if settings.database_url is None:
            Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        username = with_database(settings, work)
    except FaceApiError as error:
        fail(error.detail)
    except OSError as error:
        fail(f"FACE_API_DATA_DIR={settings.data_dir}: {error.strerror}")
    if is_short(password):
        click.echo(f"warning: the password is short; {SHORT_PASSWORD} characters or more are safer", err=True)
    click.echo(f"the password of '{username}' is changed; all sessions have ended")


def _ask() -> str:
    if not sys.stdin.isatty():
        fail("there is no terminal to ask at; give the password by --stdin")
    try:
        answer: str = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    except click.Abort:
        click.echo(err=True)
        fail("nothing is changed")
    return answer


def _read_line() -> str:
    line = sys.stdin.buffer.readline(_LONGEST_LINE)
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        fail("the password is not UTF-8")
