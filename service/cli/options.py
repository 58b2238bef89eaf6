"""Options of detect and mask, made from the structs of the HTTP parameters: types, ranges and words are theirs."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import msgspec
import rich_click as click
from msgspec import Meta
from msgspec import inspect as mi

from service.ranges import describe, parse, shorten
from service.schemas.parameters import SETTING_OF, DetectParameters, default_parameters
from service.settings import Settings, SettingsReport, load_settings, variable_name

__all__ = [
    "Ranged",
    "det_size_option",
    "jobs_option",
    "parameter_options",
    "read_options",
    "settings_for",
]

Command = TypeVar("Command", bound=Callable[..., Any])
P = TypeVar("P", bound=DetectParameters)

_MAX_JOBS: Final = 256


class Ranged(click.ParamType[Any]):
    """A value of an annotated type, read and refused in the words of :mod:`service.ranges`."""

    def __init__(self, annotation: Any) -> None:
        """Read values of `annotation`, such as ``Annotated[int, Meta(ge=1)]``."""
        self.annotation = annotation
        self.type = mi.type_info(annotation)
        self.description: str = _text(self.type)
        self.expected = describe(self.type)
        self.name = "choice" if self.expected.startswith("one of") else "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the option's text into its value."""
        if not isinstance(value, str):
            return value
        try:
            return parse(value, self.type, self.annotation)
        except ValueError:
            self.fail(f"'{shorten(value)}': expected {self.expected}", param, ctx)


def parameter_options(
    struct: type[DetectParameters], words: Mapping[str, str]
) -> Callable[[Command], Command]:
    """Add one option for each parameter of a struct.

    Args:
        struct: The parameters.
        words: Where a default is another than over HTTP: parameter and what the help says of its default.
    """
    annotations = get_type_hints(struct, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(struct)}

    def add(command: Command) -> Command:
        for name in reversed(struct.__struct_fields__):
            if name in words:
                default = words[name]
            elif name in SETTING_OF:
                default = variable_name(SETTING_OF[name])
            else:
                default = str(defaults[name])
            ranged = Ranged(annotations[name])
            option = click.option(
                "--" + name.replace("_", "-"),
                type=ranged,
                help=f"{ranged.description} {ranged.expected.capitalize()}. Default: {default}.",
            )
            command = option(command)
        return command

    return add


def det_size_option(command: Command) -> Command:
    """Add ``--det-size``."""
    ranged = Ranged(get_type_hints(Settings, include_extras=True)["det_size"])
    words = f"{ranged.description} {ranged.expected.capitalize()}. Default: {variable_name('det_size')}."
    return click.option("--det-size", type=ranged, help=words)(command)


def jobs_option(command: Command) -> Command:
    """Add ``--jobs``."""
    ranged = Ranged(Annotated[int, Meta(ge=1, le=_MAX_JOBS)])
    return click.option(
        "--jobs", "-j", type=ranged, help="Pictures at once. Default: as many as there are cores."
    )(command)


def read_options(struct: type[P], settings: Settings, given: Mapping[str, Any]) -> P:
    """The parameters: those given on the command line, the others from the settings."""
    values = {name: value for name, value in given.items() if value is not None}
    return struct(**{**default_parameters(struct, settings), **values})


def settings_for(environ: Mapping[str, str], *, det_size: int | None, jobs: int) -> SettingsReport:
    """The settings for a batch of `jobs` pictures at once.

    Pictures run in parallel, so that one inference gets one thread; FACE_API_ORT_THREADS overrides that.

    Raises:
        SettingsError: A FACE_API_* variable is wrong.
    """
    report = load_settings(environ)
    given = report.given
    changes: dict[str, Any] = {"max_concurrent_inference": jobs, "workers": 1}
    if not report.settings.ort_threads:
        changes["ort_threads"] = 1
    if det_size is not None:
        changes["det_size"] = det_size
        given |= {"det_size"}
    settings = msgspec.structs.replace(report.settings, **changes)
    return msgspec.structs.replace(report, settings=settings, given=given)


def _text(type_: mi.Type) -> str:
    if isinstance(type_, mi.Metadata):
        return str((type_.extra_json_schema or {}).get("description", ""))
    return ""
