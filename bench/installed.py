"""Which of the other contenders are installed."""

from importlib.machinery import PathFinder

from bench import CONTENDERS

__all__ = ["missing"]


def missing(package: str) -> bool:
    """Whether `make bench` has not installed this contender; says so once for each call."""
    absent = PathFinder.find_spec(package, [str(CONTENDERS)]) is None
    if absent:
        print(f"{package}: not installed (make bench installs it); left out", flush=True)
    return absent
