"""Assignment and the losses, held and not."""

import numpy as np
import pytest
import torch

from training.anchors import anchors
from training.batches import Batch
from training.geometry import DOUBTFUL, FACE_WIDTH, LANDMARKS, SURENESS
from training.losses import Usual, assign, held_losses, held_score_loss, losses, winners


def _batch(*faces: list[float], size: int = 96) -> Batch:
    """One view; a face's landmarks lie beside each other near its upper left corner."""
    rows = [[*face, *(np.tile(face[:2], 5) + 4), np.nan, 0] for face in faces]
    labels = np.array(rows, np.float32).reshape(-1, FACE_WIDTH)
    return Batch(
        torch.zeros(1, size, size, 3, dtype=torch.uint8),
        torch.from_numpy(labels),
        torch.zeros(len(labels), dtype=torch.long),
        torch.ones(1, len(anchors(size)[0]), dtype=torch.bool),
        torch.arange(len(labels)),
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.long),
    )


def _grid(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres (N, 2) and strides (N, 1) of the anchors."""
    boxes, strides = anchors(batch.pixels.shape[1])
    return torch.from_numpy((boxes[:, :2] + boxes[:, 2:]) / 2), torch.from_numpy(strides).float()[:, None]


def _perfect(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances, boxes and landmarks of the first face at every anchor."""
    centres, stride = _grid(batch)
    face, points = batch.faces[0, :4], batch.faces[0, LANDMARKS].reshape(5, 2)
    distances = torch.cat([centres - face[:2], face[2:] - centres], 1) / stride
    offsets = ((points[None] - centres[:, None]) / stride[..., None]).reshape(-1, 10)
    return distances[None], face.expand(1, len(centres), 4), offsets[None]


@pytest.mark.parametrize("side", [6, 8, 12, 20, 45, 90])
def test_every_face_has_anchors_near_its_centre(side: int) -> None:
    rng = np.random.default_rng(side)
    for _ in range(20):
        x, y = rng.uniform(0, 96 - side, 2)
        batch = _batch([x, y, x + side, y + side])
        _, boxes, _ = _perfect(batch)
        positives, owners = assign(torch.zeros(1, boxes.shape[1]), boxes, batch)
        assert len(positives) == 20  # as many as all that predict it can have
        assert (owners == 0).all()
        own, strides = anchors(96)
        centres = (own[positives, :2] + own[positives, 2:]) / 2
        reach = np.maximum(side / 2, 2.5 * strides[positives])[:, None]
        assert (np.abs(centres - [x + side / 2, y + side / 2]) <= reach).all()


def test_an_anchor_of_two_faces_goes_to_the_one_that_it_predicts() -> None:
    batch = _batch([20, 20, 52, 52], [24, 20, 56, 52])
    boxes = batch.faces[:1, :4].expand(1, len(anchors(96)[0]), 4).clone()
    nearer = torch.arange(boxes.shape[1]) % 2 == 1
    boxes[0, nearer] = batch.faces[1, :4]
    positives, owners = assign(torch.zeros(1, boxes.shape[1]), boxes, batch)
    assert len(positives.unique()) == len(positives)
    assert (owners[positives % 2 == 1] == 1).all()
    assert (owners[positives % 2 == 0] == 0).all()


def test_no_face_has_no_anchor() -> None:
    batch = _batch()
    count = batch.counted.shape[1]
    positives, owners = assign(torch.zeros(1, count), torch.zeros(1, count, 4), batch)
    assert len(positives) == len(owners) == 0
    terms = losses((torch.zeros(1, count), torch.ones(1, count, 4), torch.zeros(1, count, 10)), batch)
    assert terms.score > 0
    assert terms.box == terms.landmarks == 0


def test_perfect_predictions_have_no_loss() -> None:
    batch = _batch([20, 24, 52, 60])
    distances, boxes, offsets = _perfect(batch)
    positives, _ = assign(torch.zeros(1, boxes.shape[1]), boxes, batch)
    logits = torch.full((1, boxes.shape[1]), -20.0)
    logits[0, positives] = 20.0
    terms = losses((logits, distances, offsets), batch)
    assert terms.iou.item() == pytest.approx(1, abs=1e-4)
    assert [term.item() for term in terms[:3]] == pytest.approx([0, 0, 0], abs=1e-3)


def test_uncounted_anchors_give_no_score_loss() -> None:
    batch = _batch([20, 24, 52, 60])
    distances, _, offsets = _perfect(batch)
    wrong = torch.full((1, batch.counted.shape[1]), 5.0)
    counted = losses((wrong, distances, offsets), batch).score
    none = losses((wrong, distances, offsets), batch._replace(counted=torch.zeros_like(batch.counted))).score
    assert counted > 1
    assert none < 0.01  # the face's own anchors alone


def test_winners_are_the_best_scored_fitting_anchors_of_a_face() -> None:
    batch = _batch([20, 24, 52, 60], [60, 24, 92, 60])
    _, boxes, _ = _perfect(batch)
    centres, _ = _grid(batch)
    first = (centres[:, 0] < 56).expand(1, -1)
    boxes = torch.where(first[..., None], boxes, batch.faces[1, :4])
    scores = torch.full(first.shape, 0.1)
    near = ((centres - torch.tensor([36.0, 42.0])).abs() < 10).all(1).nonzero()[:, 0]
    best, second, low, beside = near[:4].tolist()
    scores[0, best], scores[0, second], scores[0, low], scores[0, beside] = 0.8, 0.6, 0.5, 0.8
    boxes[0, beside] = torch.tensor([36.0, 24.0, 68.0, 60.0])  # between the two faces
    anchor, face, weight = winners(scores, boxes, batch)
    of_first = face == 0
    assert set(anchor[of_first].tolist()) == {best, second}  # 0.5 is less than 0.7 of 0.8
    parts = dict(zip(anchor[of_first].tolist(), weight[of_first].tolist(), strict=True))
    assert parts[best] / parts[second] == pytest.approx((0.8 / 0.6) ** 4, rel=1e-4)
    for index in (0, 1):
        assert weight[face == index].sum().item() == pytest.approx(1)


def test_a_face_that_the_view_cuts_has_no_winner() -> None:
    batch = _batch([0, 24, 32, 60])
    distances, boxes, offsets = _perfect(batch)
    scores = torch.full((1, boxes.shape[1]), 0.9)
    assert [len(part) for part in winners(scores, boxes, batch)] == [0, 0, 0]
    terms = held_losses((torch.zeros(1, boxes.shape[1]), distances, offsets), scores, batch)
    assert terms.box == terms.landmarks == 0


def test_places_are_learnt_by_the_distance_of_sides_and_landmarks() -> None:
    batch = _batch([20, 24, 52, 56])
    distances, boxes, offsets = _perfect(batch)
    held = torch.full((1, boxes.shape[1]), 2.0)
    _, stride = _grid(batch)
    right = held_losses((held, distances, offsets), held, batch)
    assert [term.item() for term in right[:3]] == pytest.approx([0, 0, 0], abs=1e-5)
    assert right.iou.item() == pytest.approx(1, abs=1e-4)
    larger = held_losses((held, distances + 1.6 / stride, offsets + 3.2 / stride), held, batch)
    assert larger.box.item() == pytest.approx(0.05, rel=1e-3)  # each side 1.6 of 32 pixels
    assert larger.landmarks.item() == pytest.approx(0.1, rel=1e-3)


def test_boxes_of_a_face_and_its_twin_are_drawn_to_their_mean() -> None:
    """A box as wrong as all of its face's does not waver, whichever of two views it is in."""
    one = _batch([20, 24, 52, 56])
    distances, boxes, offsets = _perfect(one)
    held = torch.full((1, boxes.shape[1]), 2.0)
    _, stride = _grid(one)
    wrong = distances + 1.6 / stride
    assert held_losses((held, wrong, offsets), held, one).steadiness.item() == pytest.approx(0, abs=1e-6)
    pair = one._replace(
        pixels=one.pixels.repeat(2, 1, 1, 1),
        faces=one.faces.repeat(2, 1),
        view=torch.tensor([0, 1]),
        counted=one.counted.repeat(2, 1),
        person=torch.tensor([0, 0]),
    )
    apart = (held.repeat(2, 1), torch.cat([distances, wrong]), offsets.repeat(2, 1, 1))
    terms = held_losses(apart, held.repeat(2, 1), pair)
    assert terms.steadiness.item() == pytest.approx(0.025, rel=1e-3)  # sides 1.6 of 32 pixels apart
    assert terms.box.item() == pytest.approx(0.025, rel=1e-3)
    strangers = held_losses(apart, held.repeat(2, 1), pair._replace(person=torch.tensor([0, 1])))
    assert strangers.steadiness.item() == pytest.approx(0, abs=1e-6)
    same = held_losses((apart[0], torch.cat([wrong, wrong]), apart[2]), held.repeat(2, 1), pair)
    assert same.steadiness.item() == pytest.approx(0, abs=1e-6)


def test_scores_are_held_on_faces_and_unlearnt_elsewhere() -> None:
    batch = _batch([20, 24, 52, 60])
    distances, _, offsets = _perfect(batch)
    count = batch.counted.shape[1]
    far = torch.arange(count) % 2 == 0
    distances = torch.where(far[None, :, None], 0.01, distances)  # half of the anchors predict a speck
    held = torch.full((1, count), 1.0)
    logits = held.clone().requires_grad_()
    held_score_loss((logits, distances, offsets), held, batch).backward()
    assert logits.grad is not None
    assert (logits.grad[0, ~far] == 0).all()
    assert (logits.grad[0, far] > 0).all()
    none = held_score_loss(
        (logits, distances, offsets), held, batch._replace(counted=torch.zeros_like(batch.counted))
    )
    assert none.item() == pytest.approx(0, abs=1e-4)


def test_what_is_usual_is_a_running_mean_of_at_least_one() -> None:
    usual = Usual()
    assert [usual("faces", count) for count in (8, 4, 0)] == pytest.approx([8, 6, 4])
    assert usual("anchors", 0) == 1
    for _ in range(2000):
        usual("faces", 20)
    assert usual("faces", 20) == pytest.approx(20)
    assert usual("faces", 0) == pytest.approx(19.8)


def test_a_batch_with_few_faces_counts_for_no_more_than_another() -> None:
    one = _batch([20, 24, 52, 56])
    distances, boxes, offsets = _perfect(one)
    _, stride = _grid(one)
    held = torch.full((1, boxes.shape[1]), 2.0)
    wrong = (held - 1, distances + 1.6 / stride, offsets + 3.2 / stride)
    alone = held_losses(wrong, held, one)
    usual = Usual()
    usual("anchors", 1e4)
    usual("faces", 9)
    usual("landmarks", 9)
    terms = held_losses(wrong, held, one, usual)
    assert terms.score.item() < alone.score.item() / 10
    assert terms.box.item() == pytest.approx(alone.box.item() / 5)
    assert terms.landmarks.item() == pytest.approx(alone.landmarks.item() / 5)
    assert terms.iou == alone.iou


def test_what_is_left_of_a_small_masked_face_counts_as_the_face_does() -> None:
    face = torch.tensor([[20.0, 24, 52, 60]])
    fitting, _, offsets = _perfect(_batch(face[0].tolist()))
    empty = _batch()
    held = torch.full((1, empty.counted.shape[1]), 1.0)

    def slopes(count: int, view: int = 0) -> torch.Tensor:
        """Of the score of one of the anchors on the masked face, and of one that is not."""
        distances = torch.where((torch.arange(held.shape[1]) < count)[None, :, None], fitting, 0.01)
        logits = held.clone().requires_grad_()
        batch = empty._replace(masked=face, masked_view=torch.tensor([view]))
        held_score_loss((logits, distances, offsets), held, batch).backward()
        assert logits.grad is not None
        return logits.grad[0, [0, -1]]

    of_another_view, plain = slopes(6, view=1)
    assert of_another_view == plain > 0
    for count, times in ((6, (25 / 6) ** 0.5), (25, 1.0), (100, 1.0)):
        on, beside = slopes(count)
        assert on.item() == pytest.approx(times * plain.item())
        assert beside == plain


def test_a_face_counts_by_the_root_of_how_many_anchors_are_on_it() -> None:
    batch = _batch([20, 24, 52, 60])
    fitting, _, offsets = _perfect(batch)
    held = torch.full((1, batch.counted.shape[1]), 1.0)
    slopes = []
    for count in (3, 6, 25, 100):
        on_face = torch.arange(held.shape[1]) < count
        distances = torch.where(on_face[None, :, None], fitting, 0.01)
        logits = (held - 1).requires_grad_()
        (held_score_loss((logits, distances, offsets), held, batch) * count).backward()
        assert logits.grad is not None
        slopes.append(logits.grad[0, 0].item())
    of_three, of_six, of_many, of_most = (slope / slopes[2] for slope in slopes)
    assert of_three == pytest.approx(of_six)
    assert of_six == pytest.approx((25 / 6) ** 0.5)
    assert of_many == 1
    assert of_most == pytest.approx(0.5)


def test_boxes_beside_their_face_are_unlearnt() -> None:
    """From an IoU of 0.55 on a score is held in full, up to 0.4 to zero, between them in part."""
    batch = _batch([20, 24, 52, 56])
    _, _, offsets = _perfect(batch)
    held = torch.full((1, batch.counted.shape[1]), 1.0)
    slopes = []
    for overlap in (0.39, 0.45, 0.5, 0.56):
        boxes = torch.tensor([20.0, 24.0, 52.0, 24.0 + 32 * overlap])
        centres, stride = _grid(batch)
        beside = torch.cat([centres - boxes[:2], boxes[2:] - centres], 1) / stride
        beside[7] = _perfect(batch)[0][0, 7]  # one fits
        logits = held.clone().requires_grad_()
        held_score_loss((logits, beside[None], offsets), held, batch).backward()
        assert logits.grad is not None
        slopes.append(logits.grad.sum().item())
    assert slopes[0] > slopes[1] > slopes[2] > slopes[3] == 0


def test_a_face_that_no_box_fits_keeps_its_scores_and_learns_its_box() -> None:
    batch = _batch([20, 24, 52, 56])
    centres, stride = _grid(batch)
    heights = torch.full((len(centres),), 32 * 0.3)
    near = ((centres - torch.tensor([36.0, 40.0])).abs() < 10).all(1).nonzero()[:, 0][:4]
    heights[near] = 32 * torch.tensor([0.35, 0.5, 0.45, 0.42])
    boxes = torch.stack([torch.full_like(heights, part) for part in (20.0, 24.0, 52.0, 24.0)], 1)
    boxes[:, 3] += heights
    distances = (torch.cat([centres - boxes[:, :2], boxes[:, 2:] - centres], 1) / stride)[None]
    offsets = _perfect(batch)[2]
    held = torch.full((1, len(centres)), 1.0)
    logits = held.clone().requires_grad_()
    held_score_loss((logits, distances, offsets), held, batch).backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()
    anchor, face, weight = winners(held, boxes[None], batch)
    assert sorted(anchor.tolist()) == near[1:].tolist()
    assert face.tolist() == [0, 0, 0]
    assert weight.sum().item() == pytest.approx(1)
    boxes[near[0], 3] = 56.0  # one fits: the others are beside
    assert winners(held, boxes[None], batch)[0].tolist() == near[[0, 1, 2, 3]].tolist()


def test_a_doubtful_place_moves_scores_where_there_is_no_other_loss_and_nothing_else() -> None:
    batch = _batch([20, 24, 52, 56])
    batch.faces[0, SURENESS], batch.faces[0, DOUBTFUL] = -1.0, 1
    batch.counted[:] = False
    distances, _, offsets = _perfect(batch)
    held = torch.full((1, batch.counted.shape[1]), 0.5)
    terms = held_losses((held, distances, offsets), held, batch)
    assert terms.score > 0
    assert terms.box == terms.landmarks == 0
    assert not losses((held, distances, offsets), batch).box


@pytest.mark.parametrize(
    ("size", "sureness", "moved", "doubtful"),
    [
        (32, 2.0, 1.0, 0),
        (32, 0.9, -0.1, 0),
        (32, 0.0, -0.15, 0),  # a clear face is one
        (32, 9.0, 5.0, 0),
        (12, 0.0, -1.0, 0),
        (12, 9.0, 3.5, 0),
        (12, -9.0, -3.5, 0),
        (32, np.nan, 0.0, 0),
        (32, 0.0, -1.0, 1),  # a doubtful place is none
        (12, -9.0, -5.0, 1),
    ],
)
def test_scores_move_towards_what_detectors_agree_on(
    size: int, sureness: float, moved: float, doubtful: int
) -> None:
    batch = _batch([20, 24, 20 + size, 24 + size])
    batch.faces[0, SURENESS], batch.faces[0, DOUBTFUL] = sureness, doubtful
    distances, _, offsets = _perfect(batch)
    held = torch.full((1, batch.counted.shape[1]), 0.5)
    held[0, 7] = 1.0
    logits = (held + moved).requires_grad_()
    held_score_loss((logits, distances, offsets), held, batch).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max().item() == pytest.approx(0, abs=1e-6)
