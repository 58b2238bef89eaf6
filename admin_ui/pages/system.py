"""/admin/system: what runs, and how it is set."""

import platform
from importlib import metadata
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from admin_ui.parts import Parts
from admin_ui.rendering import Pages, is_partial
from service import __version__
from service.detection.registry import resolve_model
from service.handlers.guards import admin_of
from service.handlers.parameters import read_parameters
from service.schemas.pages import PageParameters, page_counts
from service.settings_table import setting_rows
from service.storage.cleanup_tasks import tasks_page

__all__ = ["system_page"]

_LIBRARIES: Final = (
    ("litestar", "Litestar"),
    ("granian", "Granian"),
    ("onnxruntime", "ONNX Runtime"),
    ("opencv-python-headless", "OpenCV"),
    ("numpy", "NumPy"),
)


def system_page(pages: Pages, parts: Parts) -> HTTPRouteHandler:
    """Build the route."""
    settings = parts.report.settings
    entry = resolve_model(settings.model, settings.model_path).entry
    versions = [("Face API", __version__), ("Python", platform.python_version())]
    versions += [(name, metadata.version(package)) for package, name in _LIBRARIES]

    @get("/system", name="console-system")
    async def system(request: Request[Any, Any, Any]) -> Response[str]:
        """Model, versions, limits, what is still to be deleted, and every setting."""
        parameters = read_parameters(PageParameters, {}, request.query_params.multi_items())
        context: dict[str, Any] = {
            "admin": admin_of(request.scope),
            "detector": parts.pipeline.detector,
            "entry": entry,
            "versions": versions,
            "settings": settings,
            "rows": setting_rows(parts.report),
            "warnings": parts.report.warnings,
            "limits_warning": parts.rate_limits.warning(),
            "tasks": None,
        }
        if parts.archive is not None:
            tasks, total = await tasks_page(
                parts.archive.database, page=parameters.page, per_page=parameters.per_page
            )
            context |= {"tasks": tasks, **page_counts(total, parameters)}
            if is_partial(request):
                return pages.page(request, "cleanup_list.html", context)
        return pages.page(request, "system.html", context)

    return system
