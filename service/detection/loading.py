"""The detector that the settings name, on what they ask for or what suits this machine best."""

import os
from functools import partial
from pathlib import Path

from service.detection.detector import Detector, automatic_threads
from service.detection.registry import ModelFile, resolve_model
from service.detection.selection import AskedFor, choose_detector
from service.detection.trial_store import TrialStore
from service.settings import Settings, SettingsReport

__all__ = ["cache_folder", "load_detector", "open_detector"]


def load_detector(report: SettingsReport, *, remember: bool = True) -> Detector:
    """Load the model that the settings name.

    Args:
        report: Checked settings.
        remember: Whether what is found out about this machine may be written to disk.

    Raises:
        ModelError: The model is missing, corrupt or no detector, or what is to run it is not here.
    """
    settings = report.settings
    inferences = settings.max_concurrent_inference
    return open_detector(
        resolve_model(settings.model, settings.model_path),
        det_size=settings.det_size,
        det_size_given="det_size" in report.given,
        threads=automatic_threads(settings.ort_threads, inferences, settings.workers),
        inferences=inferences,
        asked=AskedFor(provider=settings.execution_provider, precision=settings.precision),
        cache_dir=cache_folder(settings) if remember else None,
    )


def open_detector(
    model: ModelFile,
    *,
    det_size: int,
    det_size_given: bool = False,
    threads: int,
    inferences: int = 1,
    asked: AskedFor | None = None,
    cache_dir: Path | None = None,
    again: bool = False,
) -> Detector:
    """Load a model on what is asked for, or on what suits this machine best.

    Args:
        model: The model.
        det_size: See :class:`Detector`.
        det_size_given: See there.
        threads: Threads of one inference.
        inferences: Inferences at once.
        asked: What is to run it; chosen freely if None.
        cache_dir: Where outcomes of trials are kept; None keeps none.
        again: Try even if there is an earlier outcome.

    Raises:
        ModelError: As for `load_detector`.
    """
    make = partial(
        Detector,
        model,
        det_size=det_size,
        det_size_given=det_size_given,
        threads=threads,
        max_inferences=inferences,
        cache_dir=cache_dir,
    )
    return choose_detector(
        asked or AskedFor(),
        model,
        lambda execution: make(execution=execution),
        TrialStore(cache_dir),
        threads=threads,
        inferences=inferences,
        again=again,
    )


def cache_folder(settings: Settings) -> Path:
    """Where this machine's trials are kept: in the data folder if there is one, else in the user's cache folder."""
    data = Path(settings.data_dir)
    if data.is_dir():
        return data / "cache"
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "face-api"
