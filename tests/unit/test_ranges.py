"""Text to typed values, and the words for what is allowed."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from msgspec import inspect as mi

from service.ranges import describe, nearest, parse, shorten

Fraction = Annotated[float, Meta(ge=0.01, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


def read(text: str, annotation: Any) -> Any:
    return parse(text, mi.type_info(annotation), annotation)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Fraction, "a number from 0.01 to 1"),
        (Count, "an integer from 0 to 2147483647"),
        (Annotated[int, Meta(ge=32, le=64, multiple_of=32)], "an integer from 32 to 64, a multiple of 32"),
        (Annotated[int, Meta(ge=1)], "an integer of 1 or more"),
        (Annotated[float, Meta(le=2)], "a number up to 2"),
        (int, "an integer"),
        (bool, "true or false"),
        (Literal["b", "a"], "one of: "),
        (Annotated[str, Meta(max_length=5)], "a text of 0 to 5 characters"),
        (str | None, "a text"),
        (Fraction | None, "a number from 0.01 to 1"),
    ],
)
def test_words(annotation: Any, words: str) -> None:
    assert describe(mi.type_info(annotation)).startswith(words)


@given(st.integers(-(2**40), 2**40))
def test_integers_end_at_two_to_the_31st(number: int) -> None:
    if 0 <= number < 2**31:
        assert read(str(number), Count) == number
    else:
        with pytest.raises(ValueError, match=str(number)):
            read(str(number), Count)


@given(st.decimals(min_value=-2, max_value=2, places=6))
def test_plain_decimals(number: Any) -> None:
    text = f"{number:f}"
    if 0.01 <= float(text) <= 1:
        assert read(text, Fraction) == float(text)
    else:
        with pytest.raises(ValueError, match=r".*"):
            read(text, Fraction)


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for annotation in (Fraction, Count, bool, Literal["a", "b"], Count | None):
        try:
            value = read(text, annotation)
        except ValueError:
            continue
        assert value is not None


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1e0", "0x1", "1_0", "inf", "nan", "+", "-", ".", "१", "1.2.3", "1\n", "0" * 40]
)
def test_no_numbers(text: str) -> None:
    for annotation in (float, int):
        with pytest.raises(ValueError, match=r".*"):
            read(text, annotation)


def test_nearest_is_close_or_none() -> None:
    known = ["confidence", "max_faces"]
    assert nearest("confidance", known) == "confidence"
    assert nearest("zzz", known) is None
    assert nearest("x" * 100_000, known) is None


@given(st.text(max_size=200))
def test_shortened_text_is_one_printable_line(text: str) -> None:
    short = shorten(text, 20)
    assert short.isprintable()
    if len(text) <= 20 and text.isprintable():
        assert short == text
