"""The figures by day through real servers: exact over processes and stops, with and without storage and database."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.storage.activity import Activity, Series, read_activity
from service.storage.engine import Database
from tests.conftest import StartServer
from tests.databases import with_database
from tests.postgres import Postgres
from tests.server import Server, eventually
from tests.storage import ADMIN, STORAGE, Client, small_picture

ACCESS = {name: STORAGE[name] for name in ("ADMIN_USER", "ADMIN_PASSWORD", "MAX_CONCURRENT_REQUESTS")}
ATTRIBUTE = re.compile(r'data-(\w+)="([^"]*)"')


async def read_all(database: Database) -> Activity:
    return await read_activity(database, datetime.now(UTC).date() - timedelta(days=1))


def dashboard(server: Server, query: str = "") -> str:
    answer = httpx.get(f"{server.origin}/admin{query}", auth=ADMIN, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.text


def days(page: str) -> list[dict[str, str]]:
    """What the rows of the table by day carry for the charts."""
    rows = re.findall(r"<tr (data-day=[^>]*)>", page)
    return [dict(ATTRIBUTE.findall(row)) for row in rows]


def cells(page: str, method: str) -> list[str]:
    """The text of the row of a method."""
    row = re.search(rf'<tr[^>]*>\s*<td[^>]*><a id="method-{method}".*?</tr>', page, re.DOTALL)
    assert row is not None, method
    return [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row[0], re.DOTALL)]


@pytest.fixture
def requests_sent() -> list[tuple[str, dict[str, Any], bytes]]:
    """Path, parameters and body of some requests of every kind."""
    picture, broken = small_picture(1), small_picture(2)[:-200]
    detect, mask = "/api/v1/detect", "/api/v1/mask"
    return [
        *[(detect, {}, picture)] * 5,
        *[(mask, {"method": "solid"}, picture)] * 4,
        *[(mask, {"method": "pixelate", "format": "png"}, picture)] * 3,
        *[(mask, {}, picture)] * 2,
        (detect, {}, broken),
        (mask, {"method": "solid"}, broken),
        (mask, {"method": "blur"}, picture),
        (mask, {}, b""),
    ]


def send(server: Server, requests: list[tuple[str, dict[str, Any], bytes]]) -> Counter[int]:
    """Send them at once over connections of their own; how many answers of each status came."""
    http = Client(server).http
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(
            lambda request: http.post(
                request[0], params=request[1], content=request[2], headers={"Content-Type": "image/png"}
            ),
            requests,
        )
        return Counter(answer.status_code for answer in answers)


def check(activity: Activity, times: int = 1) -> None:
    """It is what `requests_sent` makes."""
    series = activity.series
    assert {name: (tally.requests, tally.client_errors) for name, tally in series.items()} == {
        Series("detect", ""): (6 * times, 1 * times),
        Series("mask", "solid"): (5 * times, 1 * times),
        Series("mask", "pixelate"): (3 * times, 0),
        Series("mask", "gaussian"): (2 * times, 0),
        Series("mask", ""): (2 * times, 2 * times),
    }
    for tally in series.values():
        assert tally.server_errors == 0
        assert sum(tally.latency.values()) == tally.requests - tally.client_errors
    assert sum(tally.requests for tally in activity.days.values()) == 18 * times


@pytest.mark.parametrize("storage", ["false", "true"])
def test_nothing_is_lost_when_processes_end(
    start_server: StartServer,
    database_settings: dict[str, str],
    requests_sent: list[tuple[str, dict[str, Any], bytes]],
    storage: str,
) -> None:
    settings = {**STORAGE, **database_settings, "STORAGE_ENABLED": storage}
    for turn in range(1, 3):
        server = start_server(**settings, WORKERS="2")
        assert send(server, requests_sent) == {200: 14, 400: 4}
        # At once: what was answered is counted, whatever was written so far.
        assert server.stop(signal.SIGTERM) == 0
        activity = with_database(database_settings, read_all)
        check(activity, turn)
    stored = [tally.stored_bytes for tally in activity.series.values()]
    assert (sum(stored) > len(small_picture(1))) is (storage == "true")
    if storage == "true":
        # The original once, the results each time.
        result = Client(start_server(**settings)).get("jobs", method="pixelate").json()["items"][0]
        assert activity.series[Series("mask", "pixelate")].stored_bytes >= 6 * result["output_bytes"]
        assert activity.series[Series("detect", "")].stored_bytes in {0, len(small_picture(1))}


def test_the_page_has_the_figures_without_storage(
    start_server: StartServer,
    database_settings: dict[str, str],
    requests_sent: list[tuple[str, dict[str, Any], bytes]],
) -> None:
    server = start_server(**ACCESS, **database_settings)
    page = dashboard(server)
    assert "Send the first picture" in page
    assert days(page) == []
    send(server, requests_sent)
    faces = Client(server).detect(small_picture(1)).json()["summary"]["face_count"]
    page = dashboard(server)
    assert "Send the first picture" not in page
    assert "Last 30 days" in page
    (today,) = days(page)
    assert today["day"] == datetime.now(UTC).date().isoformat()
    assert (today["requests"], today["refused"], today["failed"]) == ("19", "4", "0")
    assert int(today["faces"]) == 15 * faces
    assert 0 < float(today["p50"]) <= float(today["p95"])
    assert cells(page, "solid")[1:5] == ["5", str(4 * faces), "1", "0"]
    assert cells(page, "mask")[1:7] == ["2", "0", "2", "0", "–", "–"]
    (solid,) = days(dashboard(server, "?days=7&method=solid"))
    assert (solid["requests"], solid["refused"]) == ("5", "1")
    part = httpx.get(
        f"{server.origin}/admin?method=solid", auth=ADMIN, headers={"HX-Request": "true"}, trust_env=False
    ).text
    assert "<html" not in part
    assert days(part) == [solid]


@pytest.mark.parametrize(
    "query", ["days=0", "days=401", "days=x", "method=blur", "colour=red", "days=7&days=8"]
)
def test_wrong_addresses_are_refused(console_origin: str, query: str) -> None:
    answer = httpx.get(f"{console_origin}/admin?{query}", auth=ADMIN, trust_env=False)
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


@pytest.fixture(scope="module")
def console_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Server(tmp_path_factory.mktemp("service"), ACCESS) as server:
        yield server.origin


def test_the_trial_of_the_admin_is_not_counted(start_server: StartServer) -> None:
    server = start_server(**ACCESS)
    answer = Client(server).http.post(
        "/api/v1/admin/test/mask", files={"image": small_picture(1)}, params={"method": "solid"}, auth=ADMIN
    )
    assert answer.status_code == 200
    assert Client(server).http.get("/api/v1/detect").status_code == 405
    assert days(dashboard(server)) == []


def test_what_the_gates_refuse_is_counted(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(
        **ACCESS, DATA_DIR=str(tmp_path), API_KEY_ENABLED="true", RATE_LIMIT_MASK="1/minute"
    )
    http = Client(server).http
    key = {"X-API-Key": http.post("/api/v1/admin/api-keys", json={"name": "A"}, auth=ADMIN).json()["key"]}
    files = {"image": small_picture(1)}
    statuses = [
        http.post(path, files=files, headers=headers).status_code
        for path, headers in [("/api/v1/detect", {}), ("/api/v1/mask", key), ("/api/v1/mask", key)]
    ]
    assert statuses == [401, 200, 429]
    page = dashboard(server)
    assert cells(page, "detect")[1:5] == ["1", "0", "1", "0"]
    assert cells(page, "gaussian")[1] == "1"
    assert cells(page, "mask")[1:5] == ["1", "0", "1", "0"]


def test_without_a_database_figures_stay_in_memory(
    start_server: StartServer, requests_sent: list[tuple[str, dict[str, Any], bytes]]
) -> None:
    server = start_server(**ACCESS, DATABASE_URL="none")
    send(server, requests_sent)
    page = dashboard(server)
    assert "Since the service started" in page
    assert "kept in memory" in page
    assert "server processes, and change" not in page
    (today,) = days(page)
    assert (today["requests"], today["refused"]) == ("18", "4")
    assert cells(page, "pixelate")[1] == "3"
    assert cells(page, "pixelate")[5].endswith("ms")
    server.stop()
    page = dashboard(start_server(**ACCESS, DATABASE_URL="none", WORKERS="2"))
    assert days(page) == []
    assert "one of 2 server processes" in page


def test_figures_survive_a_database_that_goes_away(start_server: StartServer, tmp_path: Path) -> None:
    with Postgres() as postgres:
        settings = {"DATA_DIR": str(tmp_path), "DATABASE_URL": postgres.new_database()}
        server = start_server(**ACCESS, **settings)
        client = Client(server)
        assert client.detect(small_picture(1)).status_code == 200
        assert eventually(lambda: with_database(settings, read_all).series != {}, 10)
        postgres.stop()
        assert client.mask(small_picture(1), method="solid").status_code == 200
        postgres.start()
        assert eventually(lambda: Series("mask", "solid") in with_database(settings, read_all).series, 20)
        found = with_database(settings, read_all).series
        assert [tally.requests for tally in found.values()] == [1, 1]
