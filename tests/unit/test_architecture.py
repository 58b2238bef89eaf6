"""Imports run one way. The tables below are the architecture; the code is read with `ast`, never imported.

Every import counts, wherever it stands: inside functions and under ``TYPE_CHECKING`` too.
"""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("native", "service", "admin_ui", "bench", "training")

BASE = {"service", "service.errors", "service.ranges", "service.logs", "service.settings", "service.schemas"}
DATA_PATH = {"service.imaging", "service.detection", "service.pipeline", "service.report"}

STORES = {"service.storage", "service.access"}

# Layer: the layers that it may import, besides itself. A layer is a module or a package with all that is in it.
MAY_IMPORT: dict[str, set[str]] = {
    "native": set(),
    "service": set(),
    "service.errors": set(),
    "service.memory": set(),
    "service.ranges": {"service.errors"},
    "service.logs": {"service", "service.errors", "service.ranges"},
    "service.settings": {"service", "service.errors", "service.ranges"},
    "service.settings_table": {"service", "service.errors", "service.ranges", "service.settings"},
    "service.schemas": BASE,
    "service.imaging": BASE | {"native"},
    "service.detection": BASE | {"native", "service.imaging"},
    "service.pipeline": BASE | {"service.imaging", "service.detection"},
    "service.report": BASE | {"service.imaging", "service.detection", "service.pipeline"},
    "service.metrics": BASE | {"service.imaging", "service.detection", "service.pipeline", "service.storage"},
    "service.storage": BASE,
    "service.access": BASE | {"service.storage"},
    "service.handlers": BASE | DATA_PATH | {"service.metrics", "service.storage", "service.access"},
    "service.app": BASE
    | DATA_PATH
    | {"service.metrics", "service.storage", "service.access", "service.handlers", "admin_ui"},
    "service.cli": BASE
    | DATA_PATH
    | {
        "service.memory",
        "service.settings_table",
        "service.storage",
        "service.access",
        "service.handlers",
        "service.app",
    },
    "admin_ui": BASE
    | DATA_PATH
    | {"service.metrics", "service.settings_table", "service.storage", "service.access", "service.handlers"},
    # Training measures with the service's own detector.
    "training": {"service.errors", "service.detection"},
    "bench": BASE
    | DATA_PATH
    | {"native", "service.memory", "service.storage", "service.handlers", "service.app"},
}

# Library: the layers that may import it. bench and training compare with other libraries, so they are free to.
ONLY_IN: dict[str, set[str]] = {
    "onnxruntime": {"service.detection.runtime", "service.detection.providers", "service.detection.quantize"},
    "onnxruntime_ep_openvino": {"service.detection.providers"},
    "onnx": {"service.detection.quantize"},
    "cv2": {"service.imaging", "service.detection"},
    "PIL": {"service.imaging"},
    "litestar": {"service.access", "service.handlers", "service.app", "admin_ui"},
    "granian": {"service.cli"},
    "piccolo": {"service.storage"},
    "limits": {"service.access", "service.settings"},
    "redis": {"service.access"},
    "asyncpg": {"service.storage"},
    "prometheus_client": {"service.metrics"},
    "sqlite3": {"service.storage"},
    "aiobotocore": {"service.storage.s3_store"},
    "botocore": {"service.storage.s3_store"},
    "aiohttp": {"service.storage.s3_store"},
    "http.HTTPStatus": {"service.errors", "service.handlers"},
    "litestar.status_codes": {"service.handlers"},
}

# What the kernels and their twins may use: they know nothing of service and need nothing but buffers.
NATIVE_LIBRARIES = {"numpy", "cython", "libc", "cpython", "native", *sys.stdlib_module_names}


def sources() -> dict[str, Path]:
    """Return every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()


def imported(source: str, modules: set[str]) -> Iterator[str]:
    """Yield the dotted names that a source imports.

    ``from a import b`` is ``a.b`` where that is one of our modules or stands in ONLY_IN, else ``a``.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(level=level) if level > 0:
                yield f"relative import, line {node.lineno}"
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    name = f"{module}.{alias.name}"
                    yield name if name in modules or name in ONLY_IN else module
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[argument, *_],
            ):
                constant = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                yield str(argument.value) if constant else f"computed import, line {node.lineno}"  # type: ignore[attr-defined]  # told by `constant`


