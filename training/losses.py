"""What the network is trained to lower.

Quality focal loss for the scores (Li et al., 2020, arXiv 2006.04388), distance IoU for the boxes (Zheng et al., 2020,
arXiv 1911.08287) and a smooth L1 of the landmarks in units of the face's size. Which anchors are a face's own is
decided anew in every step by what they predict: SimOTA (Ge et al., 2021, arXiv 2107.08430), as YuNet was trained.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.anchors import anchors
from training.batches import Batch
from training.geometry import DOUBTFUL, LANDMARKS, SURENESS
from training.model import Predictions

__all__ = ["Losses", "Positives", "Usual", "assign", "held_losses", "held_score_loss", "losses", "winners"]

_FOCUS = 2.0
_LANDMARK_BETA = 0.05
_REACH = 2.5
"""An anchor's centre lies within so many strides of its face's centre."""
_MOST_ANCHORS = 20
_IOU_COST = 3.0
_OUTSIDE_COST = 1e3
_ON_FACE, _BESIDE, _FITTING = 0.3, 0.4, 0.55
_TOUCHING = 0.1
_NEAR_HIGHEST = 0.7
_MOST_MISPLACED = 3
_FARTHEST, _FARTHEST_CLEAR, _CLEAR = 3.5, 5.0, 16.0
"""How far a face's scores go to what detectors agree on, logits, and how far from so many pixels on or if doubtful."""
_FEWEST_ANCHORS, _USUAL_ANCHORS = 6, 25
"""So many anchors are on a face of 8 px, and on one of 16 to 32 px; on one of 64 px and more there are 100."""
_USUAL_BATCHES = 100
"""A running mean reaches about so far back."""
_LEAST_CLEAR = 0.85
"""From there on a face is one, however unsure detectors are of a profile or of a half in the dark; a score of 0.7."""


class Losses(NamedTuple):
    """The four terms and the positives' mean IoU; scalars."""

    score: Tensor
    box: Tensor
    landmarks: Tensor
    steadiness: Tensor
    iou: Tensor


class Positives(NamedTuple):
    """The anchors that are a face's own: indices in the flattened (B, N), and their faces' indices; both (P,)."""

    anchors: Tensor
    faces: Tensor


class Usual:
    """How many faces, or anchors on faces, a batch usually has: running means, by name.

    Where a loss is divided by a batch's own count, a batch with few faces, whose loss is nearly all of false alarms,
    counts for many times as much as another. Detectron2's RetinaNet divides by a running mean, too.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def __call__(self, name: str, count: float) -> float:
        """Return the mean, at least 1, with a batch's ``count`` in it."""
        mean, batches = self._seen.get(name, (0.0, 0))
        mean += (count - mean) / min(batches + 1, _USUAL_BATCHES)
        self._seen[name] = mean, batches + 1
        return max(mean, 1.0)


@torch.no_grad()
def assign(logits: Tensor, boxes: Tensor, batch: Batch) -> Positives:
    """Return the anchors of each face: those that predict it best, at least one, by logits (B, N) and boxes (B, N, 4).

    An anchor may be a face's own if its centre lies in the face's box or within 2.5 strides of the face's centre; best
    if both. Its cost is the cross-entropy of its score and three times the negative logarithm of its IoU. A face takes
    about as many anchors as the sum of its twenty best IoUs; one that two faces want goes to that which it costs less.
    """
    size = batch.pixels.shape[1]
    centres, strides = _grid(size)
    count = len(strides)
    chosen: list[Tensor] = []
    owners: list[Tensor] = []
    for view in range(len(logits)):
        mine = _faces_of(batch, view)
        if not len(mine):
            continue
        faces = batch.faces[mine, :4]
        middle = (faces[:, :2] + faces[:, 2:]) / 2
        near = ((centres[None] - middle[:, None]).abs() < _REACH * strides[None, :, None]).all(-1)
        inside = ((centres[None] > faces[:, None, :2]) & (centres[None] < faces[:, None, 2:])).all(-1)
        candidates = (near | inside).any(0).nonzero()[:, 0]
        overlap = _pairwise_iou(faces, boxes[view, candidates])
        own_score = logits[view, candidates]
        cost = functional.softplus(-own_score)[None] - _IOU_COST * (overlap + 1e-7).log()
        cost = (
            cost
            + _OUTSIDE_COST * ~(near & inside)[:, candidates]
            + 100 * _OUTSIDE_COST * ~(near | inside)[:, candidates]
        )
        most = min(_MOST_ANCHORS, len(candidates))
        wanted = overlap.topk(most, 1).values.sum(1).long().clamp(1, most)
        order = cost.argsort(1)
        matched = torch.zeros_like(cost, dtype=torch.bool)
        matched.scatter_(1, order[:, :most], torch.arange(most)[None] < wanted[:, None])
        cheapest = torch.where(matched, cost, torch.inf)
        owner = cheapest.argmin(0)
        taken = matched.any(0).nonzero()[:, 0]
        chosen.append(candidates[taken] + view * count)
        owners.append(mine[owner[taken]])
    nothing = torch.zeros(0, dtype=torch.long)
    return Positives(torch.cat([nothing, *chosen]), torch.cat([nothing, *owners]))


