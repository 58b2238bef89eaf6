"""Stops ``make`` early, in one line, where this Python cannot make the environment.

Written so that any Python 3 can parse it: an old one must reach the message.
"""

import os
import shutil
import sys
import sysconfig


def problem():
    """Return what is missing, or an empty string."""
    found = "%d.%d (%s)" % (sys.version_info[0], sys.version_info[1], sys.executable)  # noqa: UP031 - old Pythons
    if sys.version_info < (3, 11):  # noqa: UP036 - this very check
        return "Python 3.11 or later is needed, this is " + found + ". Name another: make PYTHON=python3.12"
    try:
        import ensurepip
        import venv
    except ImportError:
        return (
            "the venv module of Python " + found + " is missing (Debian and Ubuntu: apt install python3-venv)"
        )
    del ensurepip, venv
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        return "the headers of Python " + found + " are missing (Debian and Ubuntu: apt install python3-dev)"
    compiler = (os.environ.get("CC") or "").split() or ["gcc"]
    if not any(shutil.which(name) for name in [compiler[0], "cc", "clang"]):
        return "no C compiler was found (Debian and Ubuntu: apt install gcc libc6-dev)"
    return ""


if __name__ == "__main__":
    message = problem()
    if message:
        sys.exit("error: " + message)
