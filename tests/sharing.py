"""How test files are shared out between the processes of pytest-xdist (`make test` starts two)."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["Sharing", "longest_first", "unit_of"]

# Folders that one process has to itself: what their tests share takes long to make, the image most of all.
_WHOLE = ("tests/container", "tests/browser")


def unit_of(nodeid: str) -> str:
    """What is not split up between processes: a file, or a folder whose tests share something costly."""
    path = nodeid.partition("::")[0]
    return next((folder for folder in _WHOLE if path.startswith(f"{folder}/")), path)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort what takes longest to the front, so that no process is left alone with it in the end."""
    folders = (*_WHOLE, "tests/integration")

    def rank(item: pytest.Item) -> int:
        return next(
            (at for at, name in enumerate(folders) if item.nodeid.startswith(f"{name}/")), len(folders)
        )

    items.sort(key=rank)


class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # xdist tells no types
    """Hands out one :func:`unit_of` after another, in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        """Keep the order."""
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
