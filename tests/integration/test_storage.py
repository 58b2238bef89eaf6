"""Stored pictures and jobs through real servers: both engines, both object stores, two processes."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import StartServer
from tests.databases import ENGINES
from tests.s3 import S3Server, s3_environment
from tests.server import Server, eventually
from tests.storage import ADMIN, STORAGE, Client, checked, s3_server, small_picture, storage_settings

__all__ = ["s3_server"]

NO_ID = "8f14e45f-ceea-467f-ab4f-e8e1e2a1f1a1"
IMAGE_FIELDS = {
    "id",
    "filename",
    "content_type",
    "size_bytes",
    "width",
    "height",
    "original_url",
    "processed_url",
    "job_count",
    "created_at",
}


class Service(NamedTuple):
    """A running service."""

    server: Server
    client: Client
    settings: dict[str, str]
    folder: Path


@pytest.fixture(scope="module", params=list(product(ENGINES, ("folder", "s3"))), ids="-".join)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two processes that store."""
    engine, store = request.param
    folder = tmp_path_factory.mktemp("data")
    settings = storage_settings(request, folder, engine, store)
    with Server(tmp_path_factory.mktemp("service"), {**settings, "WORKERS": "2"}) as server:
        yield Service(server, Client(server), settings, folder)


def masked_id(answer: httpx.Response) -> tuple[str, str]:
    """The ids of an answer of mask."""
    assert answer.status_code == 200, answer.text
    return answer.headers["x-image-id"], answer.headers["x-job-id"]


def test_ids_lead_to_what_was_sent_and_answered(service: Service, face_jpeg: bytes) -> None:
    client = service.client
    found = client.http.post("/api/v1/detect", files={"image": ("../über/ph\u202eoto.jpg", face_jpeg)})
    body = found.json()
    assert found.headers["x-image-id"] == body["image_id"]
    assert found.headers["x-job-id"] == body["job_id"]
    assert 0 < body["profiling"]["storage_ms"] <= body["profiling"]["total_ms"]
    assert body["profiling"]["total_ms"] == body["processing"]["total_ms"]
    masked = client.mask(face_jpeg, method="pixelate", format="webp", strength=20)
    image_id, job_id = masked_id(masked)
    assert "storage;dur=" in masked.headers["server-timing"]
    assert image_id == body["image_id"]

    image = client.get(f"images/{image_id}").json()
    assert set(image) == IMAGE_FIELDS | {"jobs"}
    assert image["filename"] == "photo.jpg"
    assert (image["width"], image["height"]) == (640, 512)
    assert (image["content_type"], image["size_bytes"]) == ("image/jpeg", len(face_jpeg))
    assert [job["id"] for job in image["jobs"]] == [job_id, body["job_id"]]
    assert image["job_count"] == 2
    assert image["processed_url"] == f"/api/v1/admin/jobs/{job_id}/download"
    listed = client.get("images").json()["items"]
    assert {key: value for key, value in image.items() if key != "jobs"} in listed

    original = client.download(f"images/{image_id}/download")
    assert original.content == face_jpeg
    assert original.headers["content-type"] == "image/jpeg"
    assert 'filename="photo.jpg"' in original.headers["content-disposition"]
    result = client.download(f"jobs/{job_id}/download")
    assert result.content == masked.content
    assert result.headers["content-type"] == "image/webp"

    job = client.get(f"jobs/{body['job_id']}").json()
    for part in ("detections", "summary"):
        assert job[part] == body[part]
    assert job["processing"]["model"] == body["processing"]["model"]
    assert job["face_count"] == body["summary"]["face_count"]
    assert job["method"] is None
    job = client.get(f"jobs/{job_id}").json()
    assert (job["method"], job["strength"], job["output_format"]) == ("pixelate", 20, "webp")
    assert job["output_bytes"] == len(masked.content)
    assert job["profiling"]["storage_ms"] > 0
    listed = client.get("jobs").json()["items"][0]
    assert {key: job[key] for key in listed} == listed


def test_the_same_bytes_at_once_are_stored_once(service: Service) -> None:
    picture = small_picture(1)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Client(service.server).detect(picture), range(16)))
    ids = {answer.json()["image_id"] for answer in answers}
    assert len(ids) == 1
    assert len({answer.json()["job_id"] for answer in answers}) == 16
    image = service.client.get(f"images/{ids.pop()}").json()
    assert image["job_count"] == 16
    # Those that came too late are deleted at once.
    assert eventually(lambda: checked(service.folder, service.settings)["unfinished"] == 0, 10)
    report = checked(service.folder, service.settings)
    assert report["clean"]
    assert report["status"] == 0
    assert report["tasks"] == 0


