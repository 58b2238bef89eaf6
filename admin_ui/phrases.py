"""What the service says in English, in another language: refusals, warnings, the meaning of settings.

The API speaks English. Its sentences carry values (``confidence='2': expected a number from 0 to 1``), so they are
found by patterns made of the catalogue's keys: ``{name}`` stands for any text. What has no translation stays English.
"""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["Phrases"]

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")

# Placeholders whose values are phrases of the catalogue themselves; others are values, and stay as they are.
_NESTED: Final = frozenset({"duration", "expected", "found", "hint", "reason", "what"})

# Placeholders for a number: without this, "from 1 to {high}" would swallow the rest of a sentence.
_NUMBERS: Final = frozenset({"high", "low", "step"})

# Longer texts come from nobody but an attacker.
_LONGEST: Final = 1000


class Phrases:
    """Sentences of the service in one language."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """Make the patterns.

        Args:
            words: Texts of that language by the English ones, both with the same ``{placeholders}``.
        """
        exact = {english: text for english, text in words.items() if not _PLACEHOLDER.search(english)}
        patterns = [(english, text) for english, text in words.items() if english not in exact]
        # What a text begins with tells most of what it is; then, the more a pattern says itself, the better it fits.
        patterns.sort(key=lambda pair: (pair[0].index("{"), len(_PLACEHOLDER.sub("", pair[0]))), reverse=True)
        self._exact = exact
        self._patterns = [(_pattern(english), text) for english, text in patterns]
        self._compiled = [(re.compile(pattern, re.DOTALL), text) for pattern, text in self._patterns]

    def say(self, text: str) -> str:
        """A sentence of the service, translated where it can be.

        Args:
            text: What the service says, values filled in.
        """
        if len(text) > _LONGEST:
            return text
        if text in self._exact:
            return self._exact[text]
        for pattern, words in self._compiled:
            if found := pattern.fullmatch(text):
                return words.format_map(
                    {name: self._value(name, value) for name, value in found.groupdict().items()}
                )
        return text

    def for_scripts(self) -> dict[str, object]:
        """The same for the scripts: ``exact`` texts, ``patterns`` and their translations, ``nested`` names."""
        patterns = [(pattern.replace("(?P<", "(?<"), text) for pattern, text in self._patterns]
        return {"exact": self._exact, "patterns": patterns, "nested": sorted(_NESTED)}

    def _value(self, name: str, value: str) -> str:
        return self.say(value) if name in _NESTED else value


def _pattern(english: str) -> str:
    """A regular expression, the same for Python and JavaScript but for the ``P`` of a named group."""
    pieces = _PLACEHOLDER.split(english)
    return "".join(_group(piece) if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))


def _group(name: str) -> str:
    return f"(?P<{name}>[0-9.]+)" if name in _NUMBERS else f"(?P<{name}>.+?)"
