"""Labels that several looks agree on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.detection.registry import BUNDLED_DIR
from tests.training.support import labelled_folder
from training.agreement import places
from training.anchors import iou
from training.finders import mirrored
from training.geometry import FACE_WIDTH, LANDMARKS, SURENESS
from training.labels import Picture, read_labels
from training.metrics import Detections
from training.referee import referee
from training.relabel import agreed, main, sureness

FACE = [10.0, 10.0, 30.0, 34.0]
OTHER = [60.0, 20.0, 80.0, 44.0]


def _look(*faces: tuple[list[float], float]) -> Detections:
    """Detections whose landmarks all lie in the box's upper left corner."""
    boxes = np.array([box for box, _ in faces], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([score for _, score in faces], np.float32), np.tile(boxes[:, :2], 5))


def _picture(*faces: list[float], ignore: tuple[list[float], ...] = ()) -> Picture:
    rows = np.full((len(faces), FACE_WIDTH), np.nan, np.float32)
    rows[:, :4] = np.array(faces, np.float32).reshape(-1, 4)
    boxes = np.array(ignore, np.float32).reshape(-1, 4)
    return Picture(Path("a.jpg"), 100, 100, "CC0-1.0", "example", "", rows, boxes)


def test_a_place_is_the_mean_of_the_looks_by_their_scores() -> None:
    beside = [12.0, 10.0, 32.0, 34.0]
    seen = places([_look((FACE, 0.3), (OTHER, 0.5)), _look((beside, 0.9)), _look()], 0.1)
    assert seen.scores == pytest.approx(np.array([[0.3, 0.9, 0], [0.5, 0, 0]]))
    assert seen.boxes[0] == pytest.approx([11.5, 10, 31.5, 34])
    assert seen.landmarks[0, :2] == pytest.approx([11.5, 10])
    assert seen.boxes[1] == pytest.approx(OTHER)


def test_a_look_counts_once_at_a_place() -> None:
    seen = places([_look((FACE, 0.4), ([11.0, 10.0, 31.0, 34.0], 0.6))], 0.1)
    assert seen.scores.tolist() == [[pytest.approx(0.6)]]


def test_unsure_detections_and_no_detections_are_no_places() -> None:
    assert places([_look((FACE, 0.05)), _look()], 0.1).scores.shape == (0, 2)
    without = Detections(np.array([FACE], np.float32), np.ones(1, np.float32))
    assert np.isnan(places([without], 0.1).landmarks).all()


WEIGHTS = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("scores", "faces", "ignored"), [((0.9, 0.5), 1, 0), ((0.4, 0.0), 0, 1), ((0.2, 0.0), 0, 0)]
)
def test_a_face_is_what_the_looks_agree_on(scores: tuple[float, float], faces: int, ignored: int) -> None:
    seen = places([_look((FACE, score)) for score in scores], 0.05)
    found = agreed(seen, WEIGHTS, _picture(), _picture())
    assert (len(found.boxes), len(found.ignore)) == (faces, ignored)
    assert found.agreement == pytest.approx(np.full(faces, np.mean(scores)))
    assert found.doubtful.boxes.tolist() == found.ignore.tolist()
    assert found.doubtful.agreement == pytest.approx(np.full(ignored, np.mean(scores)))


@pytest.mark.parametrize(
    ("labelled", "score", "faces"), [(True, 0.35, 1), (False, 0.45, 0), (False, 0.55, 1)]
)
def test_less_agreement_is_asked_of_a_face_that_was_labelled(
    labelled: bool, score: float, faces: int
) -> None:
    seen = places([_look((FACE, score))] * 2, 0.05)
    picture = _picture(FACE) if labelled else _picture()
    found = agreed(seen, WEIGHTS, picture, picture)
    assert (len(found.boxes), len(found.ignore)) == (faces, 1 - faces)


def test_parts_of_a_face_are_not_ignored() -> None:
    part = [12.0, 12.0, 20.0, 22.0]
    seen = places([_look((FACE, 0.9), (part, 0.4), (OTHER, 0.4))] * 2, 0.05)
    found = agreed(seen, WEIGHTS, _picture(), _picture())
    assert found.boxes == pytest.approx(np.array([FACE]))
    assert found.ignore == pytest.approx(np.array([OTHER]))


@pytest.mark.parametrize(("score", "faces"), [(0.4, 1), (0.6, 2)])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_label_does_not_vouch_for_a_part_of_a_surer_face(labelled: bool, score: float, faces: int) -> None:
    part = [12.0, 12.0, 20.0, 22.0]
    seen = places([_look((FACE, 0.9), (part, score))] * 2, 0.05)
    picture = _picture(FACE, part) if labelled else _picture(FACE)
    found = agreed(seen, WEIGHTS, picture, picture)
    assert found.boxes == pytest.approx(np.array([FACE, part][:faces]))
    assert len(found.ignore) == 0