def test_pages_and_filters(service: Service) -> None:
    client = service.client
    for seed in range(10, 13):
        assert client.mask(small_picture(seed), method="solid").status_code == 200
    until = client.get("images").json()["items"][0]["created_at"]
    assert until.endswith("+00:00")
    first = client.get("jobs", per_page=2, method="solid").json()
    assert (first["total"], first["page"], first["per_page"], first["pages"]) == (3, 1, 2, 2)
    assert client.mask(small_picture(20), method="gaussian").status_code == 200
    second = client.get("jobs", per_page=2, page=2, method="solid").json()
    assert len({job["id"] for job in first["items"] + second["items"]}) == 3
    assert [job["method"] for job in second["items"]] == ["solid"]
    beyond = client.get("jobs", page=100_000).json()
    assert beyond["items"] == []
    assert beyond["pages"] >= 1
    assert all(job["job_type"] == "detect" for job in client.get("jobs", job_type="detect").json()["items"])
    assert all(job["face_count"] >= 1 for job in client.get("jobs", min_faces=1).json()["items"])
    everything = client.get("jobs").json()["total"]
    assert client.get("jobs", since="2020-01-01").json()["total"] == everything
    for name in ("images", "jobs"):
        empty = client.get(name, until="2020-01-01T00:00:00Z").json()
        assert (empty["items"], empty["total"], empty["pages"]) == ([], 0, 1)
    assert client.get("jobs", key_id=NO_ID).json()["total"] == 0
    stats = client.get("stats").json()
    assert stats["total_jobs"] == everything
    assert stats["jobs_by_type"]["mask"] == client.get("jobs", job_type="mask").json()["total"]
    assert stats["jobs_by_method"]["solid"] == 3
    assert stats["total_images"] == client.get("images").json()["total"]
    assert stats["storage_used_bytes"] > 0
    assert stats["avg_inference_ms"] > 0


@pytest.mark.parametrize(
    "query",
    [
        "job_type=other",
        "method=blur",
        "method=Solid",
        "min_faces=-1",
        "min_faces=",
        "page=0",
        "per_page=101",
        "since=yesterday",
        "until=2026-04-06T10:00:00",
        f"key_id={'x' * 36}",
        "colour=red",
    ],
)
def test_wrong_filters_are_refused(service: Service, query: str) -> None:
    answer = service.client.http.get(f"/api/v1/admin/jobs?{query}", auth=ADMIN)
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize("image_id", [NO_ID, "nothing", NO_ID.replace("-", ""), "1", "%00"])
def test_what_is_not_there_is_not_found(service: Service, image_id: str) -> None:
    http = service.client.http
    for kind in ("images", "jobs"):
        for path in (f"{kind}/{image_id}", f"{kind}/{image_id}/download"):
            assert http.get(f"/api/v1/admin/{path}", auth=ADMIN).status_code == 404, path
    assert http.delete(f"/api/v1/admin/images/{image_id}", auth=ADMIN).status_code == 404


def test_everything_of_it_asks_for_the_admin(service: Service) -> None:
    for path in ("stats", "images", f"images/{NO_ID}", "jobs", f"jobs/{NO_ID}/download", "cleanup"):
        assert service.client.http.get(f"/api/v1/admin/{path}").status_code == 401, path
    assert service.client.http.delete(f"/api/v1/admin/images/{NO_ID}").status_code == 401
    assert service.client.http.post("/api/v1/admin/test/mask", content=b"x").status_code == 401


def test_detect_has_no_masked_picture(service: Service) -> None:
    job_id = service.client.detect(small_picture(30)).json()["job_id"]
    answer = service.client.get(f"jobs/{job_id}/download")
    assert answer.status_code == 404
    assert service.client.get(f"jobs/{job_id}").json()["processed_url"] is None


def test_deleting_takes_everything(service: Service) -> None:
    client = service.client
    picture = small_picture(40)
    image_id, job_id = masked_id(client.mask(picture))
    links = [
        client.get(path).headers["location"]
        for path in (f"images/{image_id}/download", f"jobs/{job_id}/download")
    ]
    # Two processes, and one of them is asked first.
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: Client(service.server).delete(image_id).status_code, range(8)))
    assert sorted(statuses) == [204] + [404] * 7
    for path in (f"images/{image_id}", f"jobs/{job_id}", f"jobs/{job_id}/download"):
        assert client.get(path).status_code == 404
    # S3 tells nobody whether an object is not there or forbidden.
    assert {client.http.get(link).status_code for link in links} <= {403, 404}
    again, _ = masked_id(client.mask(picture))
    assert again != image_id
    assert client.download(f"images/{again}/download").content == picture
    assert client.get("cleanup").json()["total"] == 0


