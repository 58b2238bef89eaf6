"""The service over HTTP against a plain one, the floor and an empty handler."""

import contextlib
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import contenders
from bench.chart import write_chart
from bench.installed import missing
from bench.load import Client, Load, LoadResult, Request, multipart_body
from bench.pictures import FULL_HD, TWELVE_MEGAPIXELS, write_jpeg
from bench.plan import THRESHOLD, Plan, cpu_has
from bench.report import Row, Target, judged, reference, verdict
from bench.servers import Server, empty_server, plain_server, service
from bench.worker import Call, Done, Factory, Timing, processor_ms_together, take_turns
from service.detection.detector import automatic_threads
from service.settings import Settings

__all__ = ["run"]

SUITE: Final = "http"
FULL_HD_CASE: Final = "detect 1920 x 1080"

_DETECT: Final = f"/api/v1/detect?confidence={THRESHOLD}"
_CLIENTS: Final = (1, 2, 4, 8, 16)
_BUSY: Final = 8
# Connections at half load: enough that no request waits for one.
_SPARE: Final = 16
# What is promised of real weights says nothing about a model that is a fifth as large.
_PROMISED_FOR: Final = "scrfd_2.5g"
_DECODE: Final = (
    "Decoding and the inference are nearly all of it (see the floor in the detector's suite), then HTTP"
)


class _Contender(msgspec.Struct, frozen=True):
    name: str
    server: Server
    request: Request


