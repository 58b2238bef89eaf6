"""What the wheel and the sdist hold."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import service
from admin_ui.assets import FILES
from tests.container.conftest import Image

# Modules that only the source tree needs.
NOT_INSTALLED = {"admin_ui/assets.py", "native/reference.py"}
VENDOR = {f"admin_ui/static/vendor/{file.target}" for files in FILES.values() for file in files} | {
    "admin_ui/static/vendor/manifest.json"
}
# Of use to git, editors and CI alone.
NOT_IN_SDIST = {".editorconfig", ".gitattributes", ".gitignore"}


def entries(wheel: Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry for entry in archive.infolist()}


def content(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def checked_out(image: Image) -> set[str]:
    files = (path for path in image.checkout.rglob("*") if path.is_file())
    return {path.relative_to(image.checkout).as_posix() for path in files}


@pytest.fixture(scope="session")
def sdist(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of all that git has, with the front-end files that the image's build made."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(image.checkout, source, dirs_exist_ok=True)
    vendor = Path("admin_ui", "static", "vendor")
    shutil.copytree(image.source / vendor, source / vendor)
    folder = tmp_path_factory.mktemp("sdist")
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.iterdir()
    return path


def test_wheel_holds_the_packages_and_nothing_else(image: Image) -> None:
    packages = {
        name
        for name in checked_out(image)
        if name.startswith(("service/", "native/", "admin_ui/")) and name not in NOT_INSTALLED
    }
    expected = {name for name in packages if name.endswith((".py", ".pyi", "py.typed"))}
    expected |= {name for name in packages if name.startswith(("admin_ui/static/", "admin_ui/templates/"))}
    expected |= VENDOR | {f"service/detection/bundled/{name}" for name in ("scrfd_free.onnx", "CREDITS.md")}
    found = {name for name in entries(image.wheel) if ".dist-info/" not in name}
    (kernels,) = (name for name in found if re.fullmatch(r"native/kernels\.cpython-\S+\.so", name))
    assert found - {kernels} == expected


def test_wheel_has_no_sources_and_no_debug_symbols(image: Image) -> None:
    found = entries(image.wheel)
    suffixes = {Path(name).suffix for name in found}
    assert not suffixes & {".pyx", ".pxi", ".pxd", ".c", ".h", ".sh", ".pyc", ".map"}
    assert sum(entry.file_size for entry in found.values()) < 8_000_000
    assert max(entry.file_size for name, entry in found.items() if name.endswith(".so")) < 1_000_000


def test_wheel_metadata(image: Image) -> None:
    folder = f"face_api-{service.__version__}.dist-info"
    metadata = Parser().parsestr(content(image.wheel, f"{folder}/METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("face-api", service.__version__)
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert f"{folder}/licenses/LICENSE" in entries(image.wheel)
    assert "face-api = service.cli:main" in content(image.wheel, f"{folder}/entry_points.txt")
    names = {
        Requirement(text).name for text in metadata.get_all("Requires-Dist") or [] if "extra ==" not in text
    }
    assert {"litestar", "granian", "onnxruntime", "opencv-python-headless", "numpy", "msgspec"} <= names
    assert not {"pytest", "cython", "setuptools"} & {name.lower() for name in names}


def test_wheel_is_of_this_python_and_linux(image: Image) -> None:
    version = f"cp3{sys.version_info.minor}"
    assert re.fullmatch(
        rf"face_api-{service.__version__}-{version}-{version}-linux_\w+\.whl", image.wheel.name
    )


def test_sdist_holds_what_git_has_and_the_front_end_files(image: Image, sdist: Path) -> None:
    top = f"face_api-{service.__version__}/"
    with tarfile.open(sdist) as archive:
        found = {member.name.removeprefix(top) for member in archive.getmembers() if member.isfile()}
    made = {name for name in found if name.startswith("face_api.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert found - made == (checked_out(image) - NOT_IN_SDIST) | VENDOR


def test_wheel_from_the_sdist_is_the_same(image: Image, sdist: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(sdist)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == image.wheel.name

    def sums(path: Path) -> dict[str, int]:
        return {
            name: about.CRC for name, about in entries(path).items() if not name.endswith((".so", "RECORD"))
        }

    assert set(entries(wheel)) == set(entries(image.wheel))
    assert sums(wheel) == sums(image.wheel)
