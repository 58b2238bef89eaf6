"""What the network is trained to lower.

Quality focal loss for the scores (Li et al., 2020, arXiv 2006.04388), distance IoU for the boxes (Zheng et al., 2020,
arXiv 1911.08287) and a smooth L1 of the landmarks in units of the face's size.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.anchors import anchors
from training.batches import Batch
from training.model import Predictions

__all__ = ["Losses", "losses"]

_FOCUS = 2.0
_LANDMARK_BETA = 0.05


class Losses(NamedTuple):
    """The three terms and the positives' mean IoU; scalars."""

    score: Tensor
    box: Tensor
    landmarks: Tensor
    iou: Tensor


def losses(predictions: Predictions, batch: Batch) -> Losses:
    """Compare predictions with a batch's targets."""
    logits, distances, offsets = (p.float() for p in predictions)
    size = batch.pixels.shape[1]
    centres, strides = _grid(size)
    anchor = batch.positive % len(strides)
    centre, stride = centres[anchor], strides[anchor][:, None]

    reach = distances.reshape(-1, 4)[batch.positive] * stride
    iou, box_loss = _distance_iou(torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], 1), batch.boxes)

    target = torch.zeros_like(logits).reshape(-1)
    # The square root: a score of 0.9 for an IoU of 0.8, so that the threshold 0.5 has room on both sides.
    target[batch.positive] = iou.detach().clamp(0, 1).sqrt()
    logits = logits.reshape(-1)
    difficulty = (target - logits.detach().sigmoid()).abs().pow(_FOCUS)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score = (entropy * difficulty * batch.counted.reshape(-1)).sum() / max(len(anchor), 1)

    # Anchors that fit their face better count more, as in GFL.
    weight = target[batch.positive].clamp(min=0.1)
    box = (box_loss * weight).sum() / weight.sum().clamp(min=1e-3)

    known = batch.landmarks.isfinite().all(1)
    points = (
        offsets.reshape(-1, 5, 2)[batch.positive][known] * stride[known][..., None] + centre[known][:, None]
    )
    face = (batch.boxes[known][:, 2:] - batch.boxes[known][:, :2]).mean(1)[:, None, None]
    error = functional.smooth_l1_loss(
        points / face, batch.landmarks[known].reshape(-1, 5, 2) / face, beta=_LANDMARK_BETA, reduction="none"
    )
    landmarks = (error.mean((1, 2)) * weight[known]).sum() / weight[known].sum().clamp(min=1e-3)
    return Losses(score, box, landmarks, iou.detach().mean() if len(iou) else torch.zeros(()))


@cache
def _grid(size: int) -> tuple[Tensor, Tensor]:
    boxes, strides = anchors(size)
    return torch.from_numpy((boxes[:, :2] + boxes[:, 2:]) / 2), torch.from_numpy(strides).float()


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
