"""face-api models bench: how fast each provider runs a model here, and which one is used."""

import sys
from typing import Any, Final

import msgspec
import rich_click as click

from service.cli.checks import fail, read_settings
from service.errors import ModelError

__all__ = ["bench"]

_PIPE_WIDTH: Final = 240


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def bench(name: str | None, as_json: bool) -> None:
    """Time a model (FACE_API_MODEL if not named) on every provider that is here, and choose anew.

    The choice is kept as the one of a first start is. Pictures and faces are drawn; nothing is downloaded.
    """
    from service.detection.bench import bench_model
    from service.detection.registry import resolve_model

    report = read_settings()
    settings = report.settings
    try:
        result = bench_model(resolve_model(name or settings.model, settings.model_path), report)
    except ModelError as error:
        fail(error.detail)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
        return
    _print(result)


def _print(result: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "provider", "precision", "threads", "best ms", "same faces", ""):
        table.add_column(column, overflow="fold")
    for row in result.rows:
        table.add_row(
            "*" if row.in_use else "",
            row.provider,
            row.precision,
            str(row.threads),
            "failed" if row.ms is None else f"{row.ms:.2f}",
            {True: "yes", False: "no", None: "-"}[row.agrees],
            row.note,
        )
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(f"{result.model}, input {result.input_size[0]}×{result.input_size[1]}", highlight=False)
    console.print(table, markup=False, highlight=False)
    console.print(f"{result.asked}: {result.execution.backend}", markup=False, highlight=False)
    console.print(f"  {result.execution.reason}", markup=False, highlight=False)
