"""Settings: every variable of the reference, its default and its range."""

from typing import Any

import pytest

from service.errors import SettingsError
from service.settings import Settings, load_settings, variable_name

# Defaults of the API reference; a clone that runs by itself differs in three of them.
DEFAULTS: dict[str, Any] = {
    "MODEL": "scrfd_free",
    "MODEL_DIR": "models",
    "DET_SIZE": 640,
    "CONFIDENCE": 0.5,
    "NMS_THRESHOLD": 0.4,
    "BLUR_METHOD": "gaussian",
    "BLUR_STRENGTH": 199,
    "PADDING": 0.15,
    "MAX_IMAGE_BYTES": 20971520,
    "MAX_IMAGE_PIXELS": 30000000,
    "ORT_THREADS": 0,
    "MAX_CONCURRENT_INFERENCE": 2,
    "MAX_CONCURRENT_REQUESTS": 10,
    "API_KEY_ENABLED": True,
    "ADMIN_USER": None,
    "ADMIN_PASSWORD": None,
    "STORAGE_ENABLED": False,
    "DATABASE_URL": None,
    "S3_ENDPOINT": "",
    "S3_ACCESS_KEY": None,
    "S3_SECRET_KEY": None,
    "S3_BUCKET": "face-api",
    "S3_REGION": "us-east-1",
    "S3_PUBLIC_ENDPOINT": None,
    "CORS_ORIGINS": "",
    "RATE_LIMIT_DETECT": "300/minute",
    "RATE_LIMIT_MASK": "150/minute",
    "RATE_LIMIT_LOGIN": "10/minute",
    "SESSION_TTL": 43200,
    "WORKERS": 1,
    "DATA_DIR": "data",
    "LOG_FORMAT": "auto",
    "EXECUTION_PROVIDER": "auto",
    "RETENTION_DAYS": 0,
    "METRICS_TOKEN": None,
    "TRUSTED_PROXIES": "",
    "REDIS_URL": None,
}
WRONG = (
    *(("PORT", value, "1 to 65535") for value in ("0", "65536", "-1", "80.5", "http", "8e3", "٨٠")),
    *(("DET_SIZE", value, "multiple of 32") for value in ("0", "100", "633", "5000", "640x640")),
    *(("CONFIDENCE", value, "0.01 to 1") for value in ("0", "1.01", "nan", "inf", "1e-1", "0,5", "half")),
    *(("NMS_THRESHOLD", value, "0.01 to 1") for value in ("0", "2", "-0.4")),
    *(("PADDING", value, "0 to 2") for value in ("-0.1", "2.1", "15%")),
    *(("BLUR_STRENGTH", value, "1 to 999") for value in ("0", "1000", "1.5")),
    *(("BLUR_METHOD", value, "gaussian") for value in ("Gaussian", "blur", "none")),
    *(("MAX_IMAGE_BYTES", value, "an integer") for value in ("0", "-1", "20MB", "99999999999")),
    *(("MAX_IMAGE_PIXELS", value, "an integer") for value in ("0", "30M")),
    *(("ORT_THREADS", value, "an integer") for value in ("-1", "many")),
    *(("MAX_CONCURRENT_INFERENCE", value, "1 to") for value in ("0", "-2", "two")),
    *(("MAX_CONCURRENT_REQUESTS", value, "1 to") for value in ("0", "10.0")),
    *(("WORKERS", value, "1 to") for value in ("0", "auto")),
    *(("API_KEY_ENABLED", value, "true or false") for value in ("2", "maybe", "enabled", "None")),
    *(("STORAGE_ENABLED", value, "true or false") for value in ("-1", "t")),
    *(
        ("CORS_ORIGINS", value, "https://example.org")
        for value in ("example.org", "https://a.b,c", "ftp://a.b")
    ),
    *(("RATE_LIMIT_DETECT", value, "300/minute") for value in ("300", "fast", "300/fortnight", "/minute")),
    *(("RATE_LIMIT_MASK", value, "300/minute") for value in ("-1/minute", "x")),
    *(("LOG_FORMAT", value, "auto, ") for value in ("xml", "JSON")),
    *(("EXECUTION_PROVIDER", value, "cpu") for value in ("gpu", "CPU")),
    *(("SESSION_TTL", value, "an integer") for value in ("0", "12h")),
    *(("RETENTION_DAYS", value, "an integer") for value in ("-1", "forever")),
)


