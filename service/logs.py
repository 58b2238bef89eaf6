"""Log lines: one JSON object each, or readable at a terminal; each with the id of the request it belongs to."""

import logging
import logging.config
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import msgspec

__all__ = ["REQUEST_ID", "LogFormat", "configure_logging", "log_config"]

LogFormat = Literal["auto", "text", "json"]

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name: value for name, value in vars(record).items() if name not in _STANDARD and name != "message"
    }


class RequestIdFilter(logging.Filter):
    """Puts the current request's id on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`."""
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in _extras(record).items() if value is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """For a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items() if value is not None)
        line = f"{time} {record.levelname.lower():7} {record.getMessage()} {extras}".rstrip()
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def log_config(log_format: LogFormat, stream: TextIO | str = "ext://sys.stderr") -> dict[str, Any]:
    """A :func:`logging.config.dictConfig` dictionary; everything goes to standard error, or to `stream`."""
    if log_format == "auto":
        terminal = (sys.stderr if isinstance(stream, str) else stream).isatty()
        log_format = "text" if terminal else "json"
    formatter = TextFormatter if log_format == "text" else JsonFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": stream,
                "formatter": "line",
                "filters": ["request_id"],
            }
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            "_granian": {"level": "WARNING", "propagate": True},
            "granian.access": {"level": "WARNING", "propagate": True},
            "litestar": {"level": "WARNING", "propagate": True},
        },
    }


def configure_logging(log_format: LogFormat, stream: TextIO | str = "ext://sys.stderr") -> None:
    """Configure the logging of this process; lines go to standard error, or to `stream`."""
    logging.config.dictConfig(log_config(log_format, stream))
