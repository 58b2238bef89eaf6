#!/bin/sh
# The system pieces that tests use: a Chromium for tests/browser, a Redis server for the shared rate limits.
# Where they cannot be installed the tests that need them are skipped; in CI that is a failure instead.
# A Korean font comes along with the browser; no test needs it, but the Korean screenshots show boxes without one.
set -u
missing=
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
    command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1 || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

give_up() {
    echo "$1: the tests that need$missing will be skipped" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
}

[ "$(id -u)" -eq 0 ] || give_up 'not root'
command -v apt-get >/dev/null 2>&1 || give_up 'no apt-get'
echo "installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
log=build/install-system.log
mkdir -p build
# shellcheck disable=SC2086  # one package a word is meant
{ apt-get update && RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null ||
    give_up "installation failed ($log)"
case $missing in
*chromium*)
    RUNLEVEL=1 apt-get install -y --no-install-recommends fonts-nanum >>"$log" 2>&1 </dev/null ||
        echo "no Korean font ($log)" >&2
    ;;
esac
