"""GET /health and GET /health/live."""

from collections.abc import Callable, Sequence

from litestar import get
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET

from service.detection.detector import Detector
from service.errors import ServiceUnavailable
from service.handlers.openapi import plain_operation
from service.pipeline import Pipeline
from service.schemas.health import (
    BackendTrial,
    ErrorResponse,
    HealthResponse,
    LiveResponse,
    ModelExecution,
)

__all__ = ["Readiness", "health", "live"]


class Readiness:
    """What besides the model must be ready, and what should be."""

    def __init__(
        self,
        checks: Sequence[Callable[[], str | None]],
        cautions: Sequence[Callable[[], str | None]] = (),
        *,
        storage_enabled: bool = False,
    ) -> None:
        """Ask `checks` and `cautions`; each says what is wrong, or None. Cautions leave the service ready."""
        self.storage_enabled = storage_enabled
        self._checks = checks
        self._cautions = cautions

    def failures(self) -> list[str]:
        """What is wrong now."""
        return [failure for check in self._checks if (failure := check()) is not None]

    def warnings(self) -> list[str]:
        """What works less well than it should now."""
        return [warning for caution in self._cautions if (warning := caution()) is not None]


@get(
    "/health",
    operation_id="health",
    operation_class=plain_operation(),
    tags=["Health"],
    cache_control=CacheControlHeader(no_store=True),
    responses={
        503: ResponseSpec(
            ErrorResponse, description="Not ready; the message says why.", generate_examples=False
        )
    },
)
async def health(
    pipeline: NamedDependency[Pipeline], readiness: NamedDependency[Readiness]
) -> HealthResponse:
    """Whether the service is ready: the model, and whatever else the settings require."""
    detector = pipeline.detector
    if detector.failure is not None:
        raise ServiceUnavailable(f"model {detector.name}: {detector.failure}")
    if failures := readiness.failures():
        raise ServiceUnavailable("; ".join(failures))
    return HealthResponse(
        status="ok",
        model=detector.name,
        model_loaded=True,
        input_size=detector.input_size,
        supports_landmarks=detector.supports_landmarks,
        storage_enabled=readiness.storage_enabled,
        execution=_execution(detector),
        warnings=[*([warning] if (warning := detector.execution.warning) else []), *readiness.warnings()]
        or UNSET,
    )


def _execution(detector: Detector) -> ModelExecution:
    execution = detector.execution
    return ModelExecution(
        provider=execution.provider,
        precision=execution.precision,
        threads=detector.threads,
        reason=execution.reason,
        trials=[
            BackendTrial(trial.provider, trial.precision, trial.ms, trial.agrees, trial.note)
            for trial in execution.trials
        ],
    )


@get(
    "/health/live",
    operation_id="live",
    operation_class=plain_operation(),
    tags=["Health"],
    cache_control=CacheControlHeader(no_store=True),
)
async def live() -> LiveResponse:
    """Whether the process runs, and nothing else."""
    return LiveResponse(status="ok")
