"""The start: what stops it, what it says, and what options do."""

import itertools
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.detection.registry import BUNDLED_DIR
from tests.conftest import StartServer
from tests.integration.test_limits import SMALL
from tests.server import Server, eventually, free_port, run_to_end

BUNDLED = BUNDLED_DIR / "scrfd_free.onnx"


def stopped(folder: Path, settings: dict[str, str], *words: str, arguments: tuple[str, ...] = ()) -> str:
    """Start with these settings and check that it stops with one line that has the words."""
    run = run_to_end(folder, settings, *arguments)
    text = run.stdout + run.stderr
    assert run.returncode != 0, text
    assert "ready" not in run.stdout
    assert "Traceback" not in text
    # Beside the log, which a model refused by a server process leaves.
    lines = [line for line in run.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, text
    for word in words:
        assert word in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "abc", "an integer from 1 to 65535"),
        ("CONFIDENCE", "1.5", "a number from 0.01 to 1"),
        ("BLUR_METHOD", "Gauss", "one of: "),
        ("STORAGE_ENABLED", "maybe", "true or false"),
        ("CORS_ORIGINS", "example.org", "https://example.org"),
        ("RATE_LIMIT_DETECT", "often", "300/minute"),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str, allowed: str) -> None:
    stopped(tmp_path, {name: value}, f"FACE_API_{name}={value}", allowed)


def test_a_wrong_option_is_told_as_the_setting(tmp_path: Path) -> None:
    stopped(tmp_path, {}, "FACE_API_WORKERS=0", "1 to 256", arguments=("--workers", "0"))


def test_a_port_that_is_taken(tmp_path: Path, server: Server) -> None:
    stopped(tmp_path, {"PORT": str(server.port)}, str(server.port), "in use", "FACE_API_PORT")
    assert server.request("GET", "/health")[0] == 200


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    stopped(tmp_path, {"HOST": "203.0.113.7"}, "203.0.113.7")
    stopped(tmp_path, {"HOST": "no such host"}, "FACE_API_HOST=no such host")


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stopped(tmp_path, {"DATA_DIR": str(tmp_path / "file" / "data")}, "FACE_API_DATA_DIR")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    models = {"MODEL_DIR": str(tmp_path)}
    stopped(tmp_path, {**models, "MODEL": "scrfd_10g"}, "scrfd_10g")
    stopped(tmp_path, {**models, "MODEL": "scrfd_10"}, "did you mean scrfd_10g?")
    stopped(tmp_path, {**models, "MODEL": "../../etc/passwd"}, "FACE_API_MODEL=../../etc/passwd")


def foreign_model(path: Path) -> None:
    """A model that is valid, but no detector."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "changed", "foreign"])
def test_a_model_that_is_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.onnx"
    data = BUNDLED.read_bytes()
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("this is no model")
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "changed":
            path.write_bytes(np.random.default_rng(1).bytes(2000) + data[2000:])
        case "foreign":
            foreign_model(path)
    stopped(tmp_path, {"MODEL_DIR": str(tmp_path), "MODEL": "mine.onnx"}, "mine.onnx")
    run = run_to_end(tmp_path, {"MODEL_DIR": str(tmp_path), "MODEL": "mine", "WORKERS": "2"})
    assert run.returncode != 0
    assert "mine.onnx" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_model_of_ones_own(tmp_path: Path, start_server: StartServer) -> None:
    shutil.copy(BUNDLED, tmp_path / "mine.onnx")
    server = start_server(MODEL_DIR=str(tmp_path), MODEL="mine", DET_SIZE="320")
    health = json.loads(server.request("GET", "/health")[2])
    assert (health["model"], health["input_size"]) == ("mine", [320, 320])
    found = json.loads(server.request("POST", "/api/v1/detect", SMALL, {"Content-Type": "image/png"})[2])
    assert found["profiling"]["model_name"] == "mine"
    assert found["profiling"]["det_resolution"] == "320x224"


def test_an_unknown_setting_is_a_warning_with_the_nearest(start_server: StartServer) -> None:
    server = start_server(CONFIDENSE="0.4", XYZZY="1")
    text = server.stdout + server.stderr
    assert "FACE_API_CONFIDENSE" in text
    assert "FACE_API_CONFIDENCE?" in text
    assert "FACE_API_XYZZY is not a known setting" in text


def test_an_empty_setting_is_not_set(start_server: StartServer) -> None:
    server = start_server(CONFIDENCE="", MODEL=" ", WORKERS="")
    found = json.loads(server.request("POST", "/api/v1/detect", SMALL, {"Content-Type": "image/png"})[2])
    assert found["processing"]["confidence_threshold"] == 0.5


def test_keys_that_are_not_there_yet_are_told(start_server: StartServer) -> None:
    notes = [line for line in start_server(API_KEY_ENABLED="true").stdout.splitlines() if "API key" in line]
    assert len(notes) == 1
    assert "API key" not in start_server(API_KEY_ENABLED="false").stdout


def test_the_welcome_comes_before_ready(server: Server) -> None:
    lines = server.stdout.splitlines()
    assert lines[-1] == "ready"
    welcome = "\n".join(lines[:-1])
    assert server.origin in welcome
    assert f"{server.origin}/docs" in welcome
    assert f"curl -F image=@photo.jpg {server.origin}/api/v1/mask" in welcome


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    run = run_to_end(
        tmp_path, {"ADMIN_PASSWORD": "PRIVATE", "METRICS_TOKEN": "PRIVATE", "CONFIDENCE": "wrong"}
    )
    assert run.returncode != 0
    assert "PRIVATE" not in run.stdout + run.stderr


def test_several_workers(start_server: StartServer) -> None:
    server = start_server(WORKERS="2")
    pids: set[int] = set()

    def ask() -> bool:
        status, _, body = server.request("POST", "/api/v1/detect", SMALL, {"Content-Type": "image/png"})
        assert status == 200
        pids.add(json.loads(body)["profiling"]["worker_pid"])
        return len(pids) == 2

    assert eventually(ask, 20), pids
    assert server.process.pid not in pids
    assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_a_service_on_ipv6(tmp_path: Path) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with Server(tmp_path, {"HOST": "::1"}) as server:
        assert f"http://[::1]:{server.port}/docs" in server.stdout


def test_a_service_on_every_address(tmp_path: Path) -> None:
    with Server(tmp_path, {"HOST": "0.0.0.0"}) as server:  # noqa: S104  # what is tested
        assert server.request("GET", "/health")[0] == 200
        assert f"http://127.0.0.1:{server.port}" in server.stdout


def test_two_services_side_by_side_write_to_their_own_folders(tmp_path: Path) -> None:
    with Server(tmp_path / "a") as first, Server(tmp_path / "b") as second:
        for one, other in itertools.permutations((first, second)):
            assert one.port != other.port
            assert one.request("GET", "/health")[0] == 200


def test_options_win_over_the_environment(tmp_path: Path, server: Server) -> None:
    free = free_port()
    line = stopped(tmp_path, {"PORT": str(free)}, "in use", arguments=("--port", str(server.port)))
    assert str(free) not in line
