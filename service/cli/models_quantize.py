"""face-api models quantize: an int8 version of a model, with what it costs."""

from pathlib import Path

import msgspec
import rich_click as click

from service.cli.checks import fail, read_settings
from service.errors import ModelError

__all__ = ["quantize"]


@click.command()
@click.argument("name")
@click.option(
    "--calibrate",
    "folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Pictures with faces, as they will come; a third of them is kept apart to compare.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new model; NAME_int8.onnx in FACE_API_MODEL_DIR if not given.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def quantize(name: str, folder: Path, output: Path | None, force: bool, as_json: bool) -> None:
    """Make an int8 version of a model and say which faces it keeps and how fast it is.

    Nothing takes it by itself: FACE_API_MODEL names it like any file of your own.
    """
    from service.detection.detector import automatic_threads
    from service.detection.quantize import quantize_model
    from service.detection.registry import REGISTRY, resolve_model

    settings = read_settings().settings
    target = output or settings.model_path / f"{name.removesuffix('.onnx')}_int8.onnx"
    if target.suffix != ".onnx" or target.name in {
        known for entry in REGISTRY.values() for known in entry.file_names
    }:
        fail(f"{target}: expected a name of your own that ends in .onnx")
    if target.exists() and not force:
        fail(f"{target} is there already; --force replaces it")
    try:
        report = quantize_model(
            resolve_model(name, settings.model_path),
            sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")),
            target,
            det_size=settings.det_size,
            threads=automatic_threads(
                settings.ort_threads, settings.max_concurrent_inference, settings.workers
            ),
        )
    except ModelError as error:
        fail(f"{name}: {error.detail}")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    for line in report.skipped:
        click.echo(f"skipped {line}", err=True)
    click.echo(f"{report.file}  {report.size_bytes / 1e6:.1f} MB")
    click.echo(f"calibrated on {report.calibrated} pictures, compared on {report.held_out} others:")
    click.echo(
        f"  faces kept {report.kept}, lost {report.lost}, new {report.new}; "
        f"lowest IoU {report.lowest_iou:.3f}, scores within {report.largest_score_change:.3f}"
    )
    click.echo(f"  {report.f32_ms} ms in float32, {report.int8_ms} ms in int8, provider cpu")
    if target.resolve().parent == settings.model_path.resolve():
        click.echo(f"Use it with FACE_API_MODEL={target.stem}")
    else:
        click.echo(f"To use it, put it into FACE_API_MODEL_DIR and set FACE_API_MODEL={target.stem}")
