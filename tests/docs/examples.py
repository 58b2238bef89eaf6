"""Finds the examples in the documents."""

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["DOCUMENTS", "Example", "examples"]

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = [ROOT / "README.md", ROOT / "README.ko.md", *sorted((ROOT / "docs").glob("*.md"))]

# A block that must not run here says so, with the reason, in a comment above it: <!-- not run: needs root -->
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Example(NamedTuple):
    """One fenced block.

    Attributes:
        document: File name of the document.
        line: Line of the opening fence.
        language: What stands behind the fence.
        code: The block.
        not_run: Why it is not run, None if it is.
    """

    document: str
    line: int
    language: str
    code: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def examples(*languages: str) -> list[Example]:
    """All blocks in these languages, of all documents."""
    found = []
    for path in DOCUMENTS:
        if not path.exists():
            continue
        text = path.read_text()
        for match in _BLOCK.finditer(text):
            if match["language"] in languages:
                line = text.count("\n", 0, match.start()) + 1
                found.append(
                    Example(
                        str(path.relative_to(ROOT)), line, match["language"], match["code"], match["reason"]
                    )
                )
    return found
