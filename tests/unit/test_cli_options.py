"""Options of the command line: the parameters, ranges and defaults of HTTP."""

import click
import pytest

from service.cli.detect import detect
from service.cli.mask import mask
from service.cli.options import Ranged, read_options, settings_for
from service.cli.screen import Tally, printable
from service.errors import SettingsError
from service.schemas.parameters import DetectParameters, MaskParameters
from service.settings import Settings


@pytest.mark.parametrize(("command", "struct"), [(detect, DetectParameters), (mask, MaskParameters)])
def test_every_parameter_is_an_option_that_is_explained(
    command: click.Command, struct: type[DetectParameters]
) -> None:
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}
    for name in struct.__struct_fields__:
        assert isinstance(options[name].type, Ranged)
    for option in options.values():
        assert option.help


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("confidence", "1.5", "'1.5': expected a number from 0.01 to 1"),
        ("nms_threshold", "nan", "expected a number from 0.01 to 1"),
        ("max_faces", "-1", "expected an integer from 0 to 2147483647"),
        ("method", "Solid", "expected one of: "),
        ("strength", "1000", "expected an integer from 1 to 999"),
        ("padding", "1e-1", "expected a number from 0 to 2"),
        ("format", "gif", "expected one of: jpeg, png, webp"),
        ("quality", "", "expected an integer from 1 to 100"),
        ("det_size", "100", "a multiple of 32"),
        ("jobs", "0", "expected an integer from 1 to 256"),
    ],
)
def test_wrong_values_are_refused_in_the_words_of_http(name: str, text: str, words: str) -> None:
    option = next(option for option in mask.params if option.name == name)
    with pytest.raises(click.BadParameter, match=words):
        option.type.convert(text, option, None)


def test_what_is_not_given_comes_from_the_settings() -> None:
    settings = Settings(confidence=0.25, blur_method="solid", blur_strength=33, padding=0.5)
    parameters = read_options(MaskParameters, settings, {"strength": 44, "padding": 0.0, "quality": None})
    assert parameters == MaskParameters(
        confidence=0.25, nms_threshold=0.4, method="solid", strength=44, padding=0.0, quality=95
    )


def test_settings_of_a_batch() -> None:
    report = settings_for({"FACE_API_CONFIDENCE": "0.3"}, det_size=None, jobs=3)
    assert report.settings.confidence == 0.3
    assert (report.settings.ort_threads, report.settings.max_concurrent_inference) == (1, 3)
    assert "det_size" not in report.given
    report = settings_for({"FACE_API_ORT_THREADS": "2"}, det_size=320, jobs=1)
    assert (report.settings.ort_threads, report.settings.det_size) == (2, 320)
    assert "det_size" in report.given
    with pytest.raises(SettingsError):
        settings_for({"FACE_API_PADDING": "9"}, det_size=None, jobs=1)


def test_the_summary_in_words() -> None:
    tally = Tally()
    tally.total = 5
    tally.count(2)
    assert tally.summary("masked", 2.0, interrupted=False) == (
        "1 picture masked, 2 faces in 2.0 s, 0.5 pictures/s; 0 failed"
    )
    tally.count(0)
    tally.failed, tally.existing, tally.skipped = 1, 7, 1200
    assert tally.summary("masked", 1.0, interrupted=True) == (
        "2 pictures masked, 2 faces in 1.0 s, 2.0 pictures/s; 1 without a face; 7 there already; "
        "1,200 other files skipped; 1 failed; interrupted, 2 left"
    )


def test_paths_cannot_play_with_the_terminal() -> None:
    assert printable("a\x1b[31m\n\udcff.jpg") == "a\\x1b[31m\\n\\xff.jpg"
