"""What the service says has its Korean text: found in the source, so that a new refusal cannot be forgotten."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_ui.language import read_korean_of_service
from admin_ui.phrases import Phrases
from service import errors
from service.detection.registry import REGISTRY
from service.settings import load_settings
from service.settings_table import setting_rows
from tests.server import ROOT

KOREAN = read_korean_of_service()
PHRASES = Phrases(KOREAN)

# Where an answer to a request can come from.
FOLDERS = ("service/handlers", "service/access", "service/imaging", "service/storage", "admin_ui")
MORE_FILES = ("service/detection/detector.py",)

REFUSALS = {name for name in errors.__all__ if not issubclass(getattr(errors, name), errors.StartupError)} | {
    "StoreUnavailable",
    "ObjectNotFound",
    "NotFoundException",
}

# Functions whose texts become refusals in other modules than their own, or in other ways than as the only argument.
MORE_TEXTS = {"_no_such_path", "_unknown", "_too_large", "_http", "_unexpected", "describe", "warning"}

_HANGUL = re.compile("[가-힣]")
# Where the source puts a text together of pieces.
_JOINTS = re.compile(
    r"\{\w+\}|; | or null|seconds?|minutes?|: expected |tiles|strips|an integer|a number|this address is"
)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def texts(node: ast.AST) -> Iterator[str]:
    """The texts that an expression may have; values stand in braces."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(next(texts(value), "{}") for value in values)
        case ast.FormattedValue(value=ast.IfExp() as choice):
            yield from texts(choice)
        case ast.FormattedValue(value=ast.BoolOp()):
            yield ""
        case ast.IfExp(body=one, orelse=other):
            yield from texts(one)
            yield from texts(other)


def files() -> Iterator[tuple[Path, ast.Module]]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in (*paths, *(ROOT / name for name in MORE_FILES)):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def refusals() -> Iterator[tuple[str, str]]:
    """Where a refusal is made, and its text."""
    for path, module in files():
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in REFUSALS:
                    for text in texts(node.args[0]):
                        yield f"{path.name}:{node.lineno}", text
            elif isinstance(node, ast.FunctionDef) and node.name in MORE_TEXTS:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        for text in texts(inner.value):
                            yield f"{path.name}:{inner.lineno}", text


def samples(text: str) -> str:
    return text.replace("{}", "X7")


def test_every_refusal_has_a_korean_text() -> None:
    found = list(refusals())
    assert len(found) > 120
    missing = [f"{place} {text}" for place, text in found if not _HANGUL.search(PHRASES.say(samples(text)))]
    assert missing == []


@pytest.mark.parametrize(("english", "korean"), KOREAN.items(), ids=range(len(KOREAN)))
def test_translation_has_the_same_values(english: str, korean: str) -> None:
    assert sorted(_PLACEHOLDER.findall(english)) == sorted(_PLACEHOLDER.findall(korean))
    assert len(set(_PLACEHOLDER.findall(english))) == len(_PLACEHOLDER.findall(english))


def test_no_translation_is_left_over() -> None:
    """Each piece of an English text between its values is in the source somewhere."""
    constants = [
        node.value
        for path in sorted((ROOT / "service").rglob("*.py")) + sorted((ROOT / "admin_ui").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    source = "\n".join(constants)
    left_over = [
        english
        for english in KOREAN
        for piece in _JOINTS.split(english)
        if piece.strip() and piece.strip() not in source
    ]
    assert left_over == []


def test_every_setting_has_a_korean_meaning() -> None:
    for row in setting_rows(load_settings({})):
        assert _HANGUL.search(PHRASES.say(row.meaning)), row.meaning
        assert _HANGUL.search(PHRASES.say(row.allowed)), row.allowed


def test_every_model_is_described_in_korean() -> None:
    for entry in REGISTRY.values():
        assert _HANGUL.search(PHRASES.say(entry.summary))
        assert _HANGUL.search(PHRASES.say(entry.licence_text))


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        (
            "confidence='2': expected a number from 0.01 to 1",
            "confidence='2': 허용되는 값은 0.01부터 1까지의 수입니다",
        ),
        (
            "name=7: expected a text of 1 to 100 characters or null",
            "name=7: 허용되는 값은 1~100자의 텍스트 또는 null입니다",
        ),
        (
            "daily_quota=0: expected an integer from 1 to 9 or null",
            "daily_quota=0: 허용되는 값은 1부터 9까지의 정수 또는 null입니다",
        ),
        (
            "unknown parameter 'metod'; did you mean method?",
            "알 수 없는 매개변수 'metod'. method을(를) 뜻하셨나요?",
        ),
        (
            "too many failed logins from this address; locked for another 14 minutes 1 second",
            "이 주소에서 로그인에 너무 많이 실패했습니다. 14분 1초 더 잠깁니다",
        ),
        ("there is no API key with the id 'x'", "없는 API 키입니다: ID 'x'"),
        (
            "corrupt TIFF: 3 strips, where 4 are needed",
            "손상된 TIFF: 스트립이 4개 있어야 하는데 3개입니다",
        ),
        (
            "truncated PNG: it ends inside its header; 20 bytes were received",
            "잘린 PNG: 헤더 안에서 끝납니다. 20바이트를 받았습니다",
        ),
    ],
)
def test_sentence(english: str, korean: str) -> None:
    assert PHRASES.say(english) == korean


def test_values_stay_as_they_are() -> None:
    assert PHRASES.say("unknown field 'a text'; did you mean job?") == (
        "알 수 없는 필드 'a text'. job을(를) 뜻하셨나요?"
    )
    assert PHRASES.say("nobody says this") == "nobody says this"
    assert PHRASES.say("unknown parameter '{hint}\n\\1'; did you mean {x}?").count("{hint}\n\\1") == 1
    assert PHRASES.say("a text" * 1000) == "a text" * 1000
    assert Phrases({}).say("a text") == "a text"
