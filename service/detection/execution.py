"""What runs a model, in which arithmetic, and why."""

from typing import Literal

import msgspec

__all__ = ["Backend", "Execution", "Precision", "Provider", "Trial"]

Provider = Literal["cpu", "openvino", "cuda", "tensorrt", "coreml"]
Precision = Literal["f32", "bf16"]


class Backend(msgspec.Struct, frozen=True):
    """An execution provider and the arithmetic that it is to use.

    Attributes:
        provider: A value of FACE_API_EXECUTION_PROVIDER.
        precision: A value of FACE_API_PRECISION.
    """

    provider: Provider
    precision: Precision = "f32"

    def __str__(self) -> str:
        return f"{self.provider} {self.precision}"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How one backend did with a model on this machine.

    Attributes:
        provider: Its execution provider.
        precision: Its arithmetic.
        ms: Time of one inference in ms; None if it could not run.
        agrees: Whether it finds the faces that the plain runtime finds in float32; None where nothing was compared.
        note: The comparison in words, or why it could not run.
    """

    provider: Provider
    precision: Precision
    ms: float | None
    agrees: bool | None
    note: str

    @property
    def backend(self) -> Backend:
        """What was tried."""
        return Backend(self.provider, self.precision)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What runs the model, and why.

    Attributes:
        provider: The execution provider.
        precision: The arithmetic.
        reason: Why this one, in words.
        trials: What was tried to find out, if anything.
        warning: What is doubtful about it, if anything.
    """

    provider: Provider
    precision: Precision
    reason: str
    trials: tuple[Trial, ...] = ()
    warning: str | None = None

    @property
    def backend(self) -> Backend:
        """What runs."""
        return Backend(self.provider, self.precision)
