"""A browser to visit the service with."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.server import ROOT

# The browser's own traffic (updates, suggestions) is no business of these tests.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not for the session: Playwright's event loop runs in this thread until it is closed, and other tests want their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start the machine's own Chromium, without a window."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium on this machine, and CI skips nothing")
        pytest.skip("no Chromium on this machine (scripts/install-system.sh installs one where it may)")
    # A busy machine is no failure.
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Make the folder where pictures of the pages are kept for a person to look at."""
    folder = ROOT / "artefacts"
    folder.mkdir(exist_ok=True)
    return folder
