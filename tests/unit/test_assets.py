"""The build of the front-end files, on stand-ins for the npm packages; and the pins that it rests on."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from admin_ui import STATIC_DIR, assets

ROOT = Path(__file__).resolve().parents[2]
ADMIN_UI = ROOT / "admin_ui"


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A node_modules folder in which every file of the table has its least size and its texts to replace."""
    folder = tmp_path / "node_modules"
    for package, files in assets.FILES.items():
        for file in files:
            texts = "".join(replacement.old for replacement in file.replacements).encode()
            path = folder / package / file.source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(texts + b"x" * (file.smallest + 100))
        about = {"name": package, "version": "1.2.3", "license": "MIT"}
        (folder / package / "package.json").write_text(json.dumps(about))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_build_copies_each_file_and_lists_it(modules: Path, tmp_path: Path) -> None:
    manifest = assets.build(modules, tmp_path / "vendor")
    built = contents(tmp_path / "vendor")
    assert json.loads(built.pop("manifest.json")) == manifest
    listed = {name: entry for package in manifest.values() for name, entry in package["files"].items()}
    assert set(built) == set(listed)
    for name, entry in listed.items():
        assert entry == {"sha256": hashlib.sha256(built[name]).hexdigest(), "size": len(built[name])}
    assert {package["version"] for package in manifest.values()} == {"1.2.3"}


def test_build_is_the_same_each_time_and_leaves_nothing_old(modules: Path, tmp_path: Path) -> None:
    vendor = tmp_path / "vendor"
    assets.build(modules, vendor)
    first = contents(vendor)
    (vendor / "old.js").write_text("old")
    assets.build(modules, vendor)
    assert contents(vendor) == first


def test_build_replaces_what_would_ask_somebody_else(modules: Path, tmp_path: Path) -> None:
    assets.build(modules, tmp_path / "vendor")
    bundle = (tmp_path / "vendor" / "redoc" / "redoc.standalone.js").read_text()
    assert assets.REDOC_LOGO.old not in bundle
    assert assets.REDOC_LOGO.new in bundle
    assert "sourceMappingURL" not in bundle


@pytest.mark.parametrize("change", [b"", assets.REDOC_LOGO.old.encode() * 2])
def test_build_stops_where_a_text_to_replace_is_not_found_once(
    modules: Path, tmp_path: Path, change: bytes
) -> None:
    path = modules / "redoc" / "bundles" / "redoc.standalone.js"
    path.write_bytes(path.read_bytes().replace(assets.REDOC_LOGO.old.encode(), change))
    with pytest.raises(assets.AssetError, match=r"redoc\.standalone\.js.*expected once"):
        assets.build(modules, tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_build_stops_at_an_absurd_size(modules: Path, tmp_path: Path) -> None:
    path = modules / "swagger-ui-dist" / "swagger-ui-bundle.js"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(assets.AssetError, match=r"swagger-ui-bundle\.js: 16 bytes, expected 1000000 to"):
        assets.build(modules, tmp_path / "vendor")


def test_build_stops_at_a_missing_file(modules: Path, tmp_path: Path) -> None:
    (modules / "redoc" / "LICENSE").unlink()
    with pytest.raises(assets.AssetError, match="LICENSE: cannot be read"):
        assets.build(modules, tmp_path / "vendor")


def test_every_package_comes_with_its_licence() -> None:
    for package, files in assets.FILES.items():
        assert "LICENSE" in {Path(file.target).name for file in files}, package


def test_what_only_tests_need_is_kept_out_of_the_package(tmp_path: Path) -> None:
    for package, files in assets.TEST_FILES.items():
        for file in files:
            path = tmp_path / "node_modules" / package / file.source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * file.smallest)
    assets.copy_test_tools(tmp_path / "node_modules", tmp_path / "tools")
    targets = {file.target for files in assets.TEST_FILES.values() for file in files}
    assert {path.name for path in (tmp_path / "tools").iterdir()} == targets
    assert not assets.TEST_TOOLS.is_relative_to(STATIC_DIR)


def test_packages_are_pinned_and_the_lock_agrees() -> None:
    about = json.loads((ADMIN_UI / "package.json").read_text())
    locked = json.loads((ADMIN_UI / "package-lock.json").read_text())["packages"]
    assert set(about["dependencies"]) == set(assets.FILES)
    assert set(about["devDependencies"]) == set(assets.TEST_FILES)
    for name, version in (about["dependencies"] | about["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
        assert locked[f"node_modules/{name}"]["version"] == version


def test_lock_names_no_host_and_has_every_digest() -> None:
    text = (ADMIN_UI / "package-lock.json").read_text()
    assert re.findall(r"\w+://\S*", text) == []
    packages = json.loads(text)["packages"]
    del packages[""]
    assert [name for name, about in packages.items() if not about["integrity"].startswith("sha512-")] == []


def test_what_was_built_here_is_what_the_manifest_says() -> None:
    path = STATIC_DIR / "vendor" / "manifest.json"
    if not path.is_file():
        pytest.skip("the front-end files are not built: run `make assets`")
    manifest = json.loads(path.read_text())
    wanted = json.loads((ADMIN_UI / "package.json").read_text())["dependencies"]
    assert {name: about["version"] for name, about in manifest.items()} == wanted
    for package in manifest.values():
        for name, entry in package["files"].items():
            data = (STATIC_DIR / "vendor" / name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"], name
