"""Model files: what loads, what is refused and how it is said, and runs."""

import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from service.detection.runtime import OnnxModel, runtime_version
from service.errors import ModelError
from tests.onnx_models import answering, mapped, scanner, tables


def _refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        OnnxModel(path, threads=1)
    message = caught.value.detail
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 700 + len(str(path))
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is no model\nat all\n",
        bytes(1000),
        b"\xff\xd8\xff\xe0" + bytes(100),
        bytes(range(256)) * 20,
        b"<html>Not found</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    ],
    ids=["empty", "text", "zeros", "jpeg", "noise", "html", "pointer"],
)
def test_no_model(content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    message = _refusal(path)
    assert message.startswith("not a usable ONNX model: ")
    assert "ONNXRuntimeError" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_cut_file(share: float, tmp_path: Path) -> None:
    path = scanner(tmp_path / "model.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert _refusal(path).startswith("not a usable ONNX model: ")


def test_changed_bytes_never_escape_as_another_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = scanner(tmp_path / "model.onnx").read_bytes()
    random = np.random.default_rng(0)
    messages: list[str] = []
    for number in range(60):
        changed = bytearray(content)
        # The structure stands at the begin and the end of the file, the weights in between.
        for place in random.integers(0, 1500, 3):
            changed[-place if number % 2 else place] = random.integers(0, 256)
        path = tmp_path / "changed.onnx"
        path.write_bytes(changed)
        try:
            OnnxModel(path, threads=1)
        except ModelError as error:
            messages.append(error.detail)
    assert len(messages) > 10
    assert not [message for message in messages if "\n" in message]
    assert capfd.readouterr() == ("", "")


def test_missing_file(tmp_path: Path) -> None:
    assert _refusal(tmp_path / "none.onnx") == "cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("element_type", "name"),
    [(TensorProto.INT64, "int64"), (TensorProto.FLOAT16, "float16"), (TensorProto.UINT8, "uint8")],
)
def test_input_of_another_type(element_type: int, name: str, tmp_path: Path) -> None:
    path = answering(tmp_path / "model.onnx", tables([], 64, 64), element_type=element_type)
    assert _refusal(path) == f"expected one float32 input, the model has: input_0 tensor({name})"


@pytest.mark.parametrize("inputs", [0, 2])
def test_another_number_of_inputs(inputs: int, tmp_path: Path) -> None:
    path = answering(tmp_path / "model.onnx", tables([], 64, 64), inputs=inputs)
    assert _refusal(path).startswith("expected one float32 input, the model has: ")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64])
def test_outputs_of_another_type(dtype: type[np.generic], tmp_path: Path) -> None:
    outputs = [table.astype(dtype) for table in tables([], 64, 64)]
    path = answering(tmp_path / "model.onnx", outputs)
    assert _refusal(path).startswith("expected float32 outputs, the model has: output_0 tensor(")


def test_output_that_is_no_tensor(tmp_path: Path) -> None:
    assert _refusal(mapped(tmp_path / "m.onnx")).startswith(
        "expected float32 outputs, the model has: pictures seq("
    )


@pytest.mark.parametrize(
    ("size", "shape"),
    [((None, None), [1, 3, None, None]), ((320, 64), [1, 3, 64, 320]), ((320, None), [1, 3, None, 320])],
)
def test_input_shape(size: tuple[int | None, int | None], shape: list[int | None], tmp_path: Path) -> None:
    model = OnnxModel(scanner(tmp_path / "model.onnx", size=size), threads=1)
    assert model.input_shape == shape
    assert model.size_bytes == (tmp_path / "model.onnx").stat().st_size
    assert model.provider == "CPUExecutionProvider"


def test_named_free_sides(tmp_path: Path) -> None:
    path = answering(tmp_path / "model.onnx", tables([], 64, 64), shape=["batch", 3, "height", "?"])
    assert OnnxModel(path, threads=1).input_shape == [None, 3, None, None]


def test_run_gives_outputs_in_the_files_order(tmp_path: Path) -> None:
    order = [8, 0, 4, 2, 1, 7, 6, 5, 3]
    model = OnnxModel(scanner(tmp_path / "model.onnx", order=order), threads=1)
    columns = [output.shape[1] for output in model.run(np.zeros((1, 3, 64, 64), np.float32))]
    assert columns == [(1, 4, 10)[index % 3] for index in order]


def test_run_that_fails(tmp_path: Path) -> None:
    model = OnnxModel(scanner(tmp_path / "model.onnx", size=(64, 64)), threads=1)
    with pytest.raises(RuntimeError, match=r"^inference failed: ") as caught:
        model.run(np.zeros((1, 3, 32, 32), np.float32))
    assert "\n" not in str(caught.value)


def test_one_session_for_many_threads(tmp_path: Path) -> None:
    model = OnnxModel(scanner(tmp_path / "model.onnx"), threads=1)
    agreed: list[bool] = []

    def work(side: int) -> None:
        tensor = np.full((1, 3, side, side), side / 1000, np.float32)
        expected = [output.copy() for output in model.run(tensor)]
        agreed.extend(all(map(np.array_equal, model.run(tensor), expected)) for _ in range(10))

    threads = [threading.Thread(target=work, args=(side,)) for side in (32, 64, 96, 128)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agreed == [True] * 40


def test_version() -> None:
    assert runtime_version().count(".") >= 2
