"""Page objects: what a person does on each page of the console, and where it stands."""

import re
from pathlib import Path
from typing import Any, Literal, Self

from playwright.sync_api import BrowserContext, FileChooser, Locator, Page, expect
from playwright.sync_api import TimeoutError as NothingHappened

from admin_ui.language import Language, read_korean, translator
from tests.server import ROOT

__all__ = ["PASSWORD", "THEMES", "USER", "WIDTHS", "Console", "axe_source"]

USER = "admin"
PASSWORD = "correct horse battery staple"  # noqa: S105  # of a service that lives for a test

# What the browser, and htmx with it, writes when a request is refused.
_REFUSED = re.compile(r"(?:responded with a status of|Response Status Error Code) (\d{3})\b")
# What the browser, and htmx with it, writes when nobody answers.
_LOST = (
    "net::ERR_CONNECTION_REFUSED",
    "net::ERR_INTERNET_DISCONNECTED",
    "htmx:sendError",
    "htmx:afterRequest",
)

_MOST_TABS = 150
_MOST_PRESSES = 5
# The ring may be drawn by what stands around a control that is itself not seen. 0: there is none.
_RING_CONTRAST = """element => {
    const ringed = [element, element.nextElementSibling, element.closest(".drop, .compare")].find((one) => {
        const style = one && getComputedStyle(one);
        return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && one.checkVisibility();
    });
    if (!ringed) return 0;
    const luminance = (colour) => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d");
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ring = luminance(getComputedStyle(ringed).outlineColor);
    const root = getComputedStyle(document.documentElement);
    return Math.min(...["--ground", "--surface"].map((name) => {
        const [dark, light] = [ring, luminance(root.getPropertyValue(name))].sort((one, other) => one - other);
        return (light + 0.05) / (dark + 0.05);
    }));
}"""

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (360, 1280)


def axe_source() -> str | None:
    """The script of axe-core, where ``make assets`` has put it."""
    path = ROOT / "build" / "browser-tests" / "axe.min.js"
    return path.read_text(encoding="utf-8") if path.is_file() else None


