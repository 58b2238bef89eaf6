"""face-api serve: check, say where, start the server processes."""

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import rich_click as click

from service.cli.checks import base_url, check_port, fail
from service.cli.database import Prepared, admin_notes, key_notes, prepare_database
from service.cli.metrics_folder import metrics_folder
from service.cli.parent import (
    GRACE_SECONDS,
    excuse_told_processes,
    guard_forks,
    leave_signals,
    listen_to_signals,
)
from service.detection.registry import ModelFile, resolve_model
from service.errors import SettingsError, StartupError
from service.logs import log_config
from service.settings import Settings, SettingsReport, load_settings, variable_name

__all__ = ["serve"]

_READY_TIMEOUT_SECONDS = 120


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on (FACE_API_HOST).")
@click.option("--port", metavar="PORT", help="Port to listen on (FACE_API_PORT).")
@click.option("--workers", metavar="N", help="Server processes (FACE_API_WORKERS).")
@click.option("--log-format", metavar="FORMAT", help="auto, text or json (FACE_API_LOG_FORMAT).")
@click.option("--open", "open_browser", is_flag=True, help="Open the console in a browser once ready.")
@click.pass_context
def serve(context: click.Context, /, open_browser: bool, **overrides: str | None) -> None:
    """Start the HTTP service. Options win over FACE_API_* variables."""
    for field, value in overrides.items():
        if value is not None:
            # The server's processes read the environment, so that is where options go.
            os.environ[variable_name(field)] = value
    try:
        report = load_settings(os.environ)
        settings = report.settings
        model = resolve_model(settings.model, settings.model_path)
        _prepare_data_dir(settings)
        check_port(settings)
        notes = _notes(report, model)
        prepared = prepare_database(settings)
        context.with_resource(metrics_folder(settings))
    except StartupError as error:
        fail(error.detail)
    for line in [*notes, *key_notes(prepared), *admin_notes(settings, prepared)]:
        _say(line)
    sys.exit(_run(settings, prepared, open_browser=open_browser))


def _run(settings: Settings, prepared: Prepared, *, open_browser: bool) -> int:
    # Here, so that the other commands need not wait for the server.
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    server: Any = Granian(
        "service.cli.worker:build_app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=settings.workers,
        websockets=False,
        workers_kill_timeout=GRACE_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=log_config(settings.log_format),
    )
    listen_to_signals()
    guard_forks()
    excuse_told_processes(server)
    threading.Thread(target=_announce_ready, args=(settings, prepared, open_browser), daemon=True).start()
    server.serve()
    return 0


def _prepare_data_dir(settings: Settings) -> None:
    try:
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"FACE_API_DATA_DIR={settings.data_dir}: cannot be made: {error.strerror}"
        ) from error


def _notes(report: SettingsReport, model: ModelFile) -> list[str]:
    from service.access.limits import rate_limit_notes
    from service.access.proxies import TrustedProxies
    from service.detection.files import digest_warning
    from service.storage.archive import open_archive
    from service.storage.engine import open_database

    settings = report.settings
    notes = [f"warning: {warning}" for warning in report.warnings]
    if warning := digest_warning(model):
        notes.append(f"warning: {warning}")
    TrustedProxies.parse(settings.trusted_proxies)
    notes += rate_limit_notes(settings)
    # Only for what it refuses: the server's processes open their own.
    open_archive(settings, open_database(settings))
    return notes


def _welcome(settings: Settings, prepared: Prepared) -> list[str]:
    base = base_url(settings)
    key = prepared.new_key or "xyl_your_api_key_here"
    header = f"-H 'X-API-Key: {key}' " if settings.api_key_enabled else ""
    return [
        f"Face API on {base}",
        f"  console        {base}/admin",
        f"  documentation  {base}/docs",
        f"  health         {base}/health",
        f"  try it         curl {header}-F image=@photo.jpg {base}/api/v1/mask -o masked.jpg",
    ]


def _announce_ready(settings: Settings, prepared: Prepared, open_browser: bool) -> None:
    leave_signals()
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base_url(settings)}/health", timeout=5):  # noqa: S310  # our own http URL
                for line in (*_welcome(settings, prepared), "ready"):
                    _say(line)
            if open_browser:
                # The browser inherits this thread's mask.
                listen_to_signals()
                _open(f"{base_url(settings)}/admin")
            return  # noqa: TRY300  # the loop ends here
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)


def _open(url: str) -> None:
    import webbrowser

    if not webbrowser.open(url):
        click.echo(f"note: no browser could be started; open {url}", err=True)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
