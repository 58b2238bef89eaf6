#!/bin/sh
# Runs the tests, most of them in several processes, then those that measure time: run-tests.sh PYTHON PROCESSES [ARGUMENT]...
set -u
python=$1
processes=$2
shift 2
# What pytest returns where there is no such test.
none=5

"$python" -m pytest --numprocesses "$processes" -m 'not alone' "$@"
shared=$?
case $shared in 0 | 1 | "$none") ;; *) exit $shared ;; esac
"$python" -m pytest -m alone "$@"
alone=$?
[ $alone -ne $none ] || exit $shared
[ $shared -ne 0 ] && [ $shared -ne $none ] && exit $shared
exit $alone
