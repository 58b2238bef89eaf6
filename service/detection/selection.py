"""Which execution provider and arithmetic a model gets: as asked for, or what wins a short trial on this machine.

The trial runs the model on pictures that are drawn here. The plain runtime in float32 is what the others are held
against: bfloat16 is taken only if it finds the same faces, with boxes and scores hardly changed, and nothing is taken
that is not clearly faster. The outcome is kept, so that a machine tries a model once.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from service.detection.agreement import Agreement, compare, total
from service.detection.detector import DetectionOptions, Detector, FacesFound
from service.detection.execution import Backend, Execution, Precision, Provider, Trial
from service.detection.files import sha256_of
from service.detection.providers import check_available, usable_providers, versions
from service.detection.registry import ModelFile
from service.detection.trial_pictures import trial_pictures
from service.detection.trial_store import TrialStore, cpu_identity
from service.errors import ModelError

__all__ = ["AskedFor", "Candidate", "DetectorMaker", "choose_detector", "measure", "try_backends"]

logger = logging.getLogger(__name__)

# What counts as the same: see `Agreement.within`.
LEAST_IOU: Final = 0.95
MOST_APART: Final = 0.03
_THRESHOLD: Final = 0.5
# What is not faster by this much than the plain runtime is not worth another library.
_CLEARLY_FASTER: Final = 0.9
_RUNS: Final = 5
# Raised when the trial itself changes: what was kept before no longer holds.
_TRIAL_VERSION: Final = "1"
# TensorRT builds engines for minutes before its first inference.
_NEVER_TRIED: Final[frozenset[Provider]] = frozenset({"tensorrt"})
_PLAIN: Final = Backend("cpu")

# Loads the model on a backend.
DetectorMaker = Callable[[Execution], Detector]


class AskedFor(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings ask for.

    Attributes:
        provider: FACE_API_EXECUTION_PROVIDER.
        precision: FACE_API_PRECISION.
    """

    provider: Provider | Literal["auto"] = "auto"
    precision: Precision | Literal["auto"] = "auto"


class Candidate(msgspec.Struct, frozen=True):
    """A backend that was tried.

    Attributes:
        trial: How it did.
        detector: The model loaded on it; None if it could not run.
        agreement: Its faces against the first candidate's; None if it could not run.
    """

    trial: Trial
    detector: Detector | None
    agreement: Agreement | None


def choose_detector(
    asked: AskedFor,
    model: ModelFile,
    make: DetectorMaker,
    store: TrialStore,
    *,
    threads: int,
    inferences: int,
    again: bool = False,
) -> Detector:
    """Load a model on what is asked for, or on what wins.

    Args:
        asked: What the settings say.
        model: The model.
        make: Loads it.
        store: Earlier outcomes.
        threads: Threads of one inference; the outcome holds for these.
        inferences: Inferences at once.
        again: Try even if there is an earlier outcome.

    Raises:
        ModelError: The model cannot be used, or what is asked for is not here or does not work.
    """
    backends = _backends(asked)
    if len(backends) == 1:
        return make(_without_trial(asked, backends[0]))
    facts = {
        "trial": _TRIAL_VERSION,
        "model": sha256_of(model.path),
        "cpu": cpu_identity(),
        "threads": f"{threads} x {inferences}",
        "asked": f"{asked.provider} {asked.precision}",
        **versions(),
    }
    if not again and (detector := _remembered(asked, store.load(facts), make)):
        return detector
    with store.only_one():
        # Another process may have been first.
        if not again and (detector := _remembered(asked, store.load(facts), make)):
            return detector
        candidates = try_backends(backends, make, every=asked.precision == "bf16")
        chosen = _winner(asked, candidates)
        # What did not load today may load tomorrow.
        if all(candidate.detector is not None for candidate in candidates):
            store.save(facts, chosen.execution)
    if chosen.execution.warning:
        logger.warning("%s", chosen.execution.warning)
    return chosen


def try_backends(backends: Sequence[Backend], make: DetectorMaker, *, every: bool = True) -> list[Candidate]:
    """Load the model on each backend, run it on the drawn pictures, and compare with the first.

    Args:
        backends: What to try, the plain runtime first.
        make: Loads the model.
        every: Whether to try a provider's float32 even where its bfloat16 has won already.

    Raises:
        ModelError: The first backend does not run the model.
    """
    candidates: list[Candidate] = []
    expected: list[FacesFound] = []
    won: set[Provider] = set()
    for backend in backends:
        if backend.provider in won and not every:
            continue
        trial = Trial(provider=backend.provider, precision=backend.precision, ms=None, agrees=None, note="")
        try:
            detector = make(Execution(provider=backend.provider, precision=backend.precision, reason="trial"))
            found, ms = measure(detector, _RUNS)
        except ModelError as error:
            if not candidates:
                raise
            candidates.append(Candidate(msgspec.structs.replace(trial, note=error.detail), None, None))
            continue
        expected = expected or found
        agreement = total(
            [
                compare(first.faces, second.faces, threshold=_THRESHOLD)
                for first, second in zip(expected, found, strict=True)
            ]
        )
        if not candidates:
            done = msgspec.structs.replace(trial, ms=ms, note="what the others are compared with")
        else:
            same = agreement.within(least_iou=LEAST_IOU, most_apart=MOST_APART)
            agrees = same if agreement.compared else None
            done = msgspec.structs.replace(trial, ms=ms, agrees=agrees, note=str(agreement))
        candidates.append(Candidate(done, detector, agreement))
        if _wins(done, candidates[0].trial):
            won.add(backend.provider)
    return candidates


