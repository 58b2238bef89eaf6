"""Every provider that is here, with one thread up to all cores: what `face-api models bench` shows."""

import msgspec

from service.detection.detector import Detector, automatic_threads, usable_cores
from service.detection.execution import Backend, Execution
from service.detection.loading import cache_folder, open_detector
from service.detection.providers import check_available, usable_providers
from service.detection.registry import ModelFile
from service.detection.selection import AskedFor, DetectorMaker, try_backends
from service.errors import ModelError
from service.settings import SettingsReport

__all__ = ["BenchResult", "BenchRow", "bench_model"]


class BenchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run the model.

    Attributes:
        provider: Execution provider.
        precision: Arithmetic.
        threads: Threads of one inference.
        ms: Time of the fastest of a few inferences in ms; None if it could not run.
        agrees: Whether it finds the faces of the plain runtime; None for that itself, or where nothing was compared.
        note: The comparison in words, or why it could not run.
        in_use: Whether the service would run this.
    """

    provider: str
    precision: str
    threads: int
    ms: float | None
    agrees: bool | None
    note: str
    in_use: bool


class BenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The table and the choice.

    Attributes:
        model: Name of the model.
        input_size: Width and height of its input, px.
        asked: What the settings ask for, in words.
        execution: What they get, and why.
        rows: All that was tried.
    """

    model: str
    input_size: tuple[int, int]
    asked: str
    execution: Execution
    rows: list[BenchRow]


def bench_model(model: ModelFile, report: SettingsReport) -> BenchResult:
    """Try a model on everything that is here, and choose as a start would.

    Raises:
        ModelError: The model cannot be used, or the settings ask for what is not here.
    """
    settings = report.settings
    inferences = settings.max_concurrent_inference
    threads = automatic_threads(settings.ort_threads, inferences, settings.workers)
    given = "det_size" in report.given
    chosen = open_detector(
        model,
        det_size=settings.det_size,
        det_size_given=given,
        threads=threads,
        inferences=inferences,
        asked=AskedFor(provider=settings.execution_provider, precision=settings.precision),
        cache_dir=cache_folder(settings),
        again=True,
    )
    rows = []
    for count in sorted({1, threads, usable_cores()}):
        for candidate in try_backends(_everything(), _maker(model, settings.det_size, given, count)):
            trial = candidate.trial
            rows.append(
                BenchRow(
                    provider=trial.provider,
                    precision=trial.precision,
                    threads=count,
                    ms=trial.ms,
                    agrees=trial.agrees,
                    note=trial.note,
                    in_use=count == threads and trial.backend == chosen.execution.backend,
                )
            )
    return BenchResult(
        model=model.name,
        input_size=chosen.input_size,
        asked=f"FACE_API_EXECUTION_PROVIDER={settings.execution_provider} FACE_API_PRECISION={settings.precision}",
        execution=chosen.execution,
        rows=rows,
    )


def _maker(model: ModelFile, det_size: int, given: bool, threads: int) -> DetectorMaker:
    def make(execution: Execution) -> Detector:
        return Detector(model, det_size=det_size, det_size_given=given, threads=threads, execution=execution)

    return make


def _everything() -> list[Backend]:
    backends = [Backend(provider) for provider in usable_providers()]
    try:
        check_available(Backend("openvino", "bf16"))
    except ModelError:
        return backends
    return [*backends, Backend("openvino", "bf16")]
