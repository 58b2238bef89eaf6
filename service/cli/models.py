"""face-api models: which detectors there are, which are here, and fetching another."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from service.cli.checks import fail, read_settings
from service.cli.models_bench import bench
from service.cli.models_quantize import quantize
from service.detection.registry import REGISTRY, ModelEntry, find_model, own_files
from service.errors import ModelError
from service.ranges import nearest, shorten
from service.settings import Settings

__all__ = ["models"]

# Wide enough that nothing is folded when the output goes to a file or a program.
_PIPE_WIDTH: Final = 240
_HEX: Final = frozenset("0123456789abcdefABCDEF")


@click.group()
def models() -> None:
    """Known detectors: list, info, verify, pull, bench, quantize."""


models.add_command(bench)
models.add_command(quantize)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_models(as_json: bool) -> None:
    """List the known models and the .onnx files in FACE_API_MODEL_DIR; * marks the one in use."""
    settings = read_settings().settings
    rows = [_facts(entry, settings) for entry in REGISTRY.values()]
    rows += [_own_facts(path, settings) for path in own_files(settings.model_path)]
    if as_json:
        _json(rows)
        return
    table = _table("", "model", "installed", "commercial use", "licence", "size", "speed")
    for row in rows:
        table.add_row(
            "*" if row["in_use"] else "",
            row["name"],
            "bundled" if row["bundled"] else row["file"] or "no",
            {True: "yes", False: "no", None: "?"}[row["commercial_use"]],
            row["licence"] or "?",
            _megabytes(row["size_bytes"]),
            row["speed"] or "?",
        )
    _print(table)


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def info(name: str, as_json: bool) -> None:
    """Show everything that is known about a model."""
    settings = read_settings().settings
    facts = _facts(_entry(name), settings)
    if as_json:
        _json(facts)
        return
    table = _table("", "")
    table.show_header = False
    for key, value in facts.items():
        shown = (
            {True: "yes", False: "no", None: "-"}.get(value, value) if not isinstance(value, list) else value
        )
        table.add_row(key.replace("_", " "), "\n".join(shown) if isinstance(shown, list) else str(shown))
    _print(table)


@models.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def verify(as_json: bool) -> None:
    """Check the digest of every model that is here; exit code 1 if one is corrupt or not what its name says."""
    settings = read_settings().settings
    found = [(entry, path) for entry in REGISTRY.values() for path in _all_files(entry, settings.model_path)]
    checks = [_verify(path, entry) for entry, path in found]
    checks += [_verify(path, None) for path in own_files(settings.model_path)]
    if as_json:
        _json(checks)
    else:
        table = _table("verdict", "file", "SHA-256", "")
        for check in checks:
            table.add_row(check["verdict"], check["file"], check["sha256"], check["note"])
        _print(table)
    if any(check["verdict"] in {"corrupt", "other"} for check in checks):
        sys.exit(1)


@models.command()
@click.argument("name")
@click.option("--accept-licence", is_flag=True, help="Accept the model's licence without being asked.")
@click.option("--force", is_flag=True, help="Download it again and replace what is there.")
@click.option(
    "--url",
    metavar="URL",
    help="Fetch this archive or .onnx file instead of the official archive; its digest is checked too.",
)
@click.option(
    "--accept-digest",
    metavar="SHA256",
    help="Accept a file with this digest, which the registry does not have.",
)
def pull(name: str, accept_licence: bool, force: bool, url: str | None, accept_digest: str | None) -> None:
    """Download a model into FACE_API_MODEL_DIR, check its digest, and put it in place whole or not at all.

    A broken download is kept as NAME.part; the same command goes on with it. FACE_API_MODEL_URL_BASE names a mirror.
    """
    from service.detection.download import DownloadInterrupted
    from service.detection.files import pull_model, sha256_of

    settings = read_settings().settings
    entry = _entry(name)
    if accept_digest is not None and (len(accept_digest) != 64 or not _HEX.issuperset(accept_digest)):
        fail(f"--accept-digest {shorten(accept_digest)}: expected a SHA-256 of 64 hexadecimal digits")
    if entry.archive is None:
        click.echo(f"{name} comes with the service; there is nothing to pull.")
        return
    source = url or f"{settings.model_url_base.rstrip('/')}/{entry.archive.file_name}"
    part = settings.model_path / f"{name}.part"
    try:
        present = find_model(entry, settings.model_path)
        if present is not None and not force and sha256_of(present) in entry.sha256:
            click.echo(f"{present} is there already and is the known file; nothing to do.")
            return
        _accept_licence(entry, accept_licence)
        with _progress(f"{name} from {source}") as progress:
            path = pull_model(
                entry,
                settings.model_path,
                url=source,
                force=force,
                accept_digest=accept_digest,
                progress=progress,
            )
    except DownloadInterrupted as error:
        fail(f"{name}: {error.detail}{_kept(part)}")
    except ModelError as error:
        fail(f"{name}: {error.detail}")
    except KeyboardInterrupt:
        fail(f"{name}: stopped{_kept(part)}", 130)
    if path is None:
        click.echo(f"{present} is there already and has that digest; nothing to do.")
        return
    click.echo(f"{path}  SHA-256 {sha256_of(path)}")
    click.echo(f"Use it with FACE_API_MODEL={name}")


def _accept_licence(entry: ModelEntry, accepted: bool) -> None:
    if entry.commercial_use:
        return
    click.echo(f"Licence of {entry.name}: {entry.licence}. {entry.licence_text}", err=True)
    if accepted:
        return
    if not sys.stdin.isatty():
        fail(f"{entry.name}: the licence must be accepted: --accept-licence")
    if not click.confirm("Do you accept it?", err=True):
        fail(f"{entry.name}: not downloaded, the licence was not accepted")


@contextmanager
def _progress(title: str) -> Iterator[Any]:
    """A progress bar at a terminal, one line elsewhere; gives the function to report to."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        yield lambda received, total: bar.update(task, completed=received, total=total)


