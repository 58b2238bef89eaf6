"""``face-api config``: what is in effect, what is secret, what would stop the start."""

import json
import socket
from pathlib import Path

import pytest

from service.settings import Settings, variable_name
from service.settings_table import masked
from tests.command import face_api
from tests.server import Server, free_port


def rows(result_stdout: str) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(result_stdout)["settings"]}


def test_every_setting_with_its_source(tmp_path: Path) -> None:
    result = face_api(tmp_path, "config", "--json", settings={"PORT": "9000", "HOST": "", "DET_SIZ": "1"})
    assert (result.returncode, result.stderr) == (0, "")
    found = rows(result.stdout)
    assert list(found) == [variable_name(name) for name in Settings.__struct_fields__]
    port = found["FACE_API_PORT"]
    assert (port["value"], port["source"], port["default"]) == (9000, "environment", 8000)
    assert port["allowed"] == "an integer from 1 to 65535"
    assert found["FACE_API_HOST"]["source"] == "default"
    assert all(row["meaning"] for row in found.values())
    assert json.loads(result.stdout)["warnings"] == [
        "FACE_API_DET_SIZ is not a known setting; did you mean FACE_API_DET_SIZE?"
    ]


def test_the_table(tmp_path: Path) -> None:
    result = face_api(tmp_path, "config", settings={"PORT": "9000", "PROT": "1"})
    assert result.returncode == 0
    line = next(line for line in result.stdout.splitlines() if "FACE_API_PORT" in line)
    assert line.split()[:4] == ["FACE_API_PORT", "9000", "environment", "8000"]
    assert result.stderr == "warning: FACE_API_PROT is not a known setting; did you mean FACE_API_PORT?\n"


def test_no_form_of_the_output_has_a_secret(tmp_path: Path) -> None:
    secrets = {
        "ADMIN_PASSWORD": "s3cr3t-a",
        "S3_ACCESS_KEY": "s3cr3t-b",
        "S3_SECRET_KEY": "s3cr3t-c",
        "METRICS_TOKEN": "s3cr3t-d",
        "DATABASE_URL": "postgresql://me:s3cr3t-e@db/faces",
        "REDIS_URL": "redis://:s3cr3t-f@valkey:6379/0",
    }
    for arguments in (["config"], ["config", "--json"], ["config", "--check"]):
        result = face_api(tmp_path, *arguments, settings={**secrets, "PORT": str(free_port())})
        assert "s3cr3t" not in result.stdout + result.stderr
    found = rows(face_api(tmp_path, "config", "--json", settings=secrets).stdout)
    assert found["FACE_API_ADMIN_PASSWORD"]["value"] == "***"
    assert found["FACE_API_DATABASE_URL"]["value"] == "postgresql://me:***@db/faces"
    assert found["FACE_API_REDIS_URL"]["value"] == "redis://:***@valkey:6379/0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://me:a/b@c@db:5432/faces", "postgresql://me:***@db:5432/faces"),
        ("postgresql+asyncpg://me:p?q#r@db/faces", "postgresql+asyncpg://me:***@db/faces"),
        ("postgresql://db:5432/faces", "postgresql://db:5432/faces"),
        ("postgresql://db/faces?user=me&password=x&a=b", "postgresql://db/faces?user=me&password=***&a=b"),
        ("postgresql://db/faces?sslpassword=x", "postgresql://db/faces?sslpassword=***"),
        ("no url", "***"),
        ("", ""),
        (None, None),
    ],
)
def test_masking(value: str | None, shown: str | None) -> None:
    assert masked(value, secret=True) == shown


def test_other_texts_are_shown() -> None:
    assert masked("10/minute", secret=False) == "10/minute"
    assert masked(5, secret=False) == 5


def test_every_wrong_setting_is_named(tmp_path: Path) -> None:
    wrong = {"PORT": "0", "DET_SIZE": "33", "RATE_LIMIT_MASK": "often", "MODEL_URL_BASE": "ftp://x"}
    for arguments in (["config"], ["config", "--check"]):
        result = face_api(tmp_path, *arguments, settings=wrong)
        assert result.returncode == 1
        for name in wrong:
            assert f"FACE_API_{name}=" in result.stdout + result.stderr


def test_check_says_what_is_fine_and_changes_nothing(tmp_path: Path) -> None:
    result = face_api(tmp_path, "config", "--check", settings={"PORT": str(free_port()), "MODL": "x"})
    assert result.returncode == 0, result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["warn", "ok", "ok", "ok", "ok"]
    assert list(tmp_path.iterdir()) == []


def test_check_finds_each_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {"MODEL": "scrfd_10g", "DATA_DIR": "file/data", "PORT": str(taken.getsockname()[1])}
        result = face_api(tmp_path, "config", "--check", settings=settings)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "FAIL", "FAIL", "FAIL"]
    assert "face-api models pull scrfd_10g" in lines[1]
    assert "FACE_API_DATA_DIR" in lines[2]
    assert "Address already in use" in lines[3]


def test_check_of_a_model_that_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.onnx").write_bytes(b"\x08 not really")
    result = face_api(tmp_path, "config", "--check", settings={"MODEL": "mine", "PORT": str(free_port())})
    assert result.returncode == 1
    assert "warn  model" in result.stdout
    assert "not a usable ONNX model" in result.stdout


def test_check_beside_a_running_service(tmp_path: Path, server: Server) -> None:
    result = face_api(tmp_path, "config", "--check", settings={"PORT": str(server.port)})
    assert result.returncode == 0, result.stdout
    assert "is held by a running Face API" in result.stdout
