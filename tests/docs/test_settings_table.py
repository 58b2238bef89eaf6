"""docs/settings.md says what the code says."""

from service.cli.config import markdown
from service.settings import Settings, variable_name
from tests.server import ROOT

PAGE = ROOT / "docs" / "settings.md"


def test_the_page_is_what_the_command_writes() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == markdown(), "write it anew: face-api config --markdown > docs/settings.md"


def test_the_page_names_every_variable() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in Settings.__struct_fields__:
        assert f"| `{variable_name(name)}` |" in text