class _Level(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender did at one number of clients."""

    clients: int
    times_ms: list[float]
    per_second: float
    client_cpu_ms: float
    server_cpu_ms: float
    resident_mb: float


def run(plan: Plan) -> list[Row]:
    """Run the suite; about four minutes, one and a half when quick; a third of it is starting servers."""
    seconds = 2.5 if plan.quick else 3.0
    small = write_jpeg(plan.folder, FULL_HD)
    with contextlib.ExitStack() as stack:
        start = stack.enter_context
        load = Load()
        stack.callback(load.close)
        _learn(plan, small)
        ours, empty = start(service(plan)), start(empty_server())
        print(f"service: {ours.execution()}", flush=True)
        floor, rows = _against_the_floor(plan, ours, small, 2 * seconds)
        rows += _cost(ours, empty, small, 2 * seconds)
        everyone = [
            _Contender("service, form", ours, _form(ours, _DETECT, small)),
            _Contender("service, raw", ours, _raw(ours, _DETECT, small)),
            _Contender("empty handler, form", empty, _form(empty, "/form", small)),
            _Contender("empty handler, raw", empty, _raw(empty, "/raw", small)),
        ]
        if not plan.quick and not missing("fastapi"):
            plain = start(plain_server(plan))
            rows += _against_a_plain_service(plan, plain, seconds)
            everyone.insert(0, _Contender("plain service, form", plain, _form(plain, _DETECT, small)))
        levels = _under_load(load, everyone, (1, _BUSY) if plan.quick else _CLIENTS, seconds)
        rows += _level_rows(levels)
        busy = next(level for level in levels["service, raw"] if level.clients == _BUSY)
        rows.append(_processor_time(busy, floor, _floors_together(plan, small, seconds)))
        rows.append(_throughput(plan, busy, floor))
        rows.append(_half_load(load, everyone[-3], busy, 10.0 if plan.quick else 20.0))
        rows += _keys(plan, ours, small, seconds)
    if plan.svg is not None:
        write_chart({name: _medians(each) for name, each in levels.items()}, plan.svg)
    return rows


def _learn(plan: Plan, picture: Path) -> None:
    """Let the automatic choice of what runs the model be made once, on a machine that does nothing else."""
    inferences = Settings().max_concurrent_inference
    for threads, number in ((automatic_threads(0, inferences, 1), inferences), (plan.threads, 1)):
        take_turns({"floor": partial(contenders.floor, picture, plan.model, threads, "auto", number)}, 0)


def _form(server: Server, target: str, picture: Path) -> Request:
    return Request(server.port, target, *multipart_body(picture.read_bytes()), server.key)


def _raw(server: Server, target: str, picture: Path) -> Request:
    return Request(server.port, target, "image/jpeg", picture.read_bytes(), server.key)


def client(request: Request) -> Call:
    """One client that keeps its connection."""
    connection, data = Client(request.port), request.as_bytes()
    return lambda: connection.call(data)


def client_less_total(request: Request) -> Call:
    """The same without what the server calls `total_ms`."""
    connection, data = Client(request.port), request.as_bytes()
    return lambda: Done(not_counted=(connection.call(data) or 0.0) / 1e3)


def _against_the_floor(plan: Plan, ours: Server, picture: Path, seconds: float) -> tuple[Timing, list[Row]]:
    """One client, default settings, beside the bare steps with as many threads as the service gives an inference."""
    case = f"{FULL_HD_CASE}, 1 client, at most 1.15 x the floor"
    inferences = Settings().max_concurrent_inference
    threads = automatic_threads(0, inferences, 1)
    timings = take_turns(
        {
            "floor": partial(contenders.floor, picture, plan.model, threads, "auto", inferences),
            "service, raw": partial(client, _raw(ours, _DETECT, picture)),
        },
        seconds,
    )
    floor = timings["floor"]
    target = Target(0.87, floor=0.5, reason="What HTTP, the form of the answer and a change of threads cost")
    return floor, [
        reference(SUITE, case, "floor", floor),
        _over_http(case, "service, raw", timings["service, raw"], floor, target),
    ]


def _cost(ours: Server, empty: Server, picture: Path, seconds: float) -> list[Row]:
    """What a client waits beyond `total_ms`, against an empty handler with the same body."""
    rows = []
    for name, make, path in (("raw", _raw, "/raw"), ("form", _form, "/form")):
        case = f"HTTP cost 1920 x 1080, {name}, at most 1.3 x an empty handler"
        calls: dict[str, Factory] = {
            "empty handler": partial(client, make(empty, path, picture)),
            "service less total_ms": partial(client_less_total, make(ours, _DETECT, picture)),
        }
        if name == "raw":
            # A handler that does nothing finds everything in the caches; one that answers after work does not.
            work = make(empty, "/raw-after-work", picture)
            calls["empty handler after 20 ms of work, less those"] = partial(client_less_total, work)
        timings = take_turns(calls, seconds / 2)
        nothing = timings["empty handler"]
        target = Target(
            0.77,
            floor=0.08,
            reason="After work the caches are cold, for an empty handler too; the answer is built after total_ms",
        )
        rows.append(_over_http_reference(case, "empty handler", nothing))
        for contender in list(calls)[1:]:
            judged_by = target if contender == "service less total_ms" else None
            rows.append(_over_http(case, contender, timings[contender], nothing, judged_by))
    return rows


def _against_a_plain_service(plan: Plan, plain: Server, seconds: float) -> list[Row]:
    """One client; an inference has all cores on both sides, and both take the same form."""
    all_cores = {"MAX_CONCURRENT_INFERENCE": "1", "ORT_THREADS": str(plan.threads)}
    promised = plan.model.name == _PROMISED_FOR
    amx = promised and cpu_has("amx_tile", "amx_bf16")
    rows = []
    with (
        service(plan, **all_cores) as best,
        service(plan, **all_cores, EXECUTION_PROVIDER="cpu") as cpu,
    ):
        print(f"service, one inference on all cores: {best.execution()}", flush=True)
        for size, with_cpu in ((FULL_HD, 1.5), (TWELVE_MEGAPIXELS, 2.0)):
            picture = write_jpeg(plan.folder, size)
            case = f"detect {size[0]} x {size[1]}, 1 client"
            calls: dict[str, Factory] = {
                "plain service, form": partial(client, _form(plain, _DETECT, picture)),
                "service, form": partial(client, _form(best, _DETECT, picture)),
                "service, form, provider cpu": partial(client, _form(cpu, _DETECT, picture)),
            }
            timings = take_turns(calls, 2 * seconds)
            theirs = timings["plain service, form"]
            rows.append(_over_http_reference(case, "plain service, form", theirs))
            for name, target in (
                ("service, form", Target(4, reason=_DECODE) if amx else None),
                ("service, form, provider cpu", Target(with_cpu, reason=_DECODE) if promised else None),
            ):
                rows.append(_over_http(case, name, timings[name], theirs, target))
    return rows


def _under_load(
    load: Load, everyone: Sequence[_Contender], clients: Sequence[int], seconds: float
) -> dict[str, list[_Level]]:
    """Latency and throughput of each at so many clients, in turns."""
    levels: dict[str, list[_Level]] = {contender.name: [] for contender in everyone}
    rounds = 3
    for number in clients:
        seen: dict[str, list[tuple[LoadResult, float]]] = {contender.name: [] for contender in everyone}
        for _ in range(rounds):
            for contender in everyone:
                before = contender.server.cpu_seconds()
                result = load.run(contender.request, clients=number, seconds=seconds / rounds)
                seen[contender.name].append((result, contender.server.cpu_seconds() - before))
        for contender in everyone:
            results = seen[contender.name]
            levels[contender.name].append(_level(number, results, contender.server.resident_mb()))
    return levels


def _level(clients: int, results: list[tuple[LoadResult, float]], resident_mb: float) -> _Level:
    times = [ms for result, _ in results for ms in result.times_ms]
    return _Level(
        clients=clients,
        times_ms=times,
        per_second=statistics.median(len(result.times_ms) / result.seconds for result, _ in results),
        client_cpu_ms=sum(result.client_cpu_seconds for result, _ in results) / len(times) * 1e3,
        server_cpu_ms=sum(cpu for _, cpu in results) / len(times) * 1e3,
        resident_mb=resident_mb,
    )


def _level_rows(levels: dict[str, list[_Level]]) -> list[Row]:
    rows = []
    for each in zip(*levels.values(), strict=True):
        for name, level in zip(levels, each, strict=True):
            low, median, high = statistics.quantiles(level.times_ms, n=4, method="inclusive")
            rows.append(
                Row(
                    suite=SUITE,
                    case=f"{FULL_HD_CASE}, {level.clients} client{'s' if level.clients > 1 else ''}",
                    contender=name,
                    median_ms=round(median, 3),
                    spread_ms=(round(low, 3), round(high, 3)),
                    peak_mb=round(level.resident_mb, 1),
                    figure=(
                        f"{level.per_second:.0f}/s, p99 {_p99(level.times_ms):.1f} ms, processor time per request "
                        f"{level.server_cpu_ms:.1f} ms server, {level.client_cpu_ms:.2f} ms client"
                    ),
                )
            )
    return rows


def _floors_together(plan: Plan, picture: Path, seconds: float) -> float:
    """Processor time of the floor while as many run as the service has inferences at once, ms."""
    inferences = Settings().max_concurrent_inference
    threads = automatic_threads(0, inferences, 1)
    factory = partial(contenders.floor, picture, plan.model, threads, "auto", inferences)
    return processor_ms_together(factory, min(inferences, plan.threads), seconds)


def _processor_time(busy: _Level, floor: Timing, together_ms: float) -> Row:
    """Processor time of a request in all threads of the service; hardly changed by other work on the machine."""
    ratio = floor.cpu_ms / busy.server_cpu_ms
    alone, beside = f"{floor.cpu_ms:.1f} ms", f"{together_ms:.1f} ms while another runs beside it"
    figure = f"{busy.server_cpu_ms:.1f} ms, the floor {alone}, {beside}"
    target = Target(
        0.85,
        floor=0.45,
        reason="Requests side by side share memory and cache, as floors do; receiving the body, the answer",
    )
    case = f"processor time per request 1920 x 1080, {_BUSY} clients"
    return verdict(SUITE, case, "service, raw", ratio, target, figure=figure)


def _throughput(plan: Plan, busy: _Level, floor: Timing) -> Row:
    """Answers a second against what the cores could do if each did nothing but the floor's work."""
    possible = plan.threads / (floor.cpu_ms / 1e3)
    ratio = busy.per_second / possible
    figure = f"{busy.per_second:.1f} of {possible:.1f} pictures/s; the clients take their share of the cores"
    target = Target(
        0.9, floor=0.25, reason="HTTP, the answer and the clients take their share of the same cores"
    )
    case = f"throughput 1920 x 1080, {_BUSY} clients"
    return verdict(SUITE, case, "service, raw", ratio, target, figure=figure)


def _half_load(load: Load, contender: _Contender, busy: _Level, seconds: float) -> Row:
    """p99 against p50 when requests come evenly, at half the rate that the service can bear."""
    rate = busy.per_second / 2
    times = load.run(contender.request, clients=_SPARE, seconds=seconds, rate=rate).times_ms
    median, late = statistics.median(times), _p99(times)
    return verdict(
        SUITE,
        f"{FULL_HD_CASE}, half load, p99 at most 2 x p50",
        contender.name,
        median / late,
        Target(0.5, floor=0.12, reason="Other work on the machine delays single requests"),
        median_ms=round(median, 3),
        figure=f"{rate:.0f}/s, p99 {late:.1f} ms, {len(times)} requests",
    )


def _keys(plan: Plan, ours: Server, picture: Path, seconds: float) -> list[Row]:
    case = f"{FULL_HD_CASE}, what API keys cost"
    with service(plan, API_KEY_ENABLED="true") as keyed:
        timings = take_turns(
            {
                "keys off": partial(client, _raw(ours, _DETECT, picture)),
                "keys on": partial(client, _raw(keyed, _DETECT, picture)),
            },
            seconds,
        )
    off = timings["keys off"]
    return [
        _over_http_reference(case, "keys off", off),
        _over_http(case, "keys on", timings["keys on"], off, None),
    ]


def _over_http(case: str, contender: str, timing: Timing, against: Timing, target: Target | None) -> Row:
    """A row without the client's memory, which says nothing about the server."""
    return _without_peak(judged(SUITE, case, contender, timing, against, target))


def _over_http_reference(case: str, contender: str, timing: Timing) -> Row:
    return _without_peak(reference(SUITE, case, contender, timing))


def _without_peak(row: Row) -> Row:
    changes: dict[str, Any] = {"peak_mb": None}
    return msgspec.structs.replace(row, **changes)


def _medians(levels: list[_Level]) -> dict[int, float]:
    return {level.clients: statistics.median(level.times_ms) for level in levels}


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]
