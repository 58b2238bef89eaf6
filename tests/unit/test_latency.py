"""Histograms of times against the percentiles of the times themselves."""

import math

import numpy as np
import pytest

from service.storage.latency import BUCKETS, bucket_of, milliseconds_of, percentile

HALF_A_BUCKET = 2 ** (1 / 16)


def histogram(times: np.ndarray) -> dict[int, int]:
    counts: dict[int, int] = {}
    for time in times:
        bucket = bucket_of(float(time))
        counts[bucket] = counts.get(bucket, 0) + 1
    return counts


def nearest_rank(times: np.ndarray, percent: int) -> float:
    return float(np.sort(times)[math.ceil(len(times) * percent / 100) - 1])


@pytest.mark.parametrize("size", [1, 2, 3, 19, 20, 21, 1000, 20_000])
@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_percentiles_are_within_half_a_bucket(size: int, percent: int) -> None:
    random = np.random.default_rng(size)
    for times in (
        random.lognormal(3, 1.2, size),
        random.uniform(0.2, 5000, size),
        np.full(size, 12.34),
        np.concatenate([random.normal(8, 0.1, size - size // 10), random.normal(900, 5, size // 10)]),
    ):
        times = np.clip(times, 0.125, None)
        found = percentile(histogram(times), percent)
        assert found is not None
        exact = nearest_rank(times, percent)
        assert 1 / HALF_A_BUCKET - 1e-9 <= found / exact <= HALF_A_BUCKET + 1e-9


def test_parts_added_up_give_what_the_whole_does() -> None:
    times = np.random.default_rng(7).lognormal(2, 1, 5000)
    whole = histogram(times)
    parts: dict[int, int] = {}
    for part in np.array_split(times, 7):
        for bucket, count in histogram(part).items():
            parts[bucket] = parts.get(bucket, 0) + count
    assert parts == whole


def test_every_time_has_a_bucket_that_it_lies_in() -> None:
    for milliseconds in np.geomspace(0.125, 1e8, 5000):
        middle = milliseconds_of(bucket_of(float(milliseconds)))
        assert 1 / HALF_A_BUCKET - 1e-9 <= middle / milliseconds <= HALF_A_BUCKET + 1e-9
    assert [bucket_of(time) for time in (0.0, -1.0, 0.1, 0.125)] == [0, 0, 0, 0]
    assert bucket_of(1e300) == BUCKETS - 1


def test_nothing_has_no_percentile() -> None:
    assert percentile({}, 50) is None
    assert percentile({3: 0}, 50) is None
    assert percentile({3: 0, 9: 1}, 1) == milliseconds_of(9)
