"""What runs a model: the choice among backends that are made up, and what the settings ask for."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.detection import selection
from service.detection.execution import Backend, Execution
from service.detection.registry import ModelFile
from service.detection.selection import AskedFor, choose_detector
from service.detection.trial_pictures import trial_pictures
from service.detection.trial_store import TrialStore
from service.errors import ModelError

CPU, OV, BF16 = Backend("cpu"), Backend("openvino"), Backend("openvino", "bf16")
FACES = np.array([(10, 10, 60, 70, 0.9), (100, 20, 130, 60, 0.7)], np.float32)
WORSE = np.array([(10, 10, 60, 70, 0.9)], np.float32)
SHIFTED = FACES + np.array([6, 6, 6, 6, 0], np.float32)
DIM = FACES - np.array([0, 0, 0, 0, 0.05], np.float32)
NO_FACES = np.empty((0, 5), np.float32)

Behaviour = dict[Backend, tuple[float, np.ndarray[Any, Any]] | str]


class Machine:
    """Backends with a speed and an answer, or an error; counts what is loaded."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.loaded: list[Backend] = []

    def make(self, execution: Execution) -> Any:
        """Load the model."""
        self.loaded.append(execution.backend)
        does = self.behaviour[execution.backend]
        if isinstance(does, str):
            raise ModelError(does)
        ms, faces = does
        found = SimpleNamespace(faces=faces, inference_seconds=ms / 1000)
        return SimpleNamespace(
            input_size=(640, 640), execution=execution, detect=lambda *_: found, backend=execution.backend
        )


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    return ModelFile("model", path, None)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Backend]], None]:
    """Say which backends are installed."""

    def install(backends: Sequence[Backend]) -> None:
        def check(backend: Backend) -> None:
            if backend not in backends:
                raise ModelError(f"{backend} is not here")

        monkeypatch.setattr(
            selection, "usable_providers", lambda: list(dict.fromkeys(item.provider for item in backends))
        )
        monkeypatch.setattr(selection, "check_available", check)

    return install


def choose(
    machine: Machine, model: ModelFile, asked: AskedFor, folder: Path | None = None, **more: Any
) -> Any:
    store = TrialStore(folder)
    return choose_detector(asked, model, machine.make, store, threads=1, inferences=1, **more)


@pytest.mark.parametrize(
    ("bf16", "f32", "winner"),
    [
        ((10, FACES), (30, FACES), BF16),
        # Reduced precision that changes faces, boxes or scores, or that cannot be checked, is not taken.
        ((10, WORSE), (30, FACES), OV),
        ((10, SHIFTED), (30, FACES), OV),
        ((10, DIM), (30, FACES), OV),
        ((10, NO_FACES), (30, FACES), OV),
        # Nor is what is hardly faster, or slower.
        ((38, FACES), (39, FACES), CPU),
        ((80, FACES), (80, FACES), CPU),
        ((38, FACES), (20, FACES), OV),
        ((10, WORSE), (10, WORSE), CPU),
        ("broken", (20, FACES), OV),
        ("broken", "broken", CPU),
    ],
)
def test_the_winner_of_a_trial(
    bf16: Any, f32: Any, winner: Backend, model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: f32, BF16: bf16})
    detector = choose(machine, model, AskedFor())
    assert detector.backend == detector.execution.backend == winner
    assert detector.execution.trials[0].backend == CPU
    assert detector.execution.reason
    assert ("left out: broken" in (detector.execution.warning or "")) == ("broken" in (bf16, f32))


def test_a_model_that_finds_nothing_in_the_pictures_keeps_its_precision(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, NO_FACES), OV: (30, NO_FACES), BF16: (5, NO_FACES)})
    detector = choose(machine, model, AskedFor())
    assert detector.backend == OV
    assert [trial.agrees for trial in detector.execution.trials] == [None, None, None]


def test_float32_is_not_tried_where_bfloat16_has_won(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (30, FACES), BF16: (10, FACES)})
    choose(machine, model, AskedFor())
    assert machine.loaded == [CPU, BF16]


def test_with_one_choice_nothing_is_tried(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU])
    machine = Machine({CPU: (40, FACES)})
    execution = choose(machine, model, AskedFor()).execution
    assert (execution.reason, execution.trials) == ("nothing else is here for this processor", ())
    assert machine.loaded == [CPU]
    execution = choose(machine, model, AskedFor(provider="cpu", precision="f32")).execution
    assert execution.reason == "FACE_API_EXECUTION_PROVIDER=cpu"