def _kept(part: Path) -> str:
    if not part.is_file():
        return "; nothing was kept"
    return f"; {_megabytes(part.stat().st_size)} are kept in {part}, the same command goes on from there"


def _entry(name: str) -> ModelEntry:
    if (entry := REGISTRY.get(name)) is None:
        guess = nearest(name, REGISTRY)
        fail(
            f"{shorten(name)}: not a known model ({', '.join(REGISTRY)})"
            + (f"; did you mean {guess}?" if guess else "")
        )
    return entry


def _all_files(entry: ModelEntry, model_dir: Path) -> list[Path]:
    if entry.bundled:
        return [path] if (path := find_model(entry, model_dir)) else []
    return [path for name in entry.file_names if (path := model_dir / name).is_file()]


def _facts(entry: ModelEntry, settings: Settings) -> dict[str, Any]:
    path = find_model(entry, settings.model_path)
    return {
        "name": entry.name,
        "in_use": entry.name == settings.model,
        "file": str(path) if path else None,
        "bundled": entry.bundled,
        "summary": entry.summary,
        "licence": entry.licence,
        "licence_text": entry.licence_text,
        "commercial_use": entry.commercial_use,
        "size_bytes": path.stat().st_size if path else entry.size_bytes,
        "speed": entry.speed,
        "input": entry.input,
        "file_names": list(entry.file_names),
        "source": entry.source,
        "archive": entry.archive.file_name if entry.archive else None,
        "archive_bytes": entry.archive.size_bytes if entry.archive else None,
        "sha256": list(entry.sha256),
    }


def _own_facts(path: Path, settings: Settings) -> dict[str, Any]:
    facts: dict[str, Any] = dict.fromkeys(_facts(next(iter(REGISTRY.values())), settings))
    return facts | {
        "name": path.stem,
        "in_use": settings.model in {path.name, path.stem},
        "bundled": False,
        "file": str(path),
        "size_bytes": path.stat().st_size,
        "file_names": [path.name],
        "sha256": [],
    }


def _verify(path: Path, entry: ModelEntry | None) -> dict[str, Any]:
    from service.detection.files import check_file

    try:
        check = check_file(path, entry)
    except ModelError as error:
        return {"file": str(path), "verdict": "corrupt", "sha256": "", "note": error.detail}
    verdict, note = {
        "known": ("ok", check.model or ""),
        "other": ("other", f"holds {check.model}, not what its name says"),
        "unknown": ("unknown", "a digest that we do not know"),
    }[check.verdict]
    if check.verdict == "unknown":
        verdict, note = _judge_unknown(path, entry, note)
    return {"file": str(path), "verdict": verdict, "sha256": check.sha256, "note": note}


def _judge_unknown(path: Path, entry: ModelEntry | None, note: str) -> tuple[str, str]:
    """An unknown file may be somebody's own export or damaged: loading it tells."""
    from service.detection.runtime import OnnxModel

    if entry is not None and entry.bundled:
        return "corrupt", "not the file that comes with the service; install it again"
    try:
        OnnxModel(path, threads=1)
    except ModelError as error:
        return "corrupt", error.detail.removeprefix(f"{path}: ")
    return "unknown", f"{note}; it loads"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(table, markup=False, highlight=False)
