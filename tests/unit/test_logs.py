"""Log lines: JSON or text, with the request's id."""

import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from service.logs import REQUEST_ID, JsonFormatter, RequestIdFilter, TextFormatter, log_config


def record(message: str, *values: object, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("test").makeRecord(
        "test", logging.INFO, __file__, 1, message, values, None, extra=extra
    )
    assert RequestIdFilter().filter(made)
    return made


@pytest.fixture
def request_id() -> Iterator[str]:
    token = REQUEST_ID.set("id-1")
    yield "id-1"
    REQUEST_ID.reset(token)


def test_a_line_is_one_json_object(request_id: str) -> None:
    line = JsonFormatter().format(record("%s\nwith \x1b lines", "text", status=200, nothing=None))
    assert "\n" not in line
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "info",
        "logger": "test",
        "message": "text\nwith \x1b lines",
        "status": 200,
        "request_id": request_id,
    }


def test_without_a_request_there_is_no_id() -> None:
    assert "request_id" not in json.loads(JsonFormatter().format(record("x")))


def test_an_exception_is_a_field() -> None:
    made = record("failed")
    try:
        int("cause")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
    assert "ValueError: invalid literal" in TextFormatter().format(made)


def test_what_json_does_not_know_is_written_as_text() -> None:
    assert json.loads(JsonFormatter().format(record("x", thing={1, 2})))["thing"] in ([1, 2], "{1, 2}")
    assert "object" in json.loads(JsonFormatter().format(record("x", thing=object())))["thing"]


def test_text_is_for_people(request_id: str) -> None:
    line = TextFormatter().format(record("hello", status=200))
    assert "info    hello" in line
    assert "status=200" in line
    assert f"request_id={request_id}" in line


@pytest.mark.parametrize(("log_format", "formatter"), [("text", TextFormatter), ("json", JsonFormatter)])
def test_the_configuration(log_format: Literal["text", "json"], formatter: type[logging.Formatter]) -> None:
    config = log_config(log_format)
    assert config["formatters"]["line"]["()"] is formatter
    assert config["handlers"]["stderr"]["stream"] == "ext://sys.stderr"


def test_auto_is_json_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    assert log_config("auto")["formatters"]["line"]["()"] is JsonFormatter
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert log_config("auto")["formatters"]["line"]["()"] is TextFormatter