class Console:
    """One tab, with everything that it complained of and asked for."""

    def __init__(self, context: BrowserContext, origin: str, language: Language = "en") -> None:
        self.page: Page = context.new_page()
        self.origin = origin
        self.words = translator(read_korean() if language == "ko" else {})
        self.complaints: list[str] = []
        self._expected: set[int] = set()
        self._may_be_lost = False
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))

    def expect_status(self, *statuses: int) -> Self:
        """From now on answers with these statuses are no complaint of the browser's."""
        self._expected |= set(statuses)
        return self

    def expect_lost(self) -> Self:
        """From now on nobody need answer."""
        self._may_be_lost = True
        return self

    def _heard(self, kind: str, text: str) -> None:
        refused = _REFUSED.search(text)
        if refused and int(refused[1]) in self._expected:
            return
        if self._may_be_lost and any(lost in text for lost in _LOST):
            return
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", f"blob:{self.origin}/", "data:")):
            self.complaints.append(f"asked somebody else: {url}")

    def open(self, path: str) -> Self:
        """Go to a page and wait until it is quiet."""
        self.page.goto(f"{self.origin}{path}", wait_until="load")
        return self

    def log_in(self, user: str = USER, password: str = PASSWORD) -> Self:
        """Fill in the login form and send it."""
        self.page.get_by_label(self.words("User name")).fill(user)
        self.page.get_by_label(self.words("Password")).fill(password)
        self.button("Log in").click()
        return self

    def button(self, name: str) -> Locator:
        """A button of the page, by its English name."""
        return self.page.get_by_role("button", name=self.words(name), exact=True)

    @property
    def problem(self) -> Locator:
        """What the page says went wrong."""
        return self.page.locator(".problem:visible")

    @property
    def notices(self) -> Locator:
        """The notices at the bottom."""
        return self.page.locator("#notices .notice")

    # The keyboard

    def tab_to(self, target: Locator, *, back: bool = False) -> Self:
        """Press Tab until the element has the focus; it must show that it has."""
        for _ in range(_MOST_TABS):
            if target.evaluate("element => element === document.activeElement"):
                assert target.evaluate(_RING_CONTRAST) >= 3, "the focus is hardly seen"
                return self
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
        raise AssertionError(f"the keyboard does not reach {target}")

    def press(self, *keys: str) -> Self:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def choose_file_by_enter(self) -> FileChooser:
        """Press Enter on the field that has the focus until the file choice opens; a busy browser may miss one."""
        for _ in range(_MOST_PRESSES):
            try:
                with self.page.expect_file_chooser(timeout=4000) as chooser:
                    self.press("Enter")
            except NothingHappened:
                continue
            return chooser.value
        raise AssertionError("Enter opens no file choice")

    def type(self, text: str) -> Self:
        """Type a text over what stands in the field that has the focus."""
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        return self

    # API keys

    def key(self, name: str) -> Locator:
        """The card of a key."""
        return self.page.locator("li.card", has=self.page.get_by_role("heading", name=name, exact=True))

    def create_key(self, name: str, quota: str = "", expires: str = "") -> str:
        """Make a key and return it."""
        self.button("New key").click()
        dialog = self.page.locator("#new-key")
        dialog.get_by_label(self.words("Name")).fill(name)
        dialog.get_by_label(self.words("Requests per day")).fill(quota)
        dialog.get_by_label(self.words("Expires")).fill(expires)
        self.button("Create").click()
        shown = self.page.locator("#key-value")
        expect(shown).to_be_visible()
        return shown.inner_text()

    def close_key(self) -> None:
        """Leave the dialog with the new key."""
        self.button("I have copied it").click()
        expect(self.page.locator("#key-made")).to_be_hidden()

    # Try it

    def choose(self, name: str, content: bytes, kind: str = "image/png") -> None:
        """Choose a picture and wait for the result."""
        self.page.locator("#picture").set_input_files({"name": name, "mimeType": kind, "buffer": content})

    def slide(self, name: str, value: str) -> None:
        """Move a slider as the arrow keys would."""
        self.page.locator(f"#{name}").evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
            value,
        )

    # Looks

    def screenshot(self, folder: Path, name: str) -> None:
        """Keep a picture of the whole page for a person to look at."""
        self.page.screenshot(path=folder / f"console-{name}.png", full_page=True, animations="disabled")

    def look(self, folder: Path, name: str, axe: str, *, whole: bool = True) -> list[str]:
        """Look at the page as it stands in every colour scheme and width, and keep pictures of it.

        Args:
            folder: Where the pictures go.
            name: Of the page and its state.
            axe: The script of axe-core.
            whole: Whether a picture shows what lies below the window too; a dialog stands in the window.

        Returns:
            What axe-core finds serious, and by how much the page is too wide, in words.
        """
        found = []
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 800})
            if whole:
                self.page.evaluate("scrollTo(0, 0)")
            for theme in THEMES:
                self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                place = f"{name}-{theme}-{width}"
                # Of these there are many: as JPEG they take half the time.
                path = folder / f"console-{place}.jpg"
                self.page.screenshot(path=path, full_page=whole, animations="disabled", type="jpeg")
                found += [f"{place}: {finding}" for finding in self.serious_findings(axe)]
                if (overflow := self.overflow()) > 0:
                    found.append(f"{place}: {overflow} px too wide")
        return found

    def serious_findings(self, axe: str) -> list[str]:
        """What axe-core finds serious or critical, in words."""
        if self.page.evaluate("typeof axe === 'undefined'"):
            self.page.evaluate(axe)
        found: list[dict[str, Any]] = self.page.evaluate(
            "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
        )
        return [
            f"{finding['id']}: {node['target']} {node['failureSummary']}"
            for finding in found
            if finding["impact"] in {"serious", "critical"}
            for node in finding["nodes"]
        ]

    def overflow(self) -> int:
        """By how many px the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))
