#!/bin/sh
# Installs the wheel of FOLDER into a new environment, its packages by the versions of constraints.txt:
# sh scripts/install-wheel.sh FOLDER ENVIRONMENT [PYTHON]. The Containerfile calls this.
set -eu
folder=${1:?usage: install-wheel.sh FOLDER ENVIRONMENT [PYTHON]}
environment=${2:?usage: install-wheel.sh FOLDER ENVIRONMENT [PYTHON]}
python=${3:-python3}
cd "$(dirname "$0")/.."

"$python" -m venv "$environment"
pip() { "$environment/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
# Python 3.11 puts one there that nothing asked for.
pip uninstall --quiet --yes setuptools
pip install --quiet --constraint constraints.txt "$folder"/face_api-*.whl
pip check
# Nobody installs anything there any more.
pip uninstall --quiet --yes pip
