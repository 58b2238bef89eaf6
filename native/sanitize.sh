#!/bin/sh
# Builds the extension with AddressSanitizer and UndefinedBehaviorSanitizer into a scratch folder, beside a copy of
# the package and its tests, and runs those there. Fails on any finding. The normal build is left alone.
set -eu
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM

mkdir "$scratch/native" "$scratch/tests"
cp native/*.py native/*.pyx native/*.pxi native/*.h "$scratch/native/"
cp setup.py pyproject.toml "$scratch/"
cp tests/__init__.py "$scratch/tests/"
cp -r tests/native "$scratch/tests/native"
# setup.py wants the metadata of the whole project; only the extension is built.
for file in README.md LICENSE service/__init__.py; do
    mkdir -p "$scratch/$(dirname "$file")"
    if [ -e "$file" ]; then cp "$file" "$scratch/$file"; else : >"$scratch/$file"; fi
done

shared=${FACE_API_TEST_SHARED:-$(pwd)/../shared}
cd "$scratch"
NATIVE_SANITIZE=1 "$python" setup.py build_ext --inplace -q >build.log 2>&1 || { cat build.log >&2; exit 1; }

# The interpreter is not instrumented: the runtime comes first by LD_PRELOAD, and libstdc++ with it, or the first C++
# exception of an imported library stops the run. Leaks are Python's own and not looked for; every object is allocated
# singly so that overruns are seen. Findings go to files, for pytest would swallow them when the process dies.
status=0
env LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS="detect_leaks=0:log_path=$scratch/finding" \
    UBSAN_OPTIONS="print_stacktrace=1:log_path=$scratch/finding" \
    PYTHONMALLOC=malloc NATIVE_SANITIZE=1 FACE_API_TEST_SHARED="$shared" \
    "$python" -m pytest -q -p no:cacheprovider tests/native "$@" || status=$?
for finding in "$scratch"/finding.*; do
    if [ -e "$finding" ]; then cat "$finding" >&2; status=1; fi
done
exit "$status"
