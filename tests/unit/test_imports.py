"""What a server process does not import at its start: it would take time, and most never need it."""

import os
import subprocess
import sys

import pytest

START = """
import os, sys
from service.app import create_app
from service.settings import load_settings
create_app(load_settings(os.environ))
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of all modules that building the application loads."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FACE_API_")}
    folder = str(tmp_path_factory.mktemp("data"))
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=clean | {"FACE_API_DATA_DIR": folder},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["pydantic", "attrs", "PIL", "aiobotocore", "redis", "rich"])
def test_the_start_does_not_import(imported: set[str], name: str) -> None:
    assert "litestar" in imported
    assert name not in imported
