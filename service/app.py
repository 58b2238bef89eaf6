"""create_app: the only place that wires things together."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.middleware import ASGIMiddleware
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

import admin_ui
from admin_ui.console import console_router
from admin_ui.parts import Parts
from service.access.admin import AdminAccess
from service.access.keys import KeyRing
from service.access.limits import LimitName, RateLimits
from service.access.proxies import TrustedProxies
from service.detection.detector import usable_cores
from service.detection.loading import load_detector
from service.handlers.access import QUOTA_HEADERS, KeyAccounting, KeyAuthentication
from service.handlers.admin_audit import admin_audit_router
from service.handlers.admin_auth import admin_auth_handlers
from service.handlers.admin_keys import admin_keys_router
from service.handlers.admin_storage import admin_storage_handlers
from service.handlers.admin_test_mask import admin_test_mask_handler
from service.handlers.client import ClientOrigin
from service.handlers.detect import detect_handler
from service.handlers.docs import docs_router
from service.handlers.envelope import Envelope
from service.handlers.errors import EXCEPTION_HANDLERS
from service.handlers.guards import admin_guard
from service.handlers.health import Readiness, health, live
from service.handlers.mask import mask_handler
from service.handlers.metrics import metrics_handler
from service.handlers.openapi import MASK_HEADERS, RATE_LIMIT_HEADERS, openapi_config
from service.handlers.openapi_access import SECURITY_COMPONENTS
from service.handlers.rate_limits import RateLimit, add_rate_limit_headers
from service.handlers.runner import RequestSlots, Runner
from service.imaging.opencv import configure_opencv
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.settings import SettingsReport
from service.storage.activity_counter import ActivityCounter
from service.storage.archive import open_archive
from service.storage.engine import open_database

__all__ = ["create_app"]

logger = logging.getLogger(__name__)

# Bodies of everything but pictures: small JSON.
_MAX_BODY_BYTES = 1_048_576


def create_app(report: SettingsReport) -> Envelope:
    """Build the ASGI application of one process.

    Args:
        report: Checked settings; nothing is read from the environment.

    Raises:
        ModelError: The model is missing, corrupt or no detector.
        SettingsError: FACE_API_DATABASE_URL, FACE_API_REDIS_URL, FACE_API_TRUSTED_PROXIES or a FACE_API_S3_* setting is
            wrong.
    """
    settings = report.settings
    metrics = Metrics()
    slots = RequestSlots(settings.max_concurrent_requests)
    database = open_database(settings)
    archive = open_archive(settings, database)
    if archive is not None:
        metrics.cleanup_backlog(archive.backlog)
    if database is not None:
        database.on_failure = partial(metrics.storage_error, "database")
    keys = KeyRing(database) if database is not None else None
    activity = ActivityCounter(database)
    rate_limits = RateLimits(settings)
    admin = AdminAccess(settings, database)
    proxies = TrustedProxies.parse(settings.trusted_proxies)
    checks = [keys.failure] if keys is not None and settings.api_key_enabled else []
    if archive is not None:
        checks.append(archive.failure)
    readiness = Readiness(checks, [rate_limits.warning], storage_enabled=archive is not None)

    def gates(name: LimitName) -> list[ASGIMiddleware]:
        # The order of refusal, all of it before the body is read: 503, 401 or 403, 429.
        limit = RateLimit(rate_limits, name)
        if keys is not None and settings.api_key_enabled:
            return [slots, KeyAuthentication(keys), limit, KeyAccounting(keys)]
        return [slots, limit]

    configure_opencv()
    pipeline = Pipeline(load_detector(report), max_pixels=settings.max_image_pixels)
    metrics.model(pipeline.detector)
    # One thread per inference slot keeps the model busy; more only when cores are left to decode meanwhile.
    runner = Runner(max(settings.max_concurrent_inference, usable_cores()))

    parts = Parts(
        report=report,
        access=admin,
        database=database,
        keys=keys,
        pipeline=pipeline,
        rate_limits=rate_limits,
        readiness=readiness,
        activity=activity,
        archive=archive,
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        logger.info(
            "model %s loaded: %s, input %dx%d, %d threads for each of %d inferences (%s)",
            pipeline.detector.name,
            pipeline.detector.execution.backend,
            *pipeline.detector.input_size,
            pipeline.detector.threads,
            settings.max_concurrent_inference,
            pipeline.detector.execution.reason,
        )
        async with AsyncExitStack() as stack:
            stack.callback(metrics.close)
            stack.callback(runner.close)
            await stack.enter_async_context(rate_limits.running())
            if database is not None:
                await stack.enter_async_context(database)
            await stack.enter_async_context(activity.running())
            await stack.enter_async_context(admin.running())
            if archive is not None:
                await stack.enter_async_context(archive.running())
            if keys is not None and settings.api_key_enabled:
                await stack.enter_async_context(keys.running())
            yield

    async def provide_pipeline() -> Pipeline:
        return pipeline

    async def provide_readiness() -> Readiness:
        return readiness

    async def provide_runner() -> Runner:
        return runner

    app = _App(
        route_handlers=[
            health,
            live,
            detect_handler(
                settings, gates("detect"), archive, pipeline=pipeline, runner=runner, metrics=metrics
            ),
            mask_handler(settings, gates("mask"), archive, pipeline=pipeline, runner=runner, metrics=metrics),
            *admin_auth_handlers(admin, settings.session_ttl, RateLimit(rate_limits, "login")),
            admin_keys_router(keys, [admin_guard(admin)]),
            admin_audit_router(database, [admin_guard(admin)]),
            admin_test_mask_handler(
                settings, [slots], [admin_guard(admin)], pipeline=pipeline, runner=runner, metrics=metrics
            ),
            *admin_storage_handlers(archive, [admin_guard(admin)]),
            metrics_handler(settings, metrics),
            docs_router(admin_ui.STATIC_DIR),
            console_router(parts, [admin_guard(admin)]),
        ],
        dependencies={
            "pipeline": Provide(provide_pipeline),
            "readiness": Provide(provide_readiness),
            "runner": Provide(provide_runner),
        },
        lifespan=[lifespan],
        before_send=[add_rate_limit_headers],
        exception_handlers=EXCEPTION_HANDLERS,
        cors_config=_cors(settings.allowed_origins),
        openapi_config=openapi_config(SECURITY_COMPONENTS),
        request_max_body_size=_MAX_BODY_BYTES,
        logging_config=None,
    )
    return Envelope(ClientOrigin(app, proxies), metrics, activity)


class _App(Litestar):
    """Litestar without its plugins for pydantic and attrs: nothing here uses them, and importing them takes time."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def _cors(origins: list[str]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["X-API-Key", "Content-Type", "Authorization"],
        expose_headers=["X-Request-Id", *MASK_HEADERS, *QUOTA_HEADERS, *RATE_LIMIT_HEADERS, "Retry-After"],
        max_age=600,
    )
