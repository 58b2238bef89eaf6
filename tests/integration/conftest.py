"""An S3 endpoint, and one that fails; addresses of clients."""

import itertools
from collections.abc import Iterator

import pytest

from tests.s3 import S3Server
from tests.s3_faults import FaultyS3

_ADDRESSES = itertools.count(1)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """An endpoint that lives as long as the module."""
    with S3Server() as server:
        yield server


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    """The same through a proxy that can be told to fail."""
    with FaultyS3(s3.port) as proxy:
        yield proxy


@pytest.fixture
def address() -> dict[str, str]:
    """The header of an address that no other test has."""
    number = next(_ADDRESSES)
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}
