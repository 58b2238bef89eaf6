"""Answers of the health endpoints, and the one shape of every error."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = ["BackendTrial", "ErrorResponse", "HealthResponse", "LiveResponse", "ModelExecution"]


class BackendTrial(Struct, frozen=True):
    """How one way to run the model did on this machine."""

    provider: str
    precision: str
    ms: Annotated[float | None, Meta(description="Time of one inference; null if it could not run.")]
    agrees: Annotated[
        bool | None,
        Meta(
            description="Whether it finds the same faces as the plain runtime; null where nothing was compared."
        ),
    ]
    note: str


class ModelExecution(Struct, frozen=True):
    """What runs the model, and why."""

    provider: Annotated[str, Meta(description="As in FACE_API_EXECUTION_PROVIDER.")]
    precision: Annotated[str, Meta(description="Arithmetic: f32 or bf16.")]
    threads: Annotated[int, Meta(description="Threads of one inference.")]
    reason: Annotated[str, Meta(description="Why this provider and arithmetic.")]
    trials: Annotated[list[BackendTrial], Meta(description="What was tried; empty if there was no choice.")]


class HealthResponse(Struct, frozen=True):
    """The service is ready."""

    status: Literal["ok"]
    model: str
    model_loaded: bool
    input_size: tuple[int, int]
    supports_landmarks: bool
    storage_enabled: bool
    execution: ModelExecution
    warnings: (
        Annotated[
            list[str],
            Meta(description="What works less well than it should; absent when there is nothing to say."),
        ]
        | UnsetType
    ) = UNSET


class LiveResponse(Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"]


class ErrorResponse(Struct, frozen=True):
    """Every error of the service."""

    detail: Annotated[str, Meta(description="What was wrong, the value received and the allowed range.")]
