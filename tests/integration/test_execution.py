"""What runs the model: chosen by a trial that is kept, told by /health; one line when it is not here."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from service.detection.detector import DetectionOptions
from service.detection.loading import cache_folder, load_detector
from service.detection.providers import usable_providers
from service.detection.trial_pictures import trial_pictures
from service.settings import load_settings
from tests.command import face_api
from tests.conftest import StartServer
from tests.faces import face_scene
from tests.onnx_models import scanner
from tests.pictures import encoded
from tests.server import Server, eventually, run_to_end

PLUGIN = "openvino" in usable_providers()


def test_the_service_says_what_runs_and_why(start_server: StartServer, face_png: bytes) -> None:
    server = start_server(EXECUTION_PROVIDER="auto")
    execution = json.loads(server.request("GET", "/health")[2])["execution"]
    assert execution["provider"] in usable_providers()
    assert execution["precision"] in {"f32", "bf16"}
    assert execution["reason"]
    assert bool(execution["trials"]) == PLUGIN
    for trial in execution["trials"][:1]:
        assert (trial["provider"], trial["precision"], trial["agrees"]) == ("cpu", "f32", None)
        assert trial["ms"] > 0
    status, _, body = server.request("POST", "/api/v1/detect", face_png, {"Content-Type": "image/png"})
    assert (status, json.loads(body)["summary"]["face_count"]) == (200, 3)


def test_several_workers_try_once_and_a_second_start_not_at_all(tmp_path: Path) -> None:
    kept: list[tuple[tuple[str, int], ...]] = []
    for _ in range(2):
        with Server(tmp_path, {"EXECUTION_PROVIDER": "auto", "WORKERS": "2"}) as server:
            assert server.request("GET", "/health")[0] == 200
            # The other worker may still be starting.
            assert eventually(lambda: sum("loaded" in line["message"] for line in server.log()) == 2, 20)
        files = (tmp_path / "data" / "cache").glob("*.json")
        kept.append(tuple((path.name, path.stat().st_mtime_ns) for path in files))
    assert len(kept[0]) == PLUGIN
    assert kept[0] == kept[1]


@pytest.mark.skipif(not PLUGIN, reason="no plugin for this processor: nothing to try")
def test_a_trial_is_kept_in_the_data_folder(tmp_path: Path) -> None:
    environment = {"FACE_API_DATA_DIR": str(tmp_path), "FACE_API_DET_SIZE": "320"}
    report = load_settings(environment)
    assert cache_folder(report.settings) == tmp_path / "cache"
    first = load_detector(report, remember=False).execution
    assert first.trials
    assert list(tmp_path.iterdir()) == []
    kept = load_detector(report).execution
    (path,) = (tmp_path / "cache").glob("*.json")
    # Bit for bit the same times: nothing was tried again.
    assert load_detector(report).execution == kept
    path.write_text("damaged")
    assert load_detector(report).execution.backend in {trial.backend for trial in kept.trials}
    assert path.read_text() != "damaged"


@pytest.mark.skipif(not PLUGIN, reason="no plugin for this processor")
def test_openvino_in_float32_finds_the_same_faces() -> None:
    options = DetectionOptions(confidence=0.5, nms_threshold=0.4)
    names = ("cpu", "openvino")
    detectors = [
        load_detector(
            load_settings({"FACE_API_EXECUTION_PROVIDER": name, "FACE_API_PRECISION": "f32"}), remember=False
        )
        for name in names
    ]
    assert [str(detector.execution.backend) for detector in detectors] == ["cpu f32", "openvino f32"]
    pictures = [*trial_pictures(640, 360), face_scene()[..., ::-1].copy()]
    for picture in pictures:
        height, width = picture.shape[:2]
        first, second = (detector.detect(picture, width, height, options).faces for detector in detectors)
        assert len(first) >= 3
        np.testing.assert_allclose(second, first, atol=0.05)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "coreml"])
def test_a_provider_that_is_not_here_stops_the_start(provider: str, tmp_path: Path) -> None:
    if provider in usable_providers():
        pytest.skip("it is here")
    done = run_to_end(tmp_path, {"EXECUTION_PROVIDER": provider})
    assert done.returncode != 0
    assert f"FACE_API_EXECUTION_PROVIDER={provider}: not installed; " in done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stdout


def test_an_arithmetic_that_the_provider_lacks_stops_the_start(tmp_path: Path) -> None:
    done = run_to_end(tmp_path, {"EXECUTION_PROVIDER": "cpu", "PRECISION": "bf16"})
    assert done.returncode != 0
    assert "FACE_API_PRECISION=bf16: only openvino has it, not FACE_API_EXECUTION_PROVIDER=cpu" in done.stderr


def test_bench_shows_every_provider_and_the_choice(tmp_path: Path) -> None:
    scanner(tmp_path / "mine.onnx")
    settings = {
        "MODEL_DIR": str(tmp_path),
        "DATA_DIR": str(tmp_path),
        "DET_SIZE": "160",
        "EXECUTION_PROVIDER": "auto",
    }
    done = face_api(tmp_path, "models", "bench", "mine", "--json", settings=settings)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["model"], result["input_size"]) == ("mine", [160, 160])
    assert {row["provider"] for row in result["rows"]} == set(usable_providers())
    assert {row["threads"] for row in result["rows"]} >= {1, len(os.sched_getaffinity(0))}
    chosen = [(row["provider"], row["precision"]) for row in result["rows"] if row["in_use"]]
    assert chosen == [(result["execution"]["provider"], result["execution"]["precision"])]
    table = face_api(tmp_path, "models", "bench", "mine", settings=settings | {"EXECUTION_PROVIDER": "cpu"})
    assert "best ms" in table.stdout
    assert "FACE_API_EXECUTION_PROVIDER=cpu FACE_API_PRECISION=auto: cpu f32" in table.stdout
    missing = face_api(tmp_path, "models", "bench", "none", settings=settings)
    assert missing.returncode == 1
    assert "neither a known model" in missing.stderr


def test_quantize_writes_a_model_that_the_service_takes_by_name(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.png").write_bytes(encoded(face_scene(640, 500 + number), "PNG"))
    settings = {"MODEL_DIR": str(tmp_path / "models"), "DET_SIZE": "320"}
    model = load_settings({}).settings.model
    arguments = ("models", "quantize", model, "--calibrate", str(pictures))
    done = face_api(tmp_path, *arguments, settings=settings)
    assert done.returncode == 0, done.stderr
    assert "calibrated on 2 pictures, compared on 1 others:" in done.stdout
    assert f"Use it with FACE_API_MODEL={model}_int8" in done.stdout
    again = face_api(tmp_path, *arguments, settings=settings)
    assert again.returncode == 1
    assert "is there already; --force replaces it" in again.stderr
    report = json.loads(face_api(tmp_path, *arguments, "--force", "--json", settings=settings).stdout)
    assert report["held_out"] == 1
    found = face_api(
        tmp_path, "detect", "pictures/0.png", "--json", settings=settings | {"MODEL": f"{model}_int8"}
    )
    assert found.returncode == 0, found.stderr
    refused = face_api(tmp_path, *arguments, "-o", "scrfd_2.5g.onnx", settings=settings)
    assert refused.returncode == 1
    assert "expected a name of your own" in refused.stderr