def test_deleting_while_the_same_picture_comes(service: Service) -> None:
    picture = small_picture(50)
    ids: set[str] = set()
    stop = threading.Event()

    def send() -> None:
        client = Client(service.server)
        for _ in range(12):
            ids.add(masked_id(client.mask(picture))[0])

    def remove() -> None:
        client = Client(service.server)
        while not stop.is_set():
            for image_id in list(ids):
                assert client.delete(image_id).status_code in (204, 404)

    with ThreadPoolExecutor(4) as pool:
        removing = pool.submit(remove)
        sending = [pool.submit(send) for _ in range(3)]
        for future in sending:
            future.result()
        stop.set()
        removing.result()
    for image in service.client.get("images", per_page=100).json()["items"]:
        if image["id"] in ids:
            assert service.client.download(f"images/{image['id']}/download").content == picture
            for job in service.client.get(f"images/{image['id']}").json()["jobs"]:
                assert service.client.download(f"jobs/{job['id']}/download").status_code == 200

    def settled() -> bool:
        report = checked(service.folder, service.settings)
        return bool(report["clean"]) and report["tasks"] == report["unfinished"] == 0

    assert eventually(settled, 40)


def test_a_refused_picture_leaves_nothing(service: Service) -> None:
    before = checked(service.folder, service.settings)
    truncated = small_picture(60)[:-200]
    assert service.client.detect(truncated).status_code == 400
    assert service.client.mask(b"no picture").status_code == 400
    assert service.client.mask(small_picture(61), strength=0).status_code == 400

    def same() -> bool:
        after = checked(service.folder, service.settings)
        return bool(after == before)

    assert eventually(same, 10)


def test_the_trial_records_nothing(service: Service, face_jpeg: bytes) -> None:
    before = service.client.get("stats").json()
    answer = service.client.http.post(
        "/api/v1/admin/test/mask", files={"image": face_jpeg}, params={"method": "solid"}, auth=ADMIN
    )
    assert answer.json()["image_id"] is None
    assert "x-image-id" not in answer.headers
    assert service.client.get("stats").json() == before


def test_check_finds_and_mends(service: Service) -> None:
    if "S3_ENDPOINT" in service.settings:
        pytest.skip("files are damaged in a folder only")
    objects = Path(service.settings["DATA_DIR"]) / "objects"
    client = service.client
    _, job_id = masked_id(client.mask(small_picture(70)))
    digest = hashlib.sha256(small_picture(70)).hexdigest()
    original = next(objects.glob(f"originals/*/{digest}*"))
    result = next(objects.glob(f"processed/*/{job_id}*"))
    orphan = result.with_name(f"{NO_ID}.jpg")
    orphan.write_bytes(b"orphan")
    content = original.read_bytes()
    original.unlink()
    result.unlink()
    report = checked(service.folder, service.settings)
    assert report["status"] == 1
    assert [Path(key).name for key in report["orphans"]] == [orphan.name]
    assert [Path(key).name for key in report["missing_originals"]] == [original.name]
    assert [Path(key).name for key in report["missing_results"]] == [result.name]
    mended = checked(service.folder, service.settings, "--repair")
    assert mended["repaired"]
    assert mended["status"] == 0
    assert not orphan.exists()
    assert client.get(f"jobs/{job_id}/download").status_code == 404
    assert client.get(f"jobs/{job_id}").json()["processed_url"] is None
    assert checked(service.folder, service.settings)["clean"]
    # Sent again, the original is there again.
    sent = client.detect(content).json()["image_id"]
    assert client.download(f"images/{sent}/download").content == content


