"""What makes a step faster on a CPU: which convolutions take the fast path, and whether bfloat16 pays."""

import copy
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from training.model import FaceDetector

__all__ = ["bfloat16_pays", "use_float32_where_faster", "use_onednn"]


def use_onednn(network: nn.Module) -> None:
    """Keep 1 x 1 convolutions off PyTorch's own slow path, which it takes for fewer than 16 views in one thread.

    The dilation of a single point changes nothing but that choice: a step takes about a fifth less.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            module.dilation = (2, 2)


def bfloat16_pays(network: FaceDetector) -> bool:
    """Return whether a step is faster in bfloat16 here than in float32: without AMX it may take 20 times as long.

    Small views show that at once; how much is gained shows in views of the usual size only.
    """

    def seconds(trial: FaceDetector, enabled: bool, side: int) -> float:
        views = torch.zeros(4, 3, side, side).contiguous(memory_format=torch.channels_last)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                predictions = trial(views)
            torch.stack([p.float().sum() for p in predictions]).sum().backward()

        return _least_seconds(step)

    trial = copy.deepcopy(network)
    if seconds(trial, True, 96) > 3 * seconds(trial, False, 96):
        return False
    in_float32 = seconds(trial, False, 320)
    use_float32_where_faster(trial)
    return seconds(trial, True, 320) < in_float32


class _Float32Gradients(nn.Conv2d):
    """A convolution that is computed in float32 where its gradients are wanted; the output is of its input's type."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not torch.is_grad_enabled():
            return super()._conv_forward(x, weight, bias)
        with torch.autocast("cpu", enabled=False):
            bias = None if bias is None else bias.float()
            return super()._conv_forward(x.float(), weight.float(), bias).to(x.dtype)


def use_float32_where_faster(network: nn.Module) -> None:
    """Let depthwise convolutions have float32 gradients, in a network computed in bfloat16, where a trial is faster.

    On a Xeon with AMX those of stride 2 and those of 5 x 5 take 0.37 of the time then, those of 3 x 3 more than before.
    """
    chosen: dict[tuple[int, int], type[nn.Conv2d]] = {}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            kind = module.kernel_size[0], module.stride[0]
            if kind not in chosen:
                kinds = (nn.Conv2d, _Float32Gradients)
                chosen[kind] = min(kinds, key=partial(_seconds, module.in_channels, *kind))
            module.__class__ = chosen[kind]


def _seconds(channels: int, kernel: int, stride: int, kind: type[nn.Conv2d]) -> float:
    """The least time of a depthwise convolution's step in bfloat16, views of the usual size."""
    convolution = kind(channels, channels, kernel, stride, kernel // 2, groups=channels)
    x = torch.zeros(16, channels, 40, 40, dtype=torch.bfloat16, requires_grad=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            convolution(x.contiguous(memory_format=torch.channels_last)).sum().backward()

    return _least_seconds(step)


def _least_seconds(step: Callable[[], None]) -> float:
    """The least processor time of six steps: what else runs here only adds to it."""
    taken = []
    for _ in range(6):
        start = time.process_time()
        step()
        taken.append(time.process_time() - start)
    return min(taken)
