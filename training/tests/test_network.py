"""The network: its budget, its outputs and how it begins."""

import copy

import torch

from training.anchors import anchors
from training.model import ConvNorm, FaceDetector, fuse


def test_the_default_is_within_its_budget(network: FaceDetector) -> None:
    """At most 3 MB of float32 weights and 0.8 G multiply-adds at 640 x 640."""
    multiply_adds = 0
    called: set[torch.nn.Module] = set()

    def count(layer: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal multiply_adds
        multiply_adds += output.numel() * layer.weight[0].numel()
        called.add(layer)

    fused = fuse(copy.deepcopy(network).eval())
    convolutions = [m for m in fused.modules() if isinstance(m, torch.nn.Conv2d)]
    for convolution in convolutions:
        convolution.register_forward_hook(count)
    with torch.no_grad():
        fused(torch.zeros(1, 3, 640, 640))
    assert called == set(convolutions)
    assert multiply_adds <= 0.8e9
    assert sum(p.numel() for p in network.parameters()) * 4 <= 3e6


def test_a_norm_whose_statistics_stay_is_computed_with_its_convolution() -> None:
    torch.manual_seed(0)
    unit = ConvNorm(8, 8, stride=2, groups=8).double().train()
    x = torch.randn(4, 8, 12, 12, dtype=torch.double, requires_grad=True)
    for _ in range(20):
        unit(x * 3 + 1)
    unit.eval()
    one = [x, *unit.parameters()]
    parts = torch.nn.Sequential(*unit)  # the two modules, one after the other
    torch.testing.assert_close(unit(x), parts(x))
    for ours, theirs in zip(
        torch.autograd.grad(unit(x).square().sum(), one),
        torch.autograd.grad(parts(x).square().sum(), one),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_outputs_are_in_the_order_of_the_anchors(network: FaceDetector) -> None:
    with torch.no_grad():
        scores, boxes, landmarks = network(torch.zeros(2, 3, 96, 96))
    count = len(anchors(96)[0])
    assert scores.shape == (2, count)
    assert boxes.shape == (2, count, 4)
    assert landmarks.shape == (2, count, 10)


def test_what_the_heads_see_of_stride_4_begins_as_nothing(network: FaceDetector) -> None:
    features = network.features(torch.randn(1, 3, 64, 64))
    assert [f.shape[-1] for f in features] == [16, 8, 4, 2]
    assert (network.detail(features[0]) == 0).all()
    assert (network.place_detail(features[0]) == 0).all()
