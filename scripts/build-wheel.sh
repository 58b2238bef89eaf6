#!/bin/sh
# Builds the wheel, compiled kernels and front-end files included: sh scripts/build-wheel.sh FOLDER [PYTHON]
# Needs Python, its headers and a C compiler. The Containerfile and `make dist` call this.
set -eu
folder=${1:?usage: build-wheel.sh FOLDER [PYTHON]}
python=${2:-python3}
cd "$(dirname "$0")/.."
"$python" scripts/check_python.py

environment=build/wheel-environment
rm -rf "$environment"
"$python" -m venv "$environment"
pip() { "$environment/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
pip install --quiet --constraint constraints.txt setuptools Cython

# An sdist brings the front-end files along.
[ -e admin_ui/static/vendor/manifest.json ] || "$environment/bin/python" admin_ui/assets.py --install-node

# What an earlier build left there would go into the wheel, modules that are gone from the source too.
rm -rf build/lib* build/bdist* build/temp* native/kernels.c
pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$folder" .
rm -rf "$environment"
