"""Histograms of times in buckets of fixed bounds, so that those of several processes and days can be added up.

The bounds grow by the eighth root of two, so a percentile is within 4.4 % of the time that stands at its rank
(half a bucket, ``2 ** (1 / 16) - 1``). The idea is that of HDR histograms and of DDSketch (Masson, Rim, Lee: "DDSketch:
a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019).
"""

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["BUCKETS", "bucket_of", "milliseconds_of", "percentile"]

BUCKETS: Final = 256
_PER_DOUBLING: Final = 8
# What is faster is counted as this; the last bucket is past any request.
_LEAST_MS: Final = 0.125


def bucket_of(milliseconds: float) -> int:
    """The bucket of a time, from 0 to `BUCKETS` - 1."""
    if milliseconds <= _LEAST_MS:
        return 0
    return min(BUCKETS - 1, int(_PER_DOUBLING * math.log2(milliseconds / _LEAST_MS)))


def milliseconds_of(bucket: int) -> float:
    """The geometric middle of a bucket, in ms."""
    return float(_LEAST_MS * 2.0 ** ((bucket + 0.5) / _PER_DOUBLING))


def percentile(histogram: Mapping[int, int], percent: int) -> float | None:
    """The time that so many of a hundred did not exceed, by nearest rank, in ms; None of nothing.

    Args:
        histogram: Counts by bucket.
        percent: From 1 to 100.
    """
    total, so_far = sum(histogram.values()), 0
    for bucket in sorted(histogram):
        so_far += histogram[bucket]
        if so_far and so_far * 100 >= total * percent:
            return milliseconds_of(bucket)
    return None
