"""Services that store, on both engines and both object stores."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.command import face_api
from tests.databases import empty_database
from tests.s3 import S3Server, s3_environment
from tests.server import Server

__all__ = ["ADMIN", "STORAGE", "Client", "Http", "checked", "s3_server", "small_picture", "storage_settings"]

ADMIN = httpx.BasicAuth("admin", "a-long-secret")
STORAGE = {
    "STORAGE_ENABLED": "true",
    "ADMIN_USER": "admin",
    "ADMIN_PASSWORD": "a-long-secret",
    "RATE_LIMIT_LOGIN": "1000000/minute",
    "MAX_CONCURRENT_REQUESTS": "100",
}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 endpoint that lives as long as the session."""
    with S3Server() as server:
        yield server


def storage_settings(request: pytest.FixtureRequest, folder: Path, engine: str, store: str) -> dict[str, str]:
    """Settings of an empty database and an empty object store of these kinds, without the prefix ``FACE_API_``."""
    request.param = engine
    settings = {**STORAGE, **empty_database(request, folder)}
    if store == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        # The folder's name is unique and a valid name of a bucket.
        settings |= s3_environment(
            server.endpoint, f"bucket-{folder.name.strip('_').replace('_', '-')}".lower()
        )
    return settings


class Http:
    """Requests over connections of their own, so that any process may answer and none stays open."""

    def __init__(self, origin: str) -> None:
        """Take paths for ones of `origin`."""
        self._origin = origin

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request."""
        address = self._origin + url if url.startswith("/") else url
        return httpx.request(method, address, trust_env=False, timeout=60, **options)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", url, **options)

    def delete(self, url: str, **options: Any) -> httpx.Response:
        """DELETE."""
        return self.request("DELETE", url, **options)


class Client:
    """A client of a service that stores."""

    def __init__(self, server: Server) -> None:
        """Talk to `server`."""
        self.http = Http(server.origin)

    def detect(self, picture: bytes, **parameters: Any) -> httpx.Response:
        """Ask to detect."""
        return self.http.post("/api/v1/detect", files={"image": ("photo.png", picture)}, params=parameters)

    def mask(self, picture: bytes, **parameters: Any) -> httpx.Response:
        """Ask to mask."""
        return self.http.post("/api/v1/mask", files={"image": ("photo.png", picture)}, params=parameters)

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        """Ask an admin endpoint."""
        return self.http.get(f"/api/v1/admin/{path}", params=parameters, auth=ADMIN)

    def delete(self, image_id: str) -> httpx.Response:
        """Delete a picture."""
        return self.http.delete(f"/api/v1/admin/images/{image_id}", auth=ADMIN)

    def download(self, path: str) -> httpx.Response:
        """Follow a download to its end."""
        answer = self.get(path)
        assert answer.status_code == 302, answer.text
        return self.http.get(answer.headers["location"])


def small_picture(seed: int) -> bytes:
    """A PNG of its own for each seed."""
    from tests.pictures import encoded, scene

    return encoded(scene(seed=seed), "PNG")


def checked(folder: Path, settings: dict[str, str], *options: str) -> dict[str, Any]:
    """What `face-api storage check` says; its exit status is under ``status``."""
    done = face_api(folder, "storage", "check", "--json", *options, settings=settings)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "status": done.returncode}