def losses(predictions: Predictions, batch: Batch) -> Losses:
    """Compare predictions with a batch's labels."""
    logits, distances, offsets = (p.float() for p in predictions)
    centres, strides = _grid(batch.pixels.shape[1])
    boxes = _boxes(distances, centres, strides)
    positives, face = assign(logits, boxes, batch)
    anchor = positives % len(strides)
    centre, stride = centres[anchor], strides[anchor][:, None]
    truth = batch.faces[face]

    iou, box_loss = _distance_iou(boxes.reshape(-1, 4)[positives], truth[:, :4])

    target = torch.zeros_like(logits).reshape(-1)
    # The square root: a score of 0.9 for an IoU of 0.8, so that the threshold 0.5 has room on both sides.
    target[positives] = iou.detach().clamp(0, 1).sqrt()
    counted = batch.counted.reshape(-1).clone()
    counted[positives] = True
    logits = logits.reshape(-1)
    difficulty = (target - logits.detach().sigmoid()).abs().pow(_FOCUS)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score = (entropy * difficulty * counted).sum() / max(len(anchor), 1)

    # Anchors that fit their face better count more, as in GFL.
    weight = target[positives].clamp(min=0.1)
    box = (box_loss * weight).sum() / weight.sum().clamp(min=1e-3)

    known = truth[:, LANDMARKS].isfinite().all(1)
    points = offsets.reshape(-1, 5, 2)[positives][known] * stride[known][..., None] + centre[known][:, None]
    side = (truth[known, 2:4] - truth[known, :2]).mean(1)[:, None, None]
    error = functional.smooth_l1_loss(
        points / side, truth[known, LANDMARKS].reshape(-1, 5, 2) / side, beta=_LANDMARK_BETA, reduction="none"
    )
    landmarks = (error.mean((1, 2)) * weight[known]).sum() / weight[known].sum().clamp(min=1e-3)
    nothing = torch.zeros(())
    return Losses(score, box, landmarks, nothing, iou.detach().mean() if len(iou) else nothing)


def held_score_loss(
    predictions: Predictions, held: Tensor, batch: Batch, usual: Usual | None = None
) -> Tensor:
    """The focal loss of scores that are held to others on faces and to zero elsewhere; a scalar.

    What a network knows of faces stays (learning without forgetting: Li and Hoiem, 2016, arXiv 1606.09282); what the
    labels say is no face, and boxes that lie beside their face, it unlearns. Where the labels say how sure several
    detectors are of a face, or of a doubtful place, its scores move together, so that the highest comes nearer to that.
    A face counts by the root of how many anchors are on it: a large one has ten times as many as a small one. So does
    what is left of a small masked one.

    Args:
        predictions: Of the network in training.
        held: Logits (B, N) of the network that it began as, for the same views.
        batch: The views' labels. An anchor is on the face with which the box that it predicts has the highest IoU, from
            0.3 on; its score is held in full from an IoU of 0.55 on, and to zero up to 0.4. Those that touch a face
            which no box fits give no loss: the face is there, what must move is its box.
        usual: What the anchors on faces are counted against; without it a batch's own count.
    """
    logits, distances, _ = (p.float() for p in predictions)
    centres, strides = _grid(batch.pixels.shape[1])
    boxes = _boxes(distances.detach(), centres, strides)
    held = held.float().clone()
    quality = torch.zeros_like(logits)
    on_face = torch.zeros_like(logits, dtype=torch.bool)
    spared = torch.zeros_like(on_face)
    weight = torch.ones_like(logits)
    on_sure_face = torch.zeros_like(on_face)
    for view in range(len(logits)):
        masked = batch.masked[batch.masked_view == view]
        if len(masked):
            overlap, owner = _pairwise_iou(masked, boxes[view]).max(0)
            weight[view] = _equally(owner, overlap >= _ON_FACE, len(masked)).clamp(min=1)
        faces = batch.faces[batch.view == view]
        if not len(faces):
            continue
        overlap, owner = _pairwise_iou(faces[:, :4], boxes[view]).max(0)
        on_face[view] = overlap >= _ON_FACE
        on_sure_face[view] = on_face[view] & ~_doubtful(faces)[owner]
        quality[view] = ((overlap - _BESIDE) / (_FITTING - _BESIDE)).clamp(0, 1)
        misplaced = torch.zeros_like(faces[:, 0]).scatter_reduce(0, owner, overlap, "amax") < _FITTING
        spared[view] = misplaced[owner] & (overlap >= _TOUCHING)
        weight[view] = torch.where(on_face[view], _equally(owner, on_face[view], len(faces)), weight[view])
        held[view] += _moves(held[view], overlap, owner, faces)[owner]
    target = held.sigmoid() * quality
    difficulty = (target - logits.detach().sigmoid()).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # Less than this entropy no score that is not 0 or 1 can have.
    least = functional.binary_cross_entropy(target, target, reduction="none")
    counted = ((batch.counted | on_face) & ~spared).float()
    loss = ((entropy - least) * difficulty * counted * weight).sum()
    return loss / (usual or Usual())("anchors", float(on_sure_face.sum()))


