"""face-api config: every setting with its value, source, default and meaning; checked for deployment scripts."""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from service.cli.checks import base_url, check_data_dir, check_port, fail
from service.errors import FaceApiError
from service.settings import Settings, SettingsReport, load_settings
from service.settings_table import SettingRow, setting_rows

__all__ = ["config", "markdown"]

_PIPE_WIDTH: Final = 240
_HEALTH_SECONDS: Final = 2


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--check",
    is_flag=True,
    help="Check settings, model, data folder and port, a line each; exit code 1 if one fails.",
)
@click.option("--markdown", "as_markdown", is_flag=True, hidden=True)
def config(as_json: bool, check: bool, as_markdown: bool) -> None:
    """Show the effective settings: value, source, default and meaning. Secrets are masked."""
    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    if check:
        sys.exit(0 if _check() else 1)
    errors = _errors(os.environ)
    for error in errors[:-1]:
        click.echo(f"face-api: {error}", err=True)
    if errors:
        fail(errors[-1])
    report = load_settings(os.environ)
    rows = setting_rows(report)
    if as_json:
        text = msgspec.json.encode({"settings": rows, "warnings": report.warnings})
        click.echo(msgspec.json.format(text, indent=2).decode())
        return
    _print_table(rows)
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)


def markdown() -> str:
    """The table of all settings for the documentation."""
    lines = [
        "# Settings",
        "",
        "The service is configured by environment variables alone. An empty value counts as not set; an unknown",
        "`FACE_API_` name is a warning with the nearest known one. `face-api config` shows what is in effect and where",
        "it comes from, `face-api config --check` tries it. This page is written by `face-api config --markdown`.",
        "",
        "| variable | value | default | meaning |",
        "|---|---|---|---|",
    ]
    for row in setting_rows(load_settings({})):
        default = _text(row.default)
        cells = (f"`{row.name}`", row.allowed, f"`{default}`" if default else "not set", row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print_table(rows: list[SettingRow]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("variable", "value", "source", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for row in rows:
        same = row.source == "default"
        cells = (_text(row.value), row.source, "" if same else _text(row.default), row.meaning)
        table.add_row(row.name, *cells, style="" if same else "bold")
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(table, markup=False, highlight=False)


def _errors(environ: Mapping[str, str]) -> list[str]:
    """Every wrong setting, not only the first: each variable is read by itself."""
    errors = []
    for variable in sorted(environ):
        try:
            load_settings({variable: environ[variable]})
        except FaceApiError as error:
            errors.append(error.detail)
    return errors


def _check() -> bool:
    errors = _errors(os.environ)
    for error in errors:
        _line("FAIL", "settings", error)
    if errors:
        return False
    report = load_settings(os.environ)
    for warning in report.warnings:
        _line("warn", "settings", warning)
    _line("ok", "settings", f"{len(report.given)} from the environment")
    settings = report.settings
    return all(
        [
            _try("model", lambda: _check_model(report)),
            _try("data folder", lambda: check_data_dir(settings)),
            _try("port", lambda: _check_port(settings)),
        ]
    )


def _try(subject: str, check: Callable[[], str]) -> bool:
    try:
        text = check()
    except FaceApiError as error:
        _line("FAIL", subject, error.detail)
        return False
    _line("ok", subject, text)
    return True


def _check_model(report: SettingsReport) -> str:
    from service.detection.files import digest_warning
    from service.detection.loading import load_detector
    from service.detection.registry import resolve_model

    settings = report.settings
    model = resolve_model(settings.model, settings.model_path)
    if warning := digest_warning(model):
        _line("warn", "model", warning)
    detector = load_detector(report, remember=False)
    width, height = detector.input_size
    backend = detector.execution.backend
    return f"{detector.name} loads: {Path(detector.path)}, {backend}, input {width}×{height}"


def _check_port(settings: Settings) -> str:
    try:
        check_port(settings)
    except FaceApiError:
        # A deployment script also runs beside the version that is about to be replaced.
        if _is_face_api(settings):
            return f"{settings.host}:{settings.port} is held by a running Face API"
        raise
    return f"{settings.host}:{settings.port} is free"


def _is_face_api(settings: Settings) -> bool:
    # Straight to the address, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url(settings)}/health/live", timeout=_HEALTH_SECONDS) as answer:
            return bool(answer.read(200) == b'{"status":"ok"}')
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _line(verdict: str, subject: str, text: str) -> None:
    click.echo(f"{verdict:4}  {subject:11}  {text}")
