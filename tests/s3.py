"""An S3 endpoint of the tests' own: moto in a process of its own, loopback, a free port, everything in memory."""

import http.client
import subprocess
import sys
from collections.abc import Mapping
from typing import Self

from service.settings import Settings, load_settings
from tests.server import eventually, free_port

__all__ = ["ACCESS_KEY", "SECRET_KEY", "S3Server", "s3_environment", "s3_settings"]

# moto takes any.
ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key-that-nobody-may-read"  # noqa: S105  # opens nothing


class S3Server:
    """A running endpoint.

    Attributes:
        port: Where it listens.
        endpoint: ``http://host:port``.
    """

    def __init__(self) -> None:
        """Start it and return once it answers."""
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not eventually(self._answers, 60):
            self.stop()
            raise RuntimeError("the S3 endpoint did not start")

    def stop(self) -> None:
        """Kill it: what it stored is gone."""
        self._process.kill()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/moto-api/data.json")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def s3_environment(endpoint: str, bucket: str = "pictures", **settings: str) -> dict[str, str]:
    """Settings of a service that keeps objects there, without the prefix ``FACE_API_``."""
    return {
        "S3_ENDPOINT": endpoint,
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": bucket,
    } | settings


def s3_settings(endpoint: str, bucket: str = "pictures", **settings: str) -> Settings:
    """The same as checked settings."""
    environment: Mapping[str, str] = s3_environment(endpoint, bucket, **settings)
    return load_settings({f"FACE_API_{name}": value for name, value in environment.items()}).settings
