"""The console's words, formats and addresses, without a browser."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from jinja2 import Environment, FileSystemLoader

from admin_ui import STATIC_DIR, TEMPLATE_DIR
from admin_ui.formats import FILTERS, bar_share, file_size, when
from admin_ui.language import choose_language, read_korean, translator
from admin_ui.pages.dashboard import HEALTH_WORDS
from admin_ui.pages.images import given, whole_days
from admin_ui.pages.jobs import waterfall
from admin_ui.rendering import CONTENT_SECURITY_POLICY, link
from admin_ui.texts import SCRIPT_TEXTS, STEPS
from service.schemas.detect import Profiling
from service.schemas.storage import ImageParameters
from service.storage.image_search import ImageSearch

TEMPLATES = sorted(TEMPLATE_DIR.glob("*.html"))
SCRIPTS = sorted((STATIC_DIR / "console").glob("*.js"))
_TEXT = re.compile(r'_\(\s*"((?:[^"\\]|\\.)*)"')


def texts() -> set[str]:
    """Every text that a page or a script shows."""
    found = {text for path in TEMPLATES for text in _TEXT.findall(path.read_text(encoding="utf-8"))}
    return found | set(SCRIPT_TEXTS.values()) | set(HEALTH_WORDS)


def test_every_text_has_its_translation_and_no_translation_is_left_over() -> None:
    assert texts() - set(read_korean()) == set()
    assert set(read_korean()) - texts() == set()


def test_translations_fill_in_the_same_values() -> None:
    for english, korean in read_korean().items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", korean)), english


def test_scripts_use_texts_that_there_are() -> None:
    used = {
        name for path in SCRIPTS for name in re.findall(r'\btext\("(\w+)"', path.read_text(encoding="utf-8"))
    }
    used |= {"locked", "too_many"}  # chosen at run time by the login
    used |= {f"step_{step}" for step in STEPS}
    assert used == set(SCRIPT_TEXTS)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_is_sound_and_has_nothing_inline(path: "object") -> None:
    name = getattr(path, "name", "")
    environment = Environment(loader=FileSystemLoader(TEMPLATE_DIR), autoescape=True)
    environment.filters.update(FILTERS)
    environment.get_template(name)
    source = (TEMPLATE_DIR / name).read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|https?://|\|\s*safe", source)


def test_scripts_write_no_markup() -> None:
    for path in SCRIPTS:
        assert not re.search(
            r"innerHTML\s*=|insertAdjacentHTML|document\.write|\beval\(", path.read_text()
        ), path.name


def test_policy_allows_nothing_inline_and_nobody_else() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "//" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("cookie", "header", "language"),
    [
        (None, "", "en"),
        (None, "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        (None, "en;q=0.5, ko;q=0.7", "ko"),
        (None, "de, en;q=0.3, ko;q=0.2", "en"),
        (None, "ko;q=0", "en"),
        (None, "ko;q=nonsense", "en"),
        (None, "*", "en"),
        ("ko", "en", "ko"),
        ("en", "ko", "en"),
        ("<script>", "ko", "ko"),
    ],
)
def test_language(cookie: str | None, header: str, language: str) -> None:
    assert choose_language(cookie, header) == language


def test_a_text_without_translation_stays_english() -> None:
    translate = translator({"{count} faces": "얼굴 {count}개"})
    assert translate("{count} faces", count=2) == "얼굴 2개"
    assert translate("{count} other", count=2) == "2 other"
    assert translate("braces {stay}") == "braces {stay}"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (20_971_520, "20.0 MB"), (5 * 2**50, "5120 TB")],
)
def test_file_size(size: int, text: str) -> None:
    assert file_size(size) == text


def test_times_are_in_utc_until_the_browser_turns_them() -> None:
    moment = datetime(2026, 4, 6, 23, 30, tzinfo=timezone(timedelta(hours=9)))
    assert when(moment) == '<time datetime="2026-04-06T14:30:00+00:00">2026-04-06 14:30 UTC</time>'
    assert when(moment.isoformat()) == when(moment)


def test_bars_stay_within_bounds() -> None:
    assert [bar_share(*pair) for pair in [(1, 2), (3, 2), (0, 0), (5, 0)]] == [50, 100, 0, 0]


def test_links_leave_out_what_is_empty() -> None:
    assert link("/admin/jobs", {"method": "solid", "page": 2, "since": "", "until": None}) == (
        "/admin/jobs?method=solid&page=2"
    )
    assert link("/admin/jobs", {}) == "/admin/jobs"
    assert link("/admin/images", {"name": "a&b=ü"}) == "/admin/images?name=a%26b%3D%C3%BC"
    assert given([("name", " "), ("page", "2"), ("since", "")]) == [("page", "2")]


def test_the_last_day_of_a_period_belongs_to_it() -> None:
    assert whole_days(ImageParameters(until="2026-12-31")).until == "2027-01-01"
    for text in ("2026-12-31T10:00:00Z", "9999-12-31", "nonsense!!"):
        assert whole_days(ImageParameters(until=text)).until == text


def test_a_name_is_searched_as_it_is_written() -> None:
    clause, arguments = ImageSearch(name="100%_A!", since=datetime(2026, 1, 1, tzinfo=UTC)).conditions()
    assert arguments[0] == "%100!%!_a!!%"
    assert "filename" in clause
    assert ImageSearch().conditions() == ("", [])


def test_waterfall_begins_each_step_where_the_last_ended() -> None:
    profiling = Profiling(
        decode_ms=10.0,
        preprocess_ms=5.0,
        blob_ms=4.0,
        inference_ms=25.0,
        postprocess_ms=10.0,
        nms_ms=1.0,
        mask_ms=None,
        encode_ms=None,
        storage_ms=None,
        total_ms=100.0,
        candidates_before_nms=3,
        candidates_after_nms=1,
        det_scale=1.0,
        input_resolution="10x10",
        det_resolution="32x32",
        input_bytes=1,
        output_bytes=None,
        input_pixels=100,
        model_name="m",
        model_size_mb=1.0,
        onnx_runtime_version="1",
        opencv_version="5",
        python_version="3",
        worker_pid=1,
    )
    assert [(step.name, step.start, step.share) for step in waterfall(profiling)] == [
        ("decode", 0.0, 10.0),
        ("preprocess", 10.0, 5.0),
        ("inference", 15.0, 25.0),
        ("postprocess", 40.0, 10.0),
    ]