def within(name: str, parent: str) -> bool:
    """Tell whether a dotted name is another or lies in it."""
    return name == parent or name.startswith(f"{parent}.")


def layer_of(module: str) -> str | None:
    """Return the innermost layer of the table that holds a module of ours.

    The layer ``service`` is the package's own ``__init__`` alone: a new module there needs a line in the table.
    """
    layers = [layer for layer in MAY_IMPORT if within(module, layer)]
    layer = max(layers, key=len, default=None)
    return None if layer == "service" and module != "service" else layer


def violations(module: str, source: str, modules: set[str]) -> list[str]:
    """Return what a module imports against the tables, in words."""
    layer = layer_of(module)
    if layer is None:
        return [f"{module} is in no layer: give it a line in MAY_IMPORT"]
    wrong = []
    for name in sorted(set(imported(source, modules))):
        if " import, line " in name:
            # bench names its suites on the command line.
            if layer == "bench" and name.startswith("computed"):
                continue
            wrong.append(f"{module}: {name}; write the full name")
        elif name.partition(".")[0] in PACKAGES:
            target = layer_of(name)
            if target != layer and target not in MAY_IMPORT[layer]:
                wrong.append(f"{module} imports {name}: {layer} may not import {target}")
        elif layer not in {"bench", "training"}:
            for library, homes in ONLY_IN.items():
                if within(name, library) and not any(within(module, home) for home in homes):
                    wrong.append(f"{module} imports {name}: only {', '.join(sorted(homes))} may")
    return wrong


@pytest.mark.parametrize("module", SOURCES)
def test_module_imports_only_what_its_layer_may(module: str) -> None:
    source = SOURCES[module].read_text(encoding="utf-8")
    assert violations(module, source, set(SOURCES)) == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {}
    for module, path in SOURCES.items():
        names = set(imported(path.read_text(encoding="utf-8"), set(SOURCES)))
        # `from package import submodule` inside that package is no circle: only modules proper count.
        graph[module] = {
            name for name in names if name in SOURCES and name != module and not within(module, name)
        }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' <- '.join(error.args[1])}")


def test_the_table_itself_runs_one_way() -> None:
    TopologicalSorter({layer: may - {layer} for layer, may in MAY_IMPORT.items()}).prepare()
    assert set().union(*MAY_IMPORT.values()) <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", sorted((ROOT / "native").glob("*.py*")), ids=lambda path: path.name)
def test_native_needs_nothing_but_buffers(path: Path) -> None:
    if path.suffix not in {".py", ".pyx", ".pxd", ".pyi"}:
        pytest.skip("not a source")
    # Cython is not Python: what an import line names is read from its text.
    lines = re.findall(
        r"^\s*(?:from|c?import)\s+([A-Za-z_]\w*)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [name for name in lines if name not in NATIVE_LIBRARIES] == []


@pytest.mark.parametrize(
    ("module", "source", "count"),
    [
        ("service.imaging.decode", "import numpy\nimport cv2\nfrom service.errors import CorruptImage", 0),
        ("service.imaging.decode", "from service import pipeline", 1),
        ("service.imaging.decode", "def f():\n    from service.detection import detector", 1),
        ("service.imaging.decode", "from . import header", 1),
        ("service.imaging.decode", "import onnxruntime.capi", 1),
        ("service.pipeline", "import cv2", 1),
        ("service.pipeline", "from http import HTTPStatus", 1),
        ("service.pipeline", "import http.client", 0),
        ("service.pipeline", "import importlib\nimportlib.import_module('service.app')", 1),
        ("service.pipeline", "import importlib\nimportlib.import_module(name)", 1),
        ("service.detection.runtime", "import onnxruntime as ort", 0),
        ("service.detection.detector", "import onnxruntime as ort", 1),
        ("service.handlers.detect", "from admin_ui import STATIC_DIR", 1),
        ("service.app", "from admin_ui import STATIC_DIR", 0),
        ("service.errors", "from service.settings import Settings", 1),
        ("service.brand_new", "", 1),
        ("native.reference", "import service.errors", 1),
        ("bench.kernels", "import cv2\nimport native", 0),
    ],
)
def test_the_check_itself(module: str, source: str, count: int) -> None:
    modules = {"service.pipeline", "service.detection.detector"}
    assert len(violations(module, source, modules)) == count
