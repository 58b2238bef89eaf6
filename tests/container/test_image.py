"""The service as the image starts it: from the wheel, outside the source tree, with nothing but /data to write to."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import service
from tests.container import steps
from tests.container.conftest import Image
from tests.server import ROOT, free_port

# Makes everything read-only except the folder $0, then becomes what follows.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd "$0" && exec "$@"'


def namespaces() -> list[str]:
    """A command that gives what follows a process namespace and mounts of its own; empty where that is refused."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        command.append("--map-root-user")
    if not shutil.which("unshare"):
        return []
    probe = [*command, "sh", "-c", "mount -o remount,bind,ro /"]
    return command if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else []


class Container:
    """The entry point, running with the environment of the image and no other."""

    def __init__(self, image: Image, folder: Path) -> None:
        _, final = steps.stages()
        self.port = free_port()
        self.data = folder / "data"
        self.data.mkdir()
        self.isolated = namespaces()
        path = f"{image.prefix / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        self.environ = {
            **steps.environment(final),
            "PATH": path,
            "HOME": str(self.data),
            "FACE_API_HOST": "127.0.0.1",
            "FACE_API_PORT": str(self.port),
            "FACE_API_DATA_DIR": str(self.data),
            "FACE_API_MODEL_DIR": str(folder / "models"),
        }
        program, *arguments = [*steps.words(final, "ENTRYPOINT"), *steps.words(final, "CMD")]
        command = [str(image.prefix / "bin" / program), *arguments]
        if self.isolated:
            command = [*self.isolated, "sh", "-c", READ_ONLY, str(self.data), *command]
        self.process = subprocess.Popen(
            command,
            cwd=self.data,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output: list[str] = []
        self.errors: list[str] = []
        self.readers = [
            threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            for stream, lines in ((self.process.stdout, self.output), (self.process.stderr, self.errors))
        ]
        for reader in self.readers:
            reader.start()

    def wait_until_ready(self) -> None:
        """Wait for "ready"; an early end or a minute of silence fails the test."""
        deadline = time.monotonic() + 60
        while "ready\n" not in self.output:
            assert self.process.poll() is None, "".join(self.output + self.errors)
            assert time.monotonic() < deadline, "".join(self.output + self.errors)
            time.sleep(0.05)

    @property
    def key(self) -> str:
        """The API key of the first start."""
        (key,) = re.findall(r"API key, shown only this once: (\S+)", "".join(self.output))
        return str(key)

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request with the key: status, headers and body of the answer."""
        headers = {"X-API-Key": self.key} | ({"Content-Type": content_type} if content_type else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def pid(self) -> int:
        """The process that an engine would signal: PID 1 of the namespace."""
        if not self.isolated:
            return self.process.pid
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    def stop(self) -> int:
        """Send SIGTERM as an engine does and return the exit status."""
        if self.process.poll() is None:
            os.kill(self.pid(), signal.SIGTERM)
        try:
            self.process.wait(35)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return self.process.returncode


@pytest.fixture(scope="module")
def container(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    running = Container(image, tmp_path_factory.mktemp("container"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def check_health(image: Image, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run what HEALTHCHECK names."""
    _, final = steps.stages()
    (value,) = (step.value for step in final if step.name == "HEALTHCHECK")
    program, script = json.loads(value.partition("CMD ")[2])
    command = [str(image.prefix / "bin" / program), str(image.root) + script]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def installed(image: Image) -> dict[str, Distribution]:
    (packages,) = (image.prefix / "lib").glob("python3.*/site-packages")
    found = distributions(path=[str(packages)])
    return {canonicalize_name(distribution.metadata["Name"]): distribution for distribution in found}


def test_the_steps_are_the_scripts(image: Image) -> None:
    assert [command.split()[1] for command in image.commands] == [
        "scripts/build-wheel.sh",
        "scripts/install-wheel.sh",
    ]
    assert not (image.source / "build" / "wheel-environment").exists()


def test_everything_installed_is_pinned_and_needed(image: Image) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins: dict[str, str] = {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in lines if not line.startswith("#"))
    }
    found = installed(image)
    versions = {name: about.version for name, about in found.items() if name != "face-api"}
    assert versions == {name: pins.get(name) for name in versions}

    needed: set[str] = set()
    waiting = [("face-api", frozenset[str]())]
    while waiting:
        name, extras = waiting.pop()
        needed.add(name)
        for text in found[name].requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
                entry = (canonicalize_name(requirement.name), frozenset(requirement.extras))
                if entry[0] not in needed or entry[1]:
                    waiting.append(entry)
    assert set(found) == needed


def test_it_is_started_from_the_wheel(image: Image, container: Container) -> None:
    code = "import service, native.kernels, admin_ui; print(*[m.__file__ for m in (service, native.kernels, admin_ui)])"
    done = subprocess.run(
        [str(image.prefix / "bin" / "python"), "-c", code],
        cwd=container.data,
        env=container.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(Path(file).is_relative_to(image.prefix) for file in done.stdout.split())


def test_first_request_is_answered(container: Container, face_jpeg: bytes) -> None:
    status, headers, body = container.request("POST", "/api/v1/detect", face_jpeg, "image/jpeg")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert len(json.loads(body)["detections"]) == 3

    status, headers, body = container.request("POST", "/api/v1/mask?format=png", face_jpeg, "image/jpeg")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert body.startswith(b"\x89PNG")


def test_pages_and_their_files_are_served(container: Container) -> None:
    for path in ("/docs", "/redoc"):
        status, _, body = container.request("GET", path)
        assert status == 200
        files = re.findall(r'(?:src|href)="(/[^"]+)"', body.decode())
        assert len(files) >= 2
        for file in files:
            assert container.request("GET", file)[0] == 200, file
    assert container.request("GET", "/openapi.json")[0] == 200


def test_health_check(image: Image, container: Container) -> None:
    assert check_health(image, container.environ).returncode == 0
    # The address that the image listens on cannot be asked as it stands; a proxy is not for it.
    environ = {**container.environ, "FACE_API_HOST": "0.0.0.0", "HTTP_PROXY": "http://127.0.0.1:9"}  # noqa: S104 - not bound
    assert check_health(image, environ).returncode == 0
    done = check_health(image, {**environ, "FACE_API_PORT": str(free_port())})
    assert done.returncode == 1
    assert "refused" in done.stderr


def test_nothing_is_written_but_the_database_and_the_trial_of_providers(
    container: Container, face_png: bytes
) -> None:
    assert container.request("POST", "/api/v1/mask", face_png, "image/png")[0] == 200
    written = {path.relative_to(container.data).parts[0] for path in container.data.rglob("*")}
    assert {name for name in written if not name.startswith("face-api.sqlite")} <= {"cache"}
    kept = {path.suffix or path.name for path in (container.data / "cache").rglob("*") if path.is_file()}
    assert kept <= {".json", "lock"}


def test_log_is_json(container: Container) -> None:
    assert container.errors != []
    for line in list(container.errors):
        assert json.loads(line)["level"] == "info", line


def test_sigterm_stops_it_with_0(image: Image, tmp_path: Path) -> None:
    container = Container(image, tmp_path)
    try:
        container.wait_until_ready()
        assert Path(f"/proc/{container.pid()}/cmdline").read_bytes().endswith(b"serve\0")
        if container.isolated:
            # PID 1 gets no signal that it has no handler for.
            status = Path(f"/proc/{container.pid()}/status").read_text()
            assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE)
    finally:
        code = container.stop()
    assert code == 0


def test_other_commands_work_too(image: Image, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(image.prefix / "bin" / "face-api"), "--version"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert service.__version__ in done.stdout
