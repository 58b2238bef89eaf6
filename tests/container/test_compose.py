"""compose.yaml: the settings are known, the passwords asked for, the names agree."""

import re
from typing import Any
from urllib.parse import urlsplit

import yaml

import service
from service.settings import load_settings
from tests.container import steps
from tests.server import ROOT

SECRETS = {"POSTGRES_PASSWORD": "pg1", "VALKEY_PASSWORD": "vk2", "S3_SECRET_KEY": "s33"}


def text() -> str:
    return (ROOT / "compose.yaml").read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    """The file with its variables filled in."""
    filled = re.sub(r"\$\{(\w+):\?\}", lambda found: SECRETS[found[1]], text())
    document: dict[str, Any] = yaml.safe_load(filled)
    return document


def test_services_and_volumes() -> None:
    document = compose()
    assert set(document) == {"services", "volumes"}
    assert set(document["services"]) == {"face-api", "postgres", "valkey", "s3"}
    mounted = [
        volume.split(":")[0] for about in document["services"].values() for volume in about.get("volumes", [])
    ]
    assert sorted(mounted) == sorted(document["volumes"])


def test_every_variable_is_a_secret_that_has_to_be_set() -> None:
    assert set(re.findall(r"\$\{?\w*[^}]*\}?", text())) == {f"${{{name}:?}}" for name in SECRETS}
    comments = "\n".join(line for line in text().splitlines() if line.startswith("#"))
    assert all(f"{name}=" in comments for name in SECRETS)


def test_settings_are_known_and_fit_the_other_services() -> None:
    document = compose()
    services = document["services"]
    report = load_settings(services["face-api"]["environment"])
    assert report.warnings == ()
    settings = report.settings

    assert settings.database_url is not None
    database = urlsplit(settings.database_url)
    about = services["postgres"]["environment"]
    assert database.scheme == "postgresql"
    assert (database.hostname, database.port, database.path) == ("postgres", 5432, f"/{about['POSTGRES_DB']}")
    assert (database.username, database.password) == (about["POSTGRES_USER"], about["POSTGRES_PASSWORD"])

    assert settings.redis_url is not None
    valkey = urlsplit(settings.redis_url)
    assert (valkey.hostname, valkey.port) == ("valkey", 6379)
    assert services["valkey"]["command"][-2:] == ["--requirepass", valkey.password]
    assert services["valkey"]["environment"]["REDISCLI_AUTH"] == valkey.password

    about = services["s3"]["environment"]
    assert settings.s3_endpoint == "http://s3:7070"
    assert (settings.s3_access_key, settings.s3_secret_key) == (
        about["ROOT_ACCESS_KEY"],
        about["ROOT_SECRET_KEY"],
    )


def test_the_service_is_ours_hardened_and_reached_from_this_machine_only() -> None:
    about = compose()["services"]["face-api"]
    _, final = steps.stages()
    assert about["image"] == f"face-api:{service.__version__}"
    assert (ROOT / about["build"]["dockerfile"]).is_file()
    assert about["read_only"] is True
    assert about["cap_drop"] == ["ALL"]
    assert about["ports"] == [f"127.0.0.1:8000:{steps.words(final, 'EXPOSE')[0]}"]
    assert [volume.split(":")[1] for volume in about["volumes"]] == steps.words(final, "VOLUME")
    assert "user" not in about


def test_images_are_named_in_full_and_by_version() -> None:
    images = [about["image"] for name, about in compose()["services"].items() if name != "face-api"]
    assert [image for image in images if not re.fullmatch(r"docker\.io/[\w/-]+:v?\d[\w.-]*", image)] == []


def test_who_is_waited_for_has_a_health_check() -> None:
    services = compose()["services"]
    for name, about in services["face-api"]["depends_on"].items():
        assert about == {"condition": "service_healthy"}
        assert services[name]["healthcheck"]["test"][0] == "CMD"
