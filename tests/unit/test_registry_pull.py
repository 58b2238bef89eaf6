"""Pulling a model from a server that behaves, stalls, truncates, redirects, lies or hangs up."""

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from service.detection.download import DownloadError, DownloadInterrupted, DownloadLimits
from service.detection.files import pull_model
from service.detection.registry import ModelArchive, ModelEntry
from service.errors import ModelError
from tests.model_server import ModelServer, Reply

MODEL = b"\x08" + os.urandom(300_000)
DIGEST = hashlib.sha256(MODEL).hexdigest()
ENTRY = ModelEntry(
    name="tried",
    file_names=("tried.onnx", "det_tried.onnx"),
    summary="",
    licence="",
    licence_text="",
    commercial_use=True,
    source="",
    input="",
    speed="",
    sha256=(DIGEST,),
    size_bytes=len(MODEL),
    archive=ModelArchive(file_name="pack.zip", size_bytes=0, member="det.onnx"),
)
PATIENCE = DownloadLimits(timeout_seconds=0.5, pause_seconds=0.01, stall_seconds=0.3, stall_bytes=1000)


def packed(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


ARCHIVE = packed(("other.onnx", b"\x08 other"), ("det.onnx", MODEL))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ModelServer(ARCHIVE) as running:
        yield running


def pull(server: ModelServer, folder: Path, **options: object) -> Path | None:
    options = {"url": f"{server.origin}/pack.zip", "limits": PATIENCE, **options}
    return pull_model(ENTRY, folder, **options)  # type: ignore[arg-type]  # options of one test each


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_member_is_unpacked_alone(server: ModelServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = tmp_path / "new" / "models"
    path = pull(server, folder, progress=lambda *at: seen.append(at))
    assert path == folder / "tried.onnx"
    assert path.read_bytes() == MODEL
    assert names(folder) == ["tried.onnx"]
    assert seen[0] == (0, len(ARCHIVE))
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_readable_by_the_service_user(server: ModelServer, tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        path = pull(server, tmp_path)
    finally:
        os.umask(mask)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_member_in_a_folder_is_found_and_its_path_is_not_used(server: ModelServer, tmp_path: Path) -> None:
    server.content = packed(("../../outside/det.onnx", MODEL))
    folder = tmp_path / "a" / "b"
    assert pull(server, folder) == folder / "tried.onnx"
    assert names(tmp_path) == ["a"]


def test_the_bare_file_instead_of_the_archive(server: ModelServer, tmp_path: Path) -> None:
    server.content = MODEL
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"


def test_present_and_known_needs_no_request(server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "det_tried.onnx").write_bytes(MODEL)
    assert pull(server, tmp_path) is None
    assert server.requests == []


def test_present_and_unknown_is_not_replaced_without_force(server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "tried.onnx").write_bytes(b"mine")
    with pytest.raises(ModelError, match=hashlib.sha256(b"mine").hexdigest()):
        pull(server, tmp_path)
    assert (tmp_path / "tried.onnx").read_bytes() == b"mine"
    assert pull(server, tmp_path, force=True) == tmp_path / "tried.onnx"
    assert (tmp_path / "tried.onnx").read_bytes() == MODEL


def test_a_connection_that_breaks_is_taken_up_again_by_itself(server: ModelServer, tmp_path: Path) -> None:
    server.replies = [ModelServer.broken_after(100_000), ModelServer.broken_after(100_000)]
    pull(server, tmp_path)
    assert server.requests == [None, "bytes=100000-", "bytes=200000-"]
    assert names(tmp_path) == ["tried.onnx"]


def test_a_later_call_goes_on_where_the_first_gave_up(server: ModelServer, tmp_path: Path) -> None:
    server.replies = [ModelServer.broken_after(120_000), *[ModelServer.broken_after(0)] * 2]
    with pytest.raises(DownloadInterrupted, match=f"after 120000 of {len(ARCHIVE)} bytes"):
        pull(server, tmp_path)
    assert names(tmp_path) == ["tried.part", "tried.part.json"]
    server.requests.clear()
    pull(server, tmp_path)
    assert server.requests == ["bytes=120000-"]
    assert names(tmp_path) == ["tried.onnx"]


def interrupted(server: ModelServer, folder: Path) -> None:
    server.replies = [ModelServer.broken_after(120_000), *[ModelServer.broken_after(0)] * 2]
    with pytest.raises(DownloadInterrupted):
        pull(server, folder)
    server.requests.clear()


def test_ctrl_c_keeps_the_part(server: ModelServer, tmp_path: Path) -> None:
    def stop(received: int, _: int | None) -> None:
        if received > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(server, tmp_path, progress=stop)
    assert names(tmp_path) == ["tried.part", "tried.part.json"]
    pull(server, tmp_path)
    assert names(tmp_path) == ["tried.onnx"]
    assert server.requests[1] is not None


def test_a_server_without_ranges_sends_all_again(server: ModelServer, tmp_path: Path) -> None:
    interrupted(server, tmp_path)
    server.ranges = False
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"
    assert server.requests == ["bytes=120000-"]


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_part(
    server: ModelServer, tmp_path: Path
) -> None:
    interrupted(server, tmp_path)
    server.etag = '"two"'
    server.content = packed(("det.onnx", MODEL), compression=zipfile.ZIP_STORED)
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"


def test_a_server_that_ignores_if_range_is_found_out(server: ModelServer, tmp_path: Path) -> None:
    interrupted(server, tmp_path)

    def careless(server: ModelServer, handler: object) -> None:
        size = len(server.content)
        ModelServer.status(
            206, server.content[120_000:], Content_Range=f"bytes 120000-{size - 1}/{size}", ETag='"three"'
        )(server, handler)  # type: ignore[arg-type]  # a handler

    server.replies = [careless]
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"
    assert server.requests == ["bytes=120000-", None]


def test_a_range_that_the_server_no_longer_has(server: ModelServer, tmp_path: Path) -> None:
    interrupted(server, tmp_path)
    server.replies = [ModelServer.status(416)]
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"


def test_another_source_does_not_go_on_with_the_part(server: ModelServer, tmp_path: Path) -> None:
    interrupted(server, tmp_path)
    pull(server, tmp_path, url=f"{server.origin}/mirror.zip")
    assert server.requests == [None]


def test_without_a_validator_nothing_is_kept(server: ModelServer, tmp_path: Path) -> None:
    server.etag = None
    server.replies = [ModelServer.broken_after(120_000)] * 3
    with pytest.raises(DownloadInterrupted):
        pull(server, tmp_path)
    assert names(tmp_path) == []
    assert server.requests == [None, None, None]


def test_a_server_error_passes(server: ModelServer, tmp_path: Path) -> None:
    server.replies = [ModelServer.status(503), ModelServer.status(429)]
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"


def test_a_stalled_server_does_not_hold_us(server: ModelServer, tmp_path: Path) -> None:
    server.replies = [ModelServer.stalled_after(50_000)]
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"
    assert server.requests == [None, "bytes=50000-"]


def test_a_server_that_says_nothing(server: ModelServer, tmp_path: Path) -> None:
    def silent(server: ModelServer, _: object) -> None:
        server.stopping.wait(30)

    server.replies = [silent]
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"


def test_a_dripping_server_does_not_hold_us(server: ModelServer, tmp_path: Path) -> None:
    server.replies = [ModelServer.dripping(0.02)] * 3
    with pytest.raises(DownloadInterrupted, match=r"only \d+ bytes came in 0.3 s"):
        pull(server, tmp_path)


def test_nobody_listens(server: ModelServer, tmp_path: Path) -> None:
    with ModelServer(b"") as gone:
        url = f"{gone.origin}/pack.zip"
    with pytest.raises(DownloadInterrupted, match=r"127\.0\.0\.1 cannot be reached: Connection refused"):
        pull(server, tmp_path, url=url)
    assert names(tmp_path) == []


def redirect(target: str) -> Reply:
    return ModelServer.status(302, b"moved", Location=target)


@pytest.mark.parametrize("target", ["/elsewhere", "elsewhere.zip", "{origin}/there"])
def test_redirects_are_followed(server: ModelServer, tmp_path: Path, target: str) -> None:
    server.replies = [redirect(target.format(origin=server.origin))] * 5
    assert pull(server, tmp_path) == tmp_path / "tried.onnx"


def test_a_part_is_resumed_through_a_redirect(server: ModelServer, tmp_path: Path) -> None:
    interrupted(server, tmp_path)
    server.replies = [redirect("/signed?x=1")]
    pull(server, tmp_path)
    assert server.requests == ["bytes=120000-", "bytes=120000-"]


def refused(server: ModelServer, folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        pull(server, folder)
    assert not isinstance(caught.value, DownloadInterrupted)
    assert "\n" not in caught.value.detail
    assert names(folder) == []


@pytest.mark.parametrize(
    ("replies", "match"),
    [
        ([redirect("/again")] * 9, "more than 5 redirects"),
        ([redirect("file:///etc/passwd")], "redirects from http to file"),
        ([redirect("ftp://127.0.0.1/x")], "redirects from http to ftp"),
        ([redirect("data:,x")], "redirects from http to data"),
        ([redirect("http://[/x")], "no URL"),
        ([redirect("http://user:secret@127.0.0.1/x")], "user name"),
        ([ModelServer.status(302)], "302"),
        ([ModelServer.status(404)], "the server answers 404 Not Found"),
        ([ModelServer.status(403)], "the server answers 403"),
        ([ModelServer.status(204)], "204"),
        ([ModelServer.status(206, b"x", Content_Range="bytes 0-0/1")], "another part"),
        ([ModelServer.status(200, b"x", Content_Encoding="gzip")], "compressed"),
        ([ModelServer.status(200, b"<!DOCTYPE html>")], "neither an archive nor a model"),
        ([ModelServer.status(200, b"")], "neither an archive nor a model"),
        ([ModelServer.status(200, b"\x08 other weights")], "--accept-digest"),
        ([ModelServer.status(200, ARCHIVE[:-100])], "neither an archive nor a model"),
        ([ModelServer.status(200, packed(("other.onnx", MODEL)))], "no files named det.onnx"),
        ([ModelServer.status(200, packed(("a/det.onnx", MODEL), ("det.onnx", MODEL)))], "2 files named"),
        ([ModelServer.status(200, packed(("det.onnx", b"\x08 other")))], "--accept-digest"),
        ([ModelServer.status(200, packed(("det.onnx", bytes(65 * 2**20))))], "larger than"),
    ],
)
def test_refused_with_a_reason_and_nothing_left(
    server: ModelServer, tmp_path: Path, replies: list[Reply], match: str
) -> None:
    server.replies = list(replies)
    refused(server, tmp_path, match)


def test_one_flipped_bit_in_the_archive(server: ModelServer, tmp_path: Path) -> None:
    stored = bytearray(packed(("det.onnx", MODEL), compression=zipfile.ZIP_STORED))
    stored[1000] ^= 1
    server.content = bytes(stored)
    refused(server, tmp_path, "the archive is damaged: Bad CRC-32")


def test_an_encrypted_member(server: ModelServer, tmp_path: Path) -> None:
    content = bytearray(packed(("det.onnx", MODEL)))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    server.content = bytes(content)
    refused(server, tmp_path, "the archive is damaged: .*encrypted")


def test_too_large(server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="at most 1000 are taken"):
        pull(server, tmp_path, limits=DownloadLimits(max_bytes=1000))
    server.replies = [ModelServer.status(200, ARCHIVE, Content_Length="", Connection="close")]
    with pytest.raises(DownloadError, match="more than 1000 bytes"):
        pull(server, tmp_path, limits=DownloadLimits(max_bytes=1000))
    assert names(tmp_path) == []


def test_no_room(server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    refused(server, tmp_path, "10 are free")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/x",
        "http://",
        "models.zip",
        "http://u:p@h/x",
        "http://[/x",
        "http://h:x/",
        "http://h/a b",
        "http://h/\u00e4",
        "http://h/a\r\nX: y",
    ],
)
def test_only_http(server: ModelServer, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        pull(server, tmp_path, url=url)
    assert ":p@" not in caught.value.detail
    assert names(tmp_path) == []


def test_a_digest_accepted_by_hand(server: ModelServer, tmp_path: Path) -> None:
    other = b"\x08 other weights"
    server.content = packed(("det.onnx", other))
    path = pull(server, tmp_path, accept_digest=hashlib.sha256(other).hexdigest().upper())
    assert path is not None
    assert path.read_bytes() == other


def test_a_failed_pull_leaves_the_old_file(server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "tried.onnx").write_bytes(b"old")
    server.content = packed(("det.onnx", b"\x08 other"))
    with pytest.raises(ModelError):
        pull(server, tmp_path, force=True)
    assert names(tmp_path) == ["tried.onnx"]
    assert (tmp_path / "tried.onnx").read_bytes() == b"old"


def test_two_pulls_at_once(server: ModelServer, tmp_path: Path) -> None:
    def second(received: int, _: int | None) -> None:
        if received == 0:
            with pytest.raises(ModelError, match="another process is pulling"):
                pull(server, tmp_path)

    assert pull(server, tmp_path, progress=second) == tmp_path / "tried.onnx"
    assert names(tmp_path) == ["tried.onnx"]


def test_a_folder_that_cannot_be_made(server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be made"):
        pull(server, tmp_path / "file" / "models")


def test_damaged_notes_of_a_part(server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "tried.part").write_bytes(b"x" * 100)
    for notes in (b"\xff", b"{}", msgspec.json.encode({"url": 1, "validator": 2})):
        (tmp_path / "tried.part.json").write_bytes(notes)
        assert pull(server, tmp_path, force=True) == tmp_path / "tried.onnx"
    assert server.requests == [None, None, None]
