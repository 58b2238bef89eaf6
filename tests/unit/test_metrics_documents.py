"""The page about the metrics and the dashboard name what there is."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import get_args

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import REASONS, STEPS, Endpoint, StorageErrorKind
from tests.metrics import used
from tests.server import ROOT

PAGE = ROOT / "docs" / "metrics.md"


DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"


def families() -> Iterator[Metric]:
    return (
        family
        for family in text_string_to_metric_families(used().render().decode())
        if family.name.startswith("face_api_")
    )


def full_name(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def labels_of(family: Metric) -> list[str]:
    return [label for label in family.samples[-1].labels if label != "le"]


def test_the_page_names_every_metric() -> None:
    rows = []
    for family in families():
        labels = ", ".join(f"`{label}`" for label in labels_of(family)) or "-"
        rows.append(f"| `{full_name(family)}` | {family.type} | {labels} | {family.documentation} |")
    table = re.findall(r"^\| `face_api_.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert table == rows


def test_the_page_names_every_value_of_a_label() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in (*REASONS, *STEPS, *get_args(Endpoint), *get_args(StorageErrorKind)):
        assert f"`{name}`" in page


def expressions() -> list[tuple[str, str]]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def known_labels() -> Mapping[str, set[str]]:
    """Return every series by name, with its labels and those that the scrape adds."""
    known: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(used().render().decode()):
        for sample in family.samples:
            known.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return known


@pytest.mark.parametrize(("title", "expression"), expressions(), ids=lambda text: text[:40])
def test_the_dashboard_asks_for_what_there_is(title: str, expression: str) -> None:
    known = known_labels()
    names = set(re.findall(r"\b(?:face_api|process)_\w+", expression))
    assert names
    assert names <= set(known), title
    labels = set().union(*(known[name] for name in names))
    selected = re.findall(r"(\w+)(?:=~|!=|=)\"", expression)
    grouped = [label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(", ")]
    assert {*selected, *grouped} <= labels, title
    assert ("_bucket" in expression) == ("histogram_quantile" in expression) == ("le" in grouped)
    assert expression.count("(") == expression.count(")")


def test_the_dashboard_shows_every_metric_and_is_well_laid_out() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    shown = " ".join(expression for _, expression in expressions())
    assert [family.name for family in families() if family.name not in shown] == []
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for panel in panels
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used_variables = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(dashboard)))
    assert used_variables <= variables
    assert all(
        target["datasource"]["uid"] == "${datasource}" for panel in panels for target in panel["targets"]
    )
