"""Pages from templates: the frame around them, their language, and the headers that every page has."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response

from admin_ui import TEMPLATE_DIR
from admin_ui.formats import FILTERS, bar_share
from admin_ui.language import (
    LANGUAGE_COOKIE,
    LANGUAGES,
    Language,
    choose_language,
    read_korean,
    read_korean_of_service,
    translator,
)
from admin_ui.phrases import Phrases
from admin_ui.texts import SCRIPT_TEXTS
from service import __version__

__all__ = ["CONTENT_SECURITY_POLICY", "HEADERS", "Pages", "is_partial", "language_of", "link"]

# Pictures come from blob: addresses on the page that tries a picture; Pico draws its arrows from data: addresses.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # A page behind a login is not for anybody's cache; and what htmx asks for is only a part of the page.
    "Cache-Control": "no-store",
    "Vary": "HX-Request, Accept-Language, Cookie",
}

_THEME_COOKIE: Final = "face_api_theme"
_THEMES: Final = ("light", "dark")


class Pages:
    """Renders templates."""

    def __init__(self) -> None:
        """Read the translations; a template is compiled when it is first used."""
        self._words: dict[Language, dict[str, str]] = {"en": {}, "ko": read_korean()}
        self._phrases: dict[Language, Phrases] = {"en": Phrases({}), "ko": Phrases(read_korean_of_service())}
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATE_DIR),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals |= {"bar_share": bar_share, "link": link}

    def page(
        self,
        request: Request[Any, Any, Any],
        template: str,
        context: Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response[str]:
        """Render a page, or a part of one.

        Args:
            request: What it answers.
            template: Name of the template.
            context: Its variables.
            status: Of the answer.
            headers: More headers.
        """
        language = language_of(request)
        translate = translator(self._words[language])
        theme = request.cookies.get(_THEME_COOKIE)
        frame = {
            "_": translate,
            "say": self._phrases[language].say,
            "language": language,
            "languages": LANGUAGES,
            "theme": theme if theme in _THEMES else "",
            "version": __version__,
            "origin": str(request.base_url).rstrip("/"),
            "path": request.url.path,
            "texts": json.dumps({name: translate(text) for name, text in SCRIPT_TEXTS.items()}),
        }
        content = self._environment.get_template(template).render(frame | dict(context))
        return Response(
            content,
            status_code=status,
            media_type=MediaType.HTML,
            headers={**HEADERS, "Content-Language": language, **(headers or {})},
        )

    def phrases(self, request: Request[Any, Any, Any]) -> Phrases:
        """What the service says, in the language that a request wants."""
        return self._phrases[language_of(request)]


def language_of(request: Request[Any, Any, Any]) -> Language:
    """The language that a request wants."""
    cookie = request.cookies.get(LANGUAGE_COOKIE)
    return choose_language(cookie, request.headers.get("accept-language", ""))


def is_partial(request: Request[Any, Any, Any]) -> bool:
    """Whether htmx asks for the changing part of a page, and not the browser for all of it."""
    headers = request.headers
    return (
        headers.get("hx-request") == "true"
        and headers.get("hx-boosted") != "true"
        and headers.get("hx-history-restore-request") != "true"
    )


def link(path: str, parameters: Mapping[str, object]) -> str:
    """A path with a query of those parameters that have a value."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
