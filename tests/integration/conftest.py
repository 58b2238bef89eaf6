"""An S3 endpoint, and one that fails."""

from collections.abc import Iterator

import pytest

from tests.s3 import S3Server
from tests.s3_faults import FaultyS3


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
