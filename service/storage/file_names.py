"""File names that clients send: cleaned for display and for Content-Disposition, never used as a path."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

__all__ = ["clean_file_name", "content_disposition"]

_MAX_LENGTH: Final = 120
_MAX_EXTENSION: Final = 12
# Control, format (bidirectional overrides), surrogate, private, unassigned; line and paragraph separators.
_INVISIBLE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Windows keeps these for itself; the others would have to be escaped in a header.
_RESERVED: Final = re.compile(r'[<>:"|?*%;]')
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._()+-]")
# What RFC 5987 lets stand without an escape, besides letters and digits.
_ATTRIBUTE_CHARACTERS: Final = "!#$&+-.^_`|~"


def clean_file_name(text: str | None, fallback: str = "picture") -> str:
    """The last part of a path, without what cannot be seen or saved.

    Args:
        text: What the client sent.
        fallback: What stands for a name of which nothing is left.
    """
    name = unicodedata.normalize("NFC", text or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(" " if character.isspace() else character for character in name)
    name = "".join(character for character in name if unicodedata.category(character) not in _INVISIBLE)
    name = _RESERVED.sub("_", re.sub(" +", " ", name)).strip(" .")
    if len(name) > _MAX_LENGTH:
        stem, dot, extension = name.rpartition(".")
        end = dot + extension if stem and len(extension) <= _MAX_EXTENSION else ""
        name = name[: _MAX_LENGTH - len(end)].rstrip(" .") + end
    return name or fallback


def content_disposition(name: str, disposition: str = "attachment") -> str:
    """The value of Content-Disposition (RFC 6266) for a file name, which is cleaned first.

    Old programs read ``filename``, which is ASCII; the others take ``filename*`` (RFC 5987).
    """
    name = clean_file_name(name)
    # Letters lose their accents; what has no base letter in ASCII becomes an underscore.
    plain = "".join(unicodedata.normalize("NFKD", character)[0] for character in name)
    plain = _NOT_PLAIN.sub("_", plain)
    value = f'{disposition}; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"
    return value