def test_the_outcome_is_kept_for_these_weights_and_settings(
    model: ModelFile, here: Callable[[Sequence[Backend]], None], tmp_path: Path
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (30, FACES), BF16: (10, FACES)})
    first = choose(machine, model, AskedFor(), tmp_path / "cache").execution
    machine.loaded.clear()
    again = choose(machine, model, AskedFor(), tmp_path / "cache")
    assert machine.loaded == [BF16]
    assert again.execution == first
    choose(machine, model, AskedFor(), tmp_path / "cache", again=True)
    assert machine.loaded == [BF16, CPU, BF16]
    model.path.write_bytes(b"other weights")
    machine.loaded.clear()
    choose(machine, model, AskedFor(), tmp_path / "cache")
    assert machine.loaded == [CPU, BF16]


def test_what_did_not_load_is_tried_again_at_the_next_start(
    model: ModelFile, here: Callable[[Sequence[Backend]], None], tmp_path: Path
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (38, FACES), BF16: "no memory"})
    assert choose(machine, model, AskedFor(), tmp_path / "cache").backend == CPU
    machine.behaviour[BF16] = (10, FACES)
    assert choose(machine, model, AskedFor(), tmp_path / "cache").backend == BF16


def test_a_kept_winner_that_no_longer_loads_is_tried_anew(
    model: ModelFile, here: Callable[[Sequence[Backend]], None], tmp_path: Path
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (38, FACES), BF16: (10, FACES)})
    choose(machine, model, AskedFor(), tmp_path / "cache")
    machine.behaviour[BF16] = "gone"
    detector = choose(machine, model, AskedFor(), tmp_path / "cache")
    assert detector.backend == CPU
    assert detector.execution.warning == "openvino bf16 was left out: gone"


def test_of_several_at_once_one_tries(
    model: ModelFile, here: Callable[[Sequence[Backend]], None], tmp_path: Path
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (38, FACES), BF16: (10, FACES)})
    threads = [
        threading.Thread(target=choose, args=(machine, model, AskedFor(), tmp_path / "cache"))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert machine.loaded.count(CPU) == 1
    assert machine.loaded.count(BF16) == 5


def test_bfloat16_by_name_runs_and_says_what_it_changes(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (38, FACES), BF16: (50, WORSE)})
    for asked in (AskedFor(precision="bf16"), AskedFor(provider="openvino", precision="bf16")):
        execution = choose(machine, model, asked).execution
        assert execution.backend == BF16
        assert execution.warning is not None
        assert execution.warning.startswith("FACE_API_PRECISION=bf16 does not find the faces that f32 finds")
    machine.behaviour[BF16] = (50, FACES)
    assert choose(machine, model, AskedFor(precision="bf16")).execution.warning is None


def test_float32_by_name_tries_no_other_arithmetic(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV, BF16])
    machine = Machine({CPU: (40, FACES), OV: (20, FACES)})
    assert choose(machine, model, AskedFor(precision="f32")).backend == OV
    assert choose(machine, model, AskedFor(provider="openvino", precision="f32")).backend == OV


@pytest.mark.parametrize(
    "asked",
    [AskedFor(provider="cuda"), AskedFor(precision="bf16"), AskedFor(provider="openvino", precision="bf16")],
)
def test_what_is_asked_for_and_not_here_stops(
    asked: AskedFor, model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV])
    machine = Machine({})
    with pytest.raises(ModelError, match="is not here"):
        choose(machine, model, asked)
    assert machine.loaded == []


def test_tensorrt_is_never_tried_by_itself(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, Backend("tensorrt"), Backend("cuda")])
    machine = Machine({CPU: (40, FACES), Backend("cuda"): (5, FACES), Backend("tensorrt"): (1, FACES)})
    assert choose(machine, model, AskedFor()).backend == Backend("cuda")
    assert choose(machine, model, AskedFor(provider="tensorrt")).backend == Backend("tensorrt")


def test_a_model_that_the_plain_runtime_refuses_is_refused(
    model: ModelFile, here: Callable[[Sequence[Backend]], None]
) -> None:
    here([CPU, OV, BF16])
    with pytest.raises(ModelError, match=r"^damaged$"):
        choose(Machine({CPU: "damaged"}), model, AskedFor())


def test_the_pictures_are_the_same_each_time() -> None:
    first, second = trial_pictures(320, 192), trial_pictures(320, 192)
    assert all(map(np.array_equal, first, second))
    assert [picture.shape for picture in first] == [(192, 320, 3)] * 2
    assert trial_pictures(32, 32)[0].shape == (32, 32, 3)