def _equally(owner: Tensor, on: Tensor, faces: int) -> Tensor:
    """What each anchor (N,) counts so that a face counts by the root of how many are ``on`` it; 1 for those on none."""
    own = torch.zeros(faces).index_add(0, owner, on.float())
    return torch.where(on, (_USUAL_ANCHORS / own.clamp(min=_FEWEST_ANCHORS)).sqrt()[owner], 1.0)


def _moves(held: Tensor, overlap: Tensor, owner: Tensor, faces: Tensor) -> Tensor:
    """How far the logits of each face (G,) move; not at all if it has no fitting box or its sureness is unknown."""
    sureness = faces[:, SURENESS]
    fitting = torch.where(overlap >= _FITTING, held, -torch.inf)
    highest = torch.full_like(sureness, -torch.inf).scatter_reduce(0, owner, fitting, "amax")
    known = sureness.isfinite() & highest.isfinite()
    doubtful = _doubtful(faces)
    clear = (faces[:, 2:4] - faces[:, :2]).prod(1).sqrt() >= _CLEAR
    sureness = torch.where(clear & ~doubtful, sureness.clamp(min=_LEAST_CLEAR), sureness)
    apart = torch.where(known, sureness - highest, 0.0)
    farthest = torch.where(clear | doubtful, _FARTHEST_CLEAR, _FARTHEST)
    return torch.minimum(torch.maximum(apart, -farthest), farthest)


def held_losses(predictions: Predictions, held: Tensor, batch: Batch, usual: Usual | None = None) -> Losses:
    """:func:`held_score_loss`, and the L1 losses of the boxes' sides and of the landmarks by the face's size.

    L1 rather than an IoU: the median of where a side may be, so that boxes of faces that are hard to see do not grow.
    It asks nothing of a box that is wrong by more than it wavers, so that this has a loss of its own: how far a face's
    winners lie from their mean, those in the view's twin included.

    Args:
        predictions: Of the network in training.
        held: Logits (B, N) of the network that it began as, for the same views.
        batch: The views' labels.
        usual: What faces, and anchors on them, are counted against; without it a batch's own counts.
    """
    usual = usual or Usual()
    _, distances, offsets = (p.float() for p in predictions)
    centres, strides = _grid(batch.pixels.shape[1])
    boxes = _boxes(distances, centres, strides)
    winning, face, weight = winners(held.float().sigmoid(), boxes.detach(), batch)
    truth = batch.faces[face]
    side = (truth[:, 2:4] - truth[:, :2]).prod(1).sqrt()[:, None]
    found = boxes.reshape(-1, 4)[winning]
    beside = (found - truth[:, :4]) / side
    at = winning % len(strides)
    points = offsets.reshape(-1, 5, 2)[winning] * strides[at][:, None, None] + centres[at][:, None]
    known = truth[:, LANDMARKS].isfinite().all(1)
    landmarks = ((points.reshape(-1, 10) - truth[:, LANDMARKS])[known] / side[known]).abs().mean(1)
    iou, _ = _distance_iou(found.detach(), truth[:, :4])
    # A face's weights sum to 1.
    faces = usual("faces", float(weight.sum()))
    return Losses(
        held_score_loss(predictions, held, batch, usual),
        (beside.abs().mean(1) * weight).sum() / faces,
        (landmarks * weight[known]).sum() / usual("landmarks", float(weight[known].sum())),
        (_wavering(beside, weight, batch.person[face]) * weight).sum() / faces,
        _mean(iou, weight),
    )


