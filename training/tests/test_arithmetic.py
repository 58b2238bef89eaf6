"""Faster arithmetic gives the same."""

import copy

import pytest
import torch

from training import arithmetic
from training.arithmetic import use_float32_where_faster
from training.model import FaceDetector


@pytest.mark.parametrize("faster", ["_Float32Gradients", "Conv2d"])
def test_float32_where_a_trial_is_faster_changes_no_more_than_rounding(
    network: FaceDetector, faster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    usual, chosen = copy.deepcopy(network).eval(), copy.deepcopy(network).eval()
    monkeypatch.setattr(arithmetic, "_seconds", lambda *trial: trial[-1].__name__ != faster)
    use_float32_where_faster(chosen)
    depthwise = [m for m in chosen.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1]
    assert {type(m).__name__ for m in depthwise if m.groups == m.in_channels} == {faster}
    assert chosen.state_dict().keys() == usual.state_dict().keys()
    views = torch.rand(2, 3, 96, 96) * 2 - 1
    gradients = []
    for one in (usual, chosen):
        with torch.autocast("cpu", torch.bfloat16):
            logits, boxes, _ = one(views)
        assert logits.dtype is torch.bfloat16
        (logits.float().sigmoid().sum() + boxes.float().mean()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in one.parameters() if p.grad is not None]))
    alike = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert alike > 0.99
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(chosen(views)[0], usual(views)[0])