def measure(detector: Detector, runs: int) -> tuple[list[FacesFound], float]:
    """The faces of the drawn pictures, a little below the threshold too, and the time of the fastest inference in ms.

    Of a few inferences the fastest is the one that other work on the machine disturbed least.

    Raises:
        ModelError: The model does not run.
    """
    width, height = detector.input_size
    # Of a free size, the shape of most photographs.
    height = height if height != width else max(32, round(width * 9 / 16))
    options = DetectionOptions(confidence=_THRESHOLD - MOST_APART, nms_threshold=0.4)
    pictures = trial_pictures(width, height)
    found = [detector.detect(picture, width, height, options) for picture in pictures]
    times = [
        detector.detect(pictures[0], width, height, options).inference_seconds * 1000 for _ in range(runs)
    ]
    return found, round(min(times), 2)


def _backends(asked: AskedFor) -> list[Backend]:
    """What may run the model; the first is what the others are compared with.

    Raises:
        ModelError: What is asked for is not here.
    """
    if asked.provider == "auto":
        providers = [name for name in usable_providers() if name not in _NEVER_TRIED]
        if asked.precision == "bf16":
            # Nothing else has it; says what to install.
            check_available(Backend("openvino", "bf16"))
            return [_PLAIN, Backend("openvino", "bf16")]
    else:
        check_available(Backend(asked.provider, "f32" if asked.precision == "auto" else asked.precision))
        providers = [asked.provider]
        if asked.precision == "bf16":
            return [Backend(asked.provider), Backend(asked.provider, "bf16")]
    backends = [Backend(name) for name in providers]
    if asked.precision == "auto" and "openvino" in providers and _works(Backend("openvino", "bf16")):
        # After the first one, which the others are compared with.
        backends.insert(1, Backend("openvino", "bf16"))
    return backends


def _works(backend: Backend) -> bool:
    try:
        check_available(backend)
    except ModelError:
        return False
    return True


def _without_trial(asked: AskedFor, backend: Backend) -> Execution:
    if asked.provider == "auto":
        reason = "nothing else is here for this processor"
    else:
        reason = f"FACE_API_EXECUTION_PROVIDER={asked.provider}"
    return Execution(provider=backend.provider, precision=backend.precision, reason=reason)


def _remembered(asked: AskedFor, execution: Execution | None, make: DetectorMaker) -> Detector | None:
    """The model on what won before; None if nothing did, or it no longer loads."""
    if execution is None:
        return None
    try:
        detector = make(execution)
    except ModelError:
        if asked.provider != "auto":
            raise
        return None
    if execution.warning:
        logger.warning("%s", execution.warning)
    return detector


def _winner(asked: AskedFor, candidates: Sequence[Candidate]) -> Detector:
    """The detector to use, told why."""
    trials = tuple(candidate.trial for candidate in candidates)
    first = candidates[0]
    if asked.precision == "bf16":
        chosen, reason, warning = _as_asked(candidates)
    else:
        chosen, reason = _fastest(candidates)
        broken = [candidate.trial for candidate in candidates if candidate.detector is None]
        warning = "; ".join(f"{trial.backend} was left out: {trial.note}" for trial in broken) or None
    detector = chosen.detector or first.detector
    if detector is None:  # the first one always has one
        raise ModelError(first.trial.note)
    detector.execution = Execution(
        provider=chosen.trial.provider,
        precision=chosen.trial.precision,
        reason=reason,
        trials=trials,
        warning=warning,
    )
    return detector


def _as_asked(candidates: Sequence[Candidate]) -> tuple[Candidate, str, str | None]:
    asked = candidates[-1]
    if asked.detector is None:
        raise ModelError(asked.trial.note)
    warning = None
    if not asked.trial.agrees:
        warning = f"FACE_API_PRECISION=bf16 does not find the faces that f32 finds: {asked.trial.note}"
    return asked, f"FACE_API_PRECISION=bf16; {asked.trial.note}", warning


def _fastest(candidates: Sequence[Candidate]) -> tuple[Candidate, str]:
    first = candidates[0]
    fit = [candidate for candidate in candidates[1:] if _wins(candidate.trial, first.trial)]
    best = min(fit, key=lambda candidate: candidate.trial.ms or 0, default=None)
    if best is not None:
        return best, f"{best.trial.ms} ms, {first.trial.backend} {first.trial.ms} ms; {best.trial.note}"
    others = "; ".join(
        f"{trial.backend} {f'{trial.ms} ms' if trial.ms is not None else 'failed'}"
        + (f", {trial.note}" if trial.agrees is not True else "")
        for trial in (candidate.trial for candidate in candidates[1:])
    )
    return first, f"{first.trial.ms} ms, nothing that agrees is clearly faster: {others}"


def _wins(trial: Trial, first: Trial) -> bool:
    """Whether it is clearly faster, and its faces good enough: the same if it is less precise, not others if it is."""
    if trial.ms is None or first.ms is None or trial.ms > first.ms * _CLEARLY_FASTER:
        return False
    return trial.agrees is True or (trial.agrees is None and trial.precision == "f32")
