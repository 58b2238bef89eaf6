"""English and Korean: which one a request wants, and the words.

English texts are the keys of ``templates/ko.json``, and what the service itself says those of ``ko_service.json``;
a text without a translation is shown in English, and a test finds it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from admin_ui import TEMPLATE_DIR

__all__ = [
    "LANGUAGES",
    "LANGUAGE_COOKIE",
    "Language",
    "Translate",
    "choose_language",
    "read_korean",
    "read_korean_of_service",
    "translator",
]

Language = Literal["en", "ko"]
Translate = Callable[..., str]

LANGUAGES: Final[dict[Language, str]] = {"en": "English", "ko": "한국어"}
LANGUAGE_COOKIE: Final = "face_api_language"

# More than this in a header is no list of languages.
_MOST_RANGES: Final = 20


def choose_language(cookie: str | None, accept_language: str) -> Language:
    """The language of a page.

    Args:
        cookie: What the menu chose; it wins if it is one of ours.
        accept_language: The browser's header (RFC 9110, 12.5.4).
    """
    for language in get_args(Language):
        if cookie == language:
            return language  # type: ignore[no-any-return]  # get_args forgets the type
    best: tuple[float, Language] = (0.0, "en")
    for item in accept_language.split(",")[:_MOST_RANGES]:
        tag, _, parameter = item.strip().lower().partition(";")
        language = tag.partition("-")[0]
        weight = _weight(parameter)
        if language in LANGUAGES and weight > best[0]:
            best = (weight, language)
    return best[1]


def read_korean() -> dict[str, str]:
    """The Korean texts by the English ones."""
    return _read("ko.json")


def read_korean_of_service() -> dict[str, str]:
    """What the service says, in Korean by the English: refusals, warnings, the meaning of settings."""
    return _read("ko_service.json")


def translator(words: Mapping[str, str]) -> Translate:
    """A function from an English text, with ``{name}`` for what is filled in, to the text in a language.

    Args:
        words: Texts of that language by the English ones; what is missing stays English.
    """

    def translate(text: str, **values: object) -> str:
        translated = words.get(text, text)
        return translated.format(**values) if values else translated

    return translate


def _read(name: str) -> dict[str, str]:
    texts: dict[str, str] = json.loads((TEMPLATE_DIR / name).read_text(encoding="utf-8"))
    return texts


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