def test_a_label_is_that_of_its_surest_place() -> None:
    label = [16.0, 10.0, 36.0, 34.0]
    shifted = [22.0, 10.0, 42.0, 34.0]
    seen = places([_look((FACE, 0.9), (shifted, 0.4))] * 2, 0.05)
    assert (iou(np.array([FACE, shifted], np.float32), np.array([label], np.float32)) >= 0.4).all()
    found = agreed(seen, WEIGHTS, _picture(label), _picture(label))
    assert found.boxes == pytest.approx(np.array([FACE]))
    found = agreed(seen, WEIGHTS, _picture(label, shifted), _picture(label, shifted))
    assert found.boxes == pytest.approx(np.array([FACE, shifted]))


def test_what_was_mended_by_eye_stays_mended() -> None:
    seen = places([_look((FACE, 0.9), (OTHER, 0.9))] * 2, 0.05)
    dropped = agreed(seen, WEIGHTS, _picture(OTHER), _picture(FACE, OTHER))
    assert dropped.boxes == pytest.approx(np.array([OTHER]))
    assert len(dropped.ignore) == 0
    ignored = agreed(seen, WEIGHTS, _picture(OTHER, ignore=(FACE,)), _picture(FACE, OTHER))
    assert ignored.boxes == pytest.approx(np.array([OTHER]))
    assert ignored.ignore == pytest.approx(np.array([FACE]))


def test_a_place_that_was_unsure_is_a_face_if_the_looks_are_sure() -> None:
    for score, faces in ((0.5, 0), (0.6, 1)):
        seen = places([_look((FACE, score))] * 2, 0.05)
        picture = _picture(ignore=(FACE,))
        assert len(agreed(seen, WEIGHTS, picture, picture).boxes) == faces


def test_a_former_face_that_the_looks_do_not_see_gives_no_loss() -> None:
    picture = _picture(FACE)
    found = agreed(places([_look()] * 2, 0.05), WEIGHTS, picture, picture)
    assert len(found.boxes) == 0
    assert found.ignore == pytest.approx(np.array([FACE]))


def test_sureness_has_the_order_of_the_agreement_and_the_scale_of_the_service() -> None:
    sure = sureness(np.array([0.9, 0.3, 0.6], np.float32), np.array([0.7, 0.8, 0.0], np.float32))
    assert sure == pytest.approx([0.8, 0.05, 0.7])


def _bright(image: np.ndarray) -> Detections:
    """One face where the picture is white, its left eye in its upper left corner."""
    y, x = np.nonzero(image[..., 0])
    box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
    points = np.tile(box[:, :2], 5)
    points[:, :2] += 1
    return Detections(box, np.array([0.8], np.float32), points)


def test_a_mirrored_look_gives_places_in_the_picture() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[10:30, 20:50] = 255
    found = mirrored(_bright)(image)
    assert found.boxes.tolist() == _bright(image).boxes.tolist()
    # The first landmark of the mirrored picture is the right eye of this one.
    assert found.landmarks is not None
    assert found.landmarks[0, :4].tolist() == [50, 10, 49, 11]
    without = mirrored(lambda image: replace(_bright(image), landmarks=None))(image)
    assert without.landmarks is None
    assert without.boxes.tolist() == found.boxes.tolist()


def test_the_referee_asks_for_two_models() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    view = referee(
        {
            "a": [lambda _: _look((FACE, 0.5), (OTHER, 0.9)), lambda _: _look((OTHER, 0.6))],
            "b": [lambda _: _look((FACE, 0.45)), lambda _: _look()],
        },
        image,
    )
    assert view.faces[:, :4] == pytest.approx(np.array([FACE]))
    assert view.faces[0, LANDMARKS] == pytest.approx(np.tile(FACE[:2], 5))
    assert view.ignore == pytest.approx(np.array([OTHER]))


def test_a_folder_is_labelled_anew(tmp_path: Path) -> None:
    """The bundled model plays both parts: what counts is that every picture keeps its labels and no face is lost."""
    folder = labelled_folder(tmp_path / "faces")
    model = str(BUNDLED_DIR / "scrfd_free.onnx")
    main([str(folder), str(tmp_path / "agreed"), model, model])
    former, new = read_labels(folder, None), read_labels(tmp_path / "agreed", None)
    assert [picture.file.name for picture in new] == [f"agreed_{index}.png" for index in range(7)], (
        "one is of another source"
    )
    for before, after in zip(former[:7], new, strict=True):
        assert after.file.resolve() == before.file.resolve()
        known = np.concatenate([after.faces[:, :4], after.ignore])
        assert (iou(before.faces[:, :4], known).max(1, initial=0) >= 0.4).all()
        assert not np.isnan(after.faces[:, SURENESS]).any()
