"""Builds the Cython extension; everything else stands in pyproject.toml.

Environment switches: NATIVE_SANITIZE=1 compiles with AddressSanitizer and
UndefinedBehaviorSanitizer, NATIVE_ANNOTATE=1 writes Cython's annotated HTML.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

SANITIZE = os.environ.get("NATIVE_SANITIZE") == "1"
ANNOTATE = os.environ.get("NATIVE_ANNOTATE") == "1"

# -O3 vectorises the kernels; no -march: the wheel must run on any x86-64 or arm64.
# The kernels choose wider instructions at run time (native/simd.h).
COMPILE_ARGS = (
    [
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
    ]
    if SANITIZE
    else ["-O3", "-g0"]
)
# No fused multiply-add: a processor that has it would round differently from one that has not.
COMPILE_ARGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
LINK_ARGS = ["-fsanitize=address,undefined"] if SANITIZE else []

# Of use in the source tree alone: the build of the front-end files, and what the kernels' tests compare with.
NOT_INSTALLED = {("admin_ui", "assets"), ("native", "reference")}


class InstalledModules(build_py):
    """Leaves the tools of the source tree out of the wheel."""

    def find_package_modules(self, package, package_dir):
        """Return (package, module, file) of what is installed."""
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[:2] not in NOT_INSTALLED]


kernels = Extension(
    "native.kernels",
    ["native/kernels.pyx"],
    depends=["native/simd.h", "native/decode.pxi", "native/letterbox.pxi", "native/masks.pxi"],
    include_dirs=["native"],
    extra_compile_args=COMPILE_ARGS,
    extra_link_args=LINK_ARGS,
)

setup(
    cmdclass={"build_py": InstalledModules},
    ext_modules=cythonize(
        [kernels],
        annotate=ANNOTATE,
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "freethreading_compatible": True,
        },
    ),
)