def load(**variables: str) -> Settings:
    return load_settings({f"FACE_API_{name}": value for name, value in variables.items()}).settings


@pytest.mark.parametrize(("name", "default"), list(DEFAULTS.items()))
def test_the_default(name: str, default: object) -> None:
    assert getattr(load(), name.lower()) == default


def test_nothing_else_is_looked_at() -> None:
    report = load_settings({"PORT": "9", "face_api_port": "9", "FACEAPI_PORT": "9", "MY_FACE_API_PORT": "9"})
    assert report.settings == Settings()
    assert (report.given, report.warnings) == (frozenset(), ())


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_wrong_value_names_variable_value_and_range(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: value})
    message = caught.value.detail
    assert f"FACE_API_{name}=" in message
    assert value in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "1", 1),
        ("PORT", "65535", 65535),
        ("PORT", " 80 ", 80),
        ("CONFIDENCE", "0.01", 0.01),
        ("CONFIDENCE", "1", 1.0),
        ("CONFIDENCE", ".5", 0.5),
        ("PADDING", "0", 0.0),
        ("DET_SIZE", "320", 320),
        ("BLUR_METHOD", "elliptical", "elliptical"),
        *(("STORAGE_ENABLED", value, True) for value in ("true", "True", "TRUE", "1", "yes", "on")),
        *(("API_KEY_ENABLED", value, False) for value in ("false", "False", "0", "no", "off")),
        ("RATE_LIMIT_DETECT", "10/second", "10/second"),
        ("RATE_LIMIT_MASK", "5 per hour", "5 per hour"),
        ("ADMIN_PASSWORD", "päss wörd", "päss wörd"),
    ],
)
def test_a_right_value(name: str, value: str, expected: object) -> None:
    assert getattr(load(**{name: value}), name.lower()) == expected


@pytest.mark.parametrize("name", [*DEFAULTS, "HOST", "PORT"])
@pytest.mark.parametrize("value", ["", "  "])
def test_empty_is_not_set(name: str, value: str) -> None:
    report = load_settings({f"FACE_API_{name}": value})
    assert report.settings == Settings()
    assert not report.given


def test_what_was_given_is_known() -> None:
    report = load_settings({"FACE_API_DET_SIZE": "640", "FACE_API_PORT": "80"})
    assert report.given == {"det_size", "port"}


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("CONFIDENSE", "FACE_API_CONFIDENCE"),
        ("MAX_IMAGE_BYTE", "FACE_API_MAX_IMAGE_BYTES"),
        ("API_KEYS_ENABLED", "FACE_API_API_KEY_ENABLED"),
        ("CORS_ORIGIN", "FACE_API_CORS_ORIGINS"),
    ],
)
def test_an_unknown_name_is_a_warning_with_the_nearest(name: str, guess: str) -> None:
    report = load_settings({f"FACE_API_{name}": "whatever"})
    assert report.settings == Settings()
    (warning,) = report.warnings
    assert f"FACE_API_{name}" in warning
    assert f"{guess}?" in warning


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"FACE_API_ADMIN_PASSWORD": "PRIVATE", "FACE_API_PORT": "x"})
    assert "PRIVATE" not in str(caught.value)
    report = load_settings({"FACE_API_ADMIN_PASSWORT": "PRIVATE"})
    assert "PRIVATE" not in "".join(report.warnings)


def test_control_characters_do_not_break_the_line() -> None:
    with pytest.raises(SettingsError) as caught:
        load(PORT="80\n\x1b[31mred")
    assert caught.value.detail.isprintable()


def test_origins_as_a_list() -> None:
    assert load(CORS_ORIGINS=" https://a.example/ ,http://b.example:3000,").allowed_origins == [
        "https://a.example",
        "http://b.example:3000",
    ]
    assert load(CORS_ORIGINS="*").allowed_origins == ["*"]
    assert load().allowed_origins == []


def test_every_field_has_a_line_of_meaning() -> None:
    for field, annotation in Settings.__annotations__.items():
        assert any(getattr(meta, "description", None) for meta in annotation.__metadata__), field
        assert variable_name(field) == f"FACE_API_{field.upper()}"