def winners(scores: Tensor, boxes: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the anchors that non-maximum suppression might leave of each face: theirs are the places that matter.

    The others' boxes are often those of a part of the face or of two faces, and to learn from them makes all worse.

    Args:
        scores: (B, N).
        boxes: (B, N, 4), pixels.
        batch: The views' labels. Faces that the view cuts have no winners: nobody can tell where they end; doubtful
            ones have none either.

    Returns:
        Indices in the flattened (B, N), their faces' indices, and their weights, which sum to 1 for each face; all
        (P,). A face's winners lie nearer to its centre than to another's, by the face's size; within half a face or a
        stride; their IoU with it is 0.4 or more, and their score 0.7 of its highest or more. They count by the fourth
        power of that part. A face that no box fits (an IoU of 0.55) takes the three whose boxes fit it best instead,
        from an IoU of 0.1 on.
    """
    view_size = batch.pixels.shape[1]
    centres, strides = _grid(view_size)
    chosen, owners, weights = [], [], []
    for view in range(len(boxes)):
        mine = _faces_of(batch, view)
        if not len(mine):
            continue
        faces = batch.faces[mine, :4]
        side = (faces[:, 2:] - faces[:, :2]).prod(1).sqrt()
        uncut = (faces[:, :2] > 0).all(1) & (faces[:, 2:] < view_size).all(1)
        apart = (centres[None] - ((faces[:, :2] + faces[:, 2:]) / 2)[:, None]).abs().amax(-1)
        owner = (apart / side[:, None]).argmin(0)
        near = apart.gather(0, owner[None])[0] < torch.maximum(side[owner] / 2, strides)
        own = near.nonzero()[:, 0]
        owner, score = owner[own], scores[view, own]
        part = score / torch.zeros_like(side).scatter_reduce(0, owner, score, "amax")[owner]
        overlap, _ = _distance_iou(boxes[view, own], faces[owner])
        misplaced, best = _misplaced(overlap, owner, len(mine))
        part = torch.where(misplaced[owner], best.float(), part)
        least = torch.where(misplaced, _TOUCHING, _BESIDE)[owner]
        kept = (part >= _NEAR_HIGHEST) & (overlap >= least) & uncut[owner]
        owner, weight = owner[kept], part[kept].pow(4)
        chosen.append(own[kept] + view * len(strides))
        owners.append(mine[owner])
        weights.append(weight / torch.zeros_like(side).scatter_add(0, owner, weight)[owner])
    nothing = torch.zeros(0, dtype=torch.long)
    return torch.cat([nothing, *chosen]), torch.cat([nothing, *owners]), torch.cat([torch.zeros(0), *weights])


def _misplaced(overlap: Tensor, owner: Tensor, faces: int) -> tuple[Tensor, Tensor]:
    """Return which faces (G,) no box fits, and which boxes (P,) are among the three that fit their face best."""
    own = torch.where(owner == torch.arange(faces)[:, None], overlap, 0.0)
    overlaps, boxes = own.topk(min(_MOST_MISPLACED, len(owner)), 1)
    best = torch.zeros_like(owner, dtype=torch.bool)
    best[boxes[overlaps > 0]] = True
    return (own < _FITTING).all(1), best


def _wavering(beside: Tensor, weight: Tensor, person: Tensor) -> Tensor:
    """How far each box (P, 4), less its face's, lies from the mean of those of the same person; (P,)."""
    most = int(person.max()) + 1 if len(person) else 0
    total = torch.zeros(most).index_add(0, person, weight)
    mean = torch.zeros(most, 4).index_add(0, person, (beside * weight[:, None]).detach()) / total[:, None]
    return (beside - mean[person]).abs().mean(1)


def _faces_of(batch: Batch, view: int) -> Tensor:
    """The indices of a view's faces, the doubtful ones left out."""
    return ((batch.view == view) & ~_doubtful(batch.faces)).nonzero()[:, 0]


def _doubtful(faces: Tensor) -> Tensor:
    return faces[:, DOUBTFUL] > 0


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def _boxes(distances: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Boxes (B, N, 4), pixels."""
    reach = distances * strides[:, None]
    return torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1)


@cache
def _grid(size: int) -> tuple[Tensor, Tensor]:
    boxes, strides = anchors(size)
    return torch.from_numpy((boxes[:, :2] + boxes[:, 2:]) / 2), torch.from_numpy(strides).float()


def _pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (G, N) of ``a`` (G, 4) with ``b`` (N, 4)."""
    both = (
        (torch.min(a[:, None, 2:], b[None, :, 2:]) - torch.max(a[:, None, :2], b[None, :, :2]))
        .clamp(min=0)
        .prod(-1)
    )
    areas = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).clamp(min=0).prod(1)[None]
    return both / (areas - both + 1e-6)


def _distance_iou(boxes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """IoU (P,) and 1 - DIoU (P,)."""
    both = (
        (torch.min(boxes[:, 2:], targets[:, 2:]) - torch.max(boxes[:, :2], targets[:, :2]))
        .clamp(min=0)
        .prod(1)
    )
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    iou = both / (area + (targets[:, 2:] - targets[:, :2]).prod(1) - both + 1e-6)
    hull = torch.max(boxes[:, 2:], targets[:, 2:]) - torch.min(boxes[:, :2], targets[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - targets[:, :2] - targets[:, 2:]).pow(2).sum(1) / 4
    return iou, 1 - iou + apart / (hull.pow(2).sum(1) + 1e-6)
