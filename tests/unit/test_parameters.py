"""Parameters in query and form."""

import pytest

from service.errors import RequestError
from service.handlers.parameters import read_parameters
from service.schemas.parameters import DetectParameters, MaskParameters

DETECT = {"confidence": 0.5, "nms_threshold": 0.4}
MASK = {**DETECT, "method": "gaussian", "strength": 199, "padding": 0.15}

Pairs = list[tuple[str, str]]


def refusal(query: Pairs, form: Pairs) -> str:
    with pytest.raises(RequestError) as caught:
        read_parameters(MaskParameters, MASK, query, form)
    assert caught.value.status == 400
    return caught.value.detail


def test_defaults_come_from_the_caller() -> None:
    parameters = read_parameters(MaskParameters, {**MASK, "strength": 7}, [])
    assert (parameters.strength, parameters.format, parameters.quality, parameters.max_faces) == (
        7,
        "jpeg",
        95,
        0,
    )


@pytest.mark.parametrize("in_form", [False, True])
def test_query_and_form_are_alike(in_form: bool) -> None:
    pairs = [("confidence", "0.25"), ("max_faces", "3")]
    parameters = read_parameters(DetectParameters, DETECT, *(([], pairs) if in_form else (pairs, [])))
    assert (parameters.confidence, parameters.max_faces, parameters.nms_threshold) == (0.25, 3, 0.4)


def test_the_same_value_twice_is_no_contradiction() -> None:
    pair = [("method", "solid")]
    assert read_parameters(MaskParameters, MASK, pair + pair, pair).method == "solid"


def test_two_values_are_both_named() -> None:
    detail = refusal([("method", "solid")], [("method", "pixelate")])
    assert "method is given twice" in detail
    assert "solid" in detail
    assert "pixelate" in detail


@pytest.mark.parametrize("name", ["confidence", "method", "max_faces"])
def test_empty(name: str) -> None:
    assert f"{name} is empty" in refusal([(name, "")], [])


@pytest.mark.parametrize(
    ("name", "words"),
    [("Method", "method"), ("strenght", "strength"), ("zzz", "known parameters"), ("image", "file")],
)
def test_unknown(name: str, words: str) -> None:
    assert words in refusal([(name, "1")], [])


def test_a_mask_parameter_is_unknown_to_detect() -> None:
    with pytest.raises(RequestError, match="unknown parameter 'strength'"):
        read_parameters(DetectParameters, DETECT, [("strength", "5")])


def test_long_values_are_cut() -> None:
    assert len(refusal([("strength", "1" * 10_000)], [])) < 200
    assert len(refusal([("s" * 10_000, "1")], [])) < 300
