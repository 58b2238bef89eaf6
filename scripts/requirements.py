"""Prints the requirements of pyproject.toml, one a line: the run-time ones, or those of the extras named.

``pip install .[dev]`` would build the extension each time; and a bare project name could be answered by a
package index with somebody else's project.
"""

import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """Return the requirements, as a requirements file has them.

    Args:
        extras: Names of extras; none means the run-time requirements.

    Raises:
        KeyError: An extra is unknown.
    """
    path = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    groups = [project["optional-dependencies"][name] for name in extras] or [project["dependencies"]]
    return [item for group in groups for item in group]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(sys.argv[1:])) + "\n")
