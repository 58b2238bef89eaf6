"""What `serve` needs before it starts and `config --check` looks at without changing anything."""

import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import rich_click as click

from service.errors import FaceApiError, SettingsError
from service.settings import Settings, SettingsReport, load_settings

__all__ = ["base_url", "check_data_dir", "check_port", "fail", "read_settings"]


def fail(message: str, code: int = 1) -> NoReturn:
    """Say one line on standard error and end the process."""
    click.echo(f"face-api: {message}", err=True)
    sys.exit(code)


def read_settings() -> SettingsReport:
    """The settings from the environment; a wrong one ends the process with one line."""
    try:
        return load_settings(os.environ)
    except FaceApiError as error:
        fail(error.detail)


def base_url(settings: Settings) -> str:
    """The URL at which a browser on this machine finds the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"


def check_port(settings: Settings) -> None:
    """Find out before the server's processes do, whose message nobody would understand.

    Raises:
        SettingsError: The address is wrong or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingsError(f"FACE_API_HOST={settings.host}: {error.strerror}") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
                "set FACE_API_HOST and FACE_API_PORT"
            ) from error


def check_data_dir(settings: Settings) -> str:
    """Try whether the service could write its data; nothing stays behind. Gives the words for a good result.

    Raises:
        SettingsError: It could not.
    """
    folder = Path(settings.data_dir).absolute()
    try:
        if folder.is_dir():
            with tempfile.TemporaryFile(dir=folder):
                return f"{folder} is writable"
        nearest = next(parent for parent in folder.parents if parent.exists())
        if folder.exists() or not nearest.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        with tempfile.TemporaryFile(dir=nearest):
            return f"{folder} will be made"
    except OSError as error:
        raise SettingsError(f"FACE_API_DATA_DIR={folder}: cannot be written: {error.strerror}") from error
