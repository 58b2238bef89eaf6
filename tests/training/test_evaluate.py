"""The comparison of detectors: one look and the mean of several."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.detection.registry import BUNDLED_DIR
from tests.training.support import labelled_folder
from training.evaluate import evaluate, looks, main
from training.finders import Finder, Image
from training.labels import read_labels
from training.metrics import Detections

BUNDLED = BUNDLED_DIR / "scrfd_free.onnx"


def _finder(*boxes: tuple[float, float, float, float]) -> Finder:
    def find(_: Image) -> Detections:
        found = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(found, np.full(len(found), 0.9, np.float32))

    return find


def test_the_means_of_several_looks(tmp_path: Path) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces", 2), None)[1:]
    both, one = _finder((20, 30, 68, 78), (100, 60, 120, 80)), _finder((20, 30, 68, 78))
    assert [evaluate([look], pictures, 160)["recall"] for look in (both, one)] == [1, 0.5]
    mean = evaluate([both, one], pictures, 160)
    assert mean.keys() == evaluate([one], pictures, 160).keys()
    assert (mean["pictures"], mean["faces"]) == (1, 2)
    assert mean["recall"] == 0.75
    assert mean["ap_by_size"]["16-32"] == 0.5
    assert mean["ap_by_size"]["32-64"] == 1
    assert math.isnan(mean["ap_by_size"]["128-1024"])


def test_looks_are_at_several_inputs_mirrored_or_not() -> None:
    image = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
    finders = looks(BUNDLED, 160)
    # Of 144, 152, 160, 168 and 176 pixels, rounded to multiples of 32.
    assert len(finders) == 6
    assert all(find(image).boxes.shape[1] == 4 for find in finders)


def _written(folder: Path, *options: str) -> dict[str, Any]:
    file = folder / "figures.json"
    main([str(folder), str(BUNDLED), "--json", str(file), *options])
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["scrfd_free"]
    return figures


def test_the_table_names_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = _written(labelled_folder(tmp_path / "faces"))
    assert "scrfd_free" in capsys.readouterr().out
    assert (figures["pictures"], figures["faces"]) == (1, 2)


def test_looks_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluate.looks", lambda *_: [_finder((20, 30, 68, 78)), _finder()])
    folder = labelled_folder(tmp_path / "faces")
    assert _written(folder, "--looks")["recall"] == 0.25
    assert _written(folder)["recall"] != 0.25


def test_corrections_are_left_out_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture has the name of one that the corrections remove."""
    folder = labelled_folder(tmp_path / "faces")
    removed = "cocoval_00362.jpg"
    (folder / "images" / "7.png").rename(folder / "images" / removed)
    labels = folder / "labels.jsonl"
    labels.write_text(labels.read_text(encoding="utf-8").replace("7.png", removed), encoding="utf-8")
    assert _written(folder, "--as-labelled")["pictures"] == 1
    with pytest.raises(SystemExit):
        _written(folder)
    assert "no picture is of a validation source" in capsys.readouterr().err
