"""Keep the weights of a run apart: ``python -m training.weights training/runs/scrfd_free/last.pt FILE``.

The state of a run holds the optimiser too and lies in a folder that is not kept with the source. This is the small file
from which ``training.train --weights FILE`` goes on elsewhere, at the same count of views.
"""

import argparse
from pathlib import Path

import torch

__all__ = ["keep", "main"]


def keep(state: Path, into: Path) -> int:
    """Write the averaged weights of a run's saved state as a file of their own.

    Args:
        state: ``last.pt`` or ``trunk.pt`` of a run.
        into: The file; its folder is made.

    Returns:
        The views that the weights have seen.
    """
    saved = torch.load(state, weights_only=True)
    into.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"network": saved["average"], "seen": saved["seen"], "steps": saved["steps"]}, into)
    return int(saved["seen"])


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="last.pt or trunk.pt of a run")
    parser.add_argument("into", type=Path, help="the file to write")
    options = parser.parse_args(arguments)
    seen = keep(options.state, options.into)
    print(f"{options.into}: weights after {seen} views, {options.into.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