def test_the_key_of_a_job(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(**STORAGE, API_KEY_ENABLED="true", DATA_DIR=str(tmp_path))
    http = Client(server).http
    key = http.post("/api/v1/admin/api-keys", json={"name": "A"}, auth=ADMIN).json()
    answer = http.post("/api/v1/detect", files={"image": small_picture(1)}, headers={"X-API-Key": key["key"]})
    jobs: list[dict[str, Any]] = http.get(
        "/api/v1/admin/jobs", params={"key_id": key["id"]}, auth=ADMIN
    ).json()["items"]
    assert [(job["id"], job["key_id"]) for job in jobs] == [(answer.json()["job_id"], key["id"])]


def test_results_alone(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**STORAGE, "STORE_ORIGINALS": "false", "DATA_DIR": str(tmp_path)}
    client = Client(start_server(**settings))
    picture = small_picture(1)
    image_id, job_id = masked_id(client.mask(picture))
    image = client.get(f"images/{image_id}").json()
    assert image["original_url"] is None
    assert client.get(f"images/{image_id}/download").status_code == 404
    assert client.download(f"jobs/{job_id}/download").status_code == 200
    assert not list(tmp_path.glob("objects/originals/*/*"))
    assert masked_id(client.mask(picture))[0] == image_id
    assert checked(tmp_path, settings)["clean"]


def test_without_storage(start_server: StartServer, face_jpeg: bytes) -> None:
    server = start_server(**{**STORAGE, "STORAGE_ENABLED": "false"})
    client = Client(server)
    for path in ("stats", "images", f"images/{NO_ID}", "jobs", f"jobs/{NO_ID}", "cleanup"):
        answer = client.get(path)
        assert answer.status_code == 501, path
        assert "FACE_API_STORAGE_ENABLED" in answer.json()["detail"]
    assert client.delete(NO_ID).status_code == 501
    body = client.detect(face_jpeg).json()
    assert body["image_id"] is body["job_id"] is body["profiling"]["storage_ms"] is None
    tried = client.http.post(
        "/api/v1/admin/test/mask", files={"image": face_jpeg}, data={"method": "solid"}, auth=ADMIN
    ).json()
    assert set(tried) == set(body) | {"masking", "output"}
    assert tried["masking"] == {
        "method": "solid",
        "strength": 199,
        "padding": 0.15,
        "regions_masked": tried["summary"]["face_count"],
    }
    assert set(tried["output"]) == {"format", "quality", "size_bytes", "image_base64"}
    assert client.http.get("/health").json()["storage_enabled"] is False


def test_a_public_endpoint(start_server: StartServer, s3_server: S3Server, tmp_path: Path) -> None:
    public = f"http://localhost:{s3_server.port}"
    settings = s3_environment(s3_server.endpoint, "public-pictures", S3_PUBLIC_ENDPOINT=f"{public}/")
    client = Client(start_server(**STORAGE, **settings, DATA_DIR=str(tmp_path)))
    answer = client.mask(small_picture(1))
    image = client.get(f"images/{masked_id(answer)[0]}").json()
    assert image["original_url"].startswith("/api/v1/admin/images/")
    assert image["processed_url"].startswith(f"{public}/public-pictures/processed/")
    assert client.get(f"images/{image['id']}/download").headers["location"].startswith(f"{public}/")
    assert client.download(f"jobs/{masked_id(answer)[1]}/download").content == answer.content


def test_old_pictures_are_deleted(start_server: StartServer, tmp_path: Path) -> None:
    from service.storage.engine import Database
    from tests.databases import with_database

    settings = {**STORAGE, "DATA_DIR": str(tmp_path)}
    first = start_server(**settings)
    client = Client(first)
    old, _ = masked_id(client.mask(small_picture(1)))
    kept, old_job = masked_id(client.mask(small_picture(2)))
    _, young_job = masked_id(client.mask(small_picture(2)))
    first.stop()

    async def age(database: Database) -> None:
        for table in ("stored_image", "job"):
            await database.fetch(
                f"UPDATE {table} SET created_at = '2020-01-01 00:00:00+00:00' WHERE id <> {{}}",  # noqa: S608  # our own names
                young_job,
            )

    with_database({"DATA_DIR": str(tmp_path)}, age)
    client = Client(start_server(**settings, RETENTION_DAYS="30"))
    assert eventually(lambda: client.get(f"images/{old}").status_code == 404, 10)
    assert eventually(lambda: client.get(f"jobs/{old_job}").status_code == 404, 10)
    assert client.get(f"images/{kept}").json()["job_count"] == 1
    assert client.download(f"jobs/{young_job}/download").status_code == 200
    assert eventually(lambda: len(list(tmp_path.glob("objects/*/*/*.*"))) == 2, 10)
    assert checked(tmp_path, settings)["clean"]


def test_storage_without_a_database_is_refused(tmp_path: Path) -> None:
    from tests.server import run_to_end

    done = run_to_end(tmp_path, {**STORAGE, "DATABASE_URL": "none"})
    assert done.returncode == 1
    assert "FACE_API_DATABASE_URL=none" in done.stderr
