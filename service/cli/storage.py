"""face-api storage: look after stored pictures, on the database and the object store of the service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import rich_click as click

from service.cli.checks import fail, read_settings
from service.errors import FaceApiError

if TYPE_CHECKING:
    from service.storage.check import CheckReport
    from service.storage.engine import Database

__all__ = ["storage"]

_SHOWN = 20


@click.group()
def storage() -> None:
    """Stored pictures: compare the database with the files."""


@storage.command()
@click.option(
    "--repair", is_flag=True, help="Delete files that nothing refers to; forget files that are lost."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(repair: bool, as_json: bool) -> None:
    """Compare rows and stored files both ways; the service may run meanwhile.

    The exit status is 0 when they agree, or were made to, else 1.
    """
    from service.cli.database import with_database
    from service.storage.check import check_storage, repair_storage
    from service.storage.stores import open_store

    settings = read_settings().settings

    async def work(database: "Database") -> "tuple[CheckReport, int]":
        async with open_store(settings, Path(settings.data_dir)) as objects:
            report = await check_storage(database, objects)
            left = await repair_storage(database, objects, report) if repair else 0
            return report, left

    try:
        if settings.database_url is None and not Path(settings.data_dir).is_dir():
            fail(f"FACE_API_DATA_DIR={settings.data_dir}: there is no such folder, so nothing is stored")
        report, left = with_database(settings, work)
    except FaceApiError as error:
        fail(error.detail)
    except OSError as error:
        fail(f"FACE_API_DATA_DIR={settings.data_dir}: {error.strerror}")
    if as_json:
        document = {**msgspec.structs.asdict(report), "clean": report.clean, "repaired": repair and not left}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
    else:
        for line in _lines(report, repair=repair, left=left):
            click.echo(line)
    sys.exit(0 if report.clean or (repair and not left) else 1)


def _lines(report: "CheckReport", *, repair: bool, left: int) -> list[str]:
    lines = [f"{report.images} pictures, {report.jobs} jobs, {report.objects} files"]
    if report.tasks:
        lines.append(f"{report.tasks} files wait to be deleted")
    if report.unfinished:
        lines.append(f"{report.unfinished} files are of requests under way or cut off")
    for words, keys in (
        ("files that nothing refers to", report.orphans),
        ("originals lost", report.missing_originals),
        ("masked pictures lost", report.missing_results),
    ):
        if keys:
            lines.append(f"{words}: {len(keys)}")
            lines += [f"  {key}" for key in keys[:_SHOWN]]
            if len(keys) > _SHOWN:
                lines.append(f"  and {len(keys) - _SHOWN} more")
    if report.clean:
        lines.append("clean")
    elif not repair:
        lines.append("not clean; --repair mends it")
    elif left:
        lines.append(f"mended, except {left} files that could not be deleted; the service tries again")
    else:
        lines.append("mended")
    return lines
