"""The comparison of detectors: one look and the mean of several."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from service.detection.registry import BUNDLED_DIR
from tests.training.support import labelled_folder
from training.evaluate import evaluate, looks, main, mean_figures
from training.finders import Finder, Image
from training.labels import read_labels
from training.metrics import Detections

BUNDLED = BUNDLED_DIR / "scrfd_free.onnx"


def _finder(*boxes: tuple[float, float, float, float]) -> Finder:
    def find(_: Image) -> Detections:
        found = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(found, np.full(len(found), 0.9, np.float32))

    return find


def test_means_of_every_figure(tmp_path: Path) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces", 2), None)[1:]
    both, one = (
        evaluate(_finder(*found), pictures, 160)
        for found in (((20, 30, 68, 78), (100, 60, 120, 80)), ((20, 30, 68, 78),))
    )
    assert (both["recall"], one["recall"]) == (1, 0.5)
    mean = mean_figures([both, one])
    assert mean.keys() == both.keys()
    assert mean["recall"] == 0.75
    assert mean["ap_by_size"]["16-32"] == 0.5
    assert mean["ap_by_size"]["32-64"] == 1
    assert math.isnan(mean["ap_by_size"]["128-1024"])
    assert mean_figures([one])["recall"] == 0.5


def test_looks_are_at_several_inputs_mirrored_or_not() -> None:
    image = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
    finders = looks(BUNDLED, 160)
    # Of 144, 152, 160, 168 and 176 pixels, rounded to multiples of 32.
    assert len(finders) == 6
    assert all(find(image).boxes.shape[1] == 4 for find in finders)


@pytest.mark.parametrize("options", [[], ["--looks", "--size", "320"], ["--as-labelled"]])
def test_the_table_names_the_model(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = labelled_folder(tmp_path / "faces")
    written = tmp_path / "figures.json"
    main([str(folder), str(BUNDLED), "--json", str(written), *options])
    assert "scrfd_free" in capsys.readouterr().out
    figures = json.loads(written.read_text(encoding="utf-8"))["scrfd_free"]
    assert figures["pictures"] == 1
    assert figures["faces"] == 2
