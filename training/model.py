"""The detector's network, after SCRFD (Guo et al., 2021, arXiv 2105.04714), built of depthwise-separable blocks.

Three levels at strides 8, 16 and 32; two anchors a cell; per anchor one score, four distances to the box's sides and
five landmarks, distances and landmarks in units of the stride.
"""

from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.anchors import ANCHORS_PER_CELL, STRIDES

__all__ = ["ConvNormAct", "FaceDetector", "NetworkSize", "Predictions", "fuse"]

Predictions: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Logits (B, N), distances (B, N, 4) and landmarks (B, N, 10) of the N anchors of all levels, finest level first."""


@dataclass(frozen=True)
class NetworkSize:
    """Channels and depths; the default is 0.76 G multiply-adds at 640 x 640."""

    stem: tuple[int, int] = (16, 32)
    stage_channels: tuple[int, int, int] = (72, 144, 288)
    stage_depths: tuple[int, int, int, int] = (2, 3, 4, 3)
    """Blocks at stride 4 and at strides 8, 16 and 32."""
    neck_channels: int = 40
    head_channels: int = 64
    dense_finest: bool = True
    """A dense 3 x 3 convolution before the stride-8 head, where the smallest faces are found."""


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, ReLU (unless ``act`` is false)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, momentum=0.03),
        ]
        if act:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class SeparableBlock(nn.Module):
    """Depthwise 3 x 3, then pointwise 1 x 1 (Howard et al., 2017), with a shortcut where the shape allows one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = ConvNormAct(inputs, outputs, 1)
        self.shortcut = shortcut and stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(x))
        return x + y if self.shortcut else y


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        SeparableBlock(inputs, outputs, 2), *(SeparableBlock(outputs, outputs) for _ in range(depth - 1))
    )


class Head(nn.Module):
    """One level's score, distances and landmarks."""

    def __init__(self, inputs: int, channels: int, dense: bool) -> None:
        super().__init__()
        first: list[nn.Module] = [ConvNormAct(inputs, inputs)] if dense else []
        self.blocks = nn.Sequential(
            *first, SeparableBlock(inputs, channels), SeparableBlock(channels, channels)
        )
        self.score = nn.Conv2d(channels, ANCHORS_PER_CELL, 1)
        self.bbox = nn.Conv2d(channels, ANCHORS_PER_CELL * 4, 1)
        self.kps = nn.Conv2d(channels, ANCHORS_PER_CELL * 10, 1)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Predictions:
        x = self.blocks(x)
        batch = x.shape[0]

        def rows(y: Tensor, width: int) -> Tensor:
            return y.permute(0, 2, 3, 1).reshape(batch, -1, width)

        return rows(self.score(x), 1).squeeze(-1), rows(self.bbox(x), 4) * self.scale, rows(self.kps(x), 10)


class FaceDetector(nn.Module):
    """Backbone, path-aggregation feature pyramid (Liu et al., 2018) and a head per level."""

    def __init__(self, size: NetworkSize | None = None) -> None:
        super().__init__()
        size = size or NetworkSize()
        first, second = size.stem
        c3, c4, c5 = size.stage_channels
        d2, d3, d4, d5 = size.stage_depths
        neck = size.neck_channels
        self.stem = nn.Sequential(
            ConvNormAct(3, first, 3, 2),
            ConvNormAct(first, second, 3, 2),
            *(SeparableBlock(second, second) for _ in range(d2)),
        )
        self.stage3 = _stage(second, c3, d3)
        self.stage4 = _stage(c3, c4, d4)
        self.stage5 = _stage(c4, c5, d5)
        self.lateral = nn.ModuleList(ConvNormAct(c, neck, 1) for c in (c3, c4, c5))
        self.top_down = nn.ModuleList(SeparableBlock(neck, neck, shortcut=False) for _ in range(2))
        self.down = nn.ModuleList(ConvNormAct(neck, neck, 3, 2, groups=neck) for _ in range(2))
        self.bottom_up = nn.ModuleList(SeparableBlock(neck, neck, shortcut=False) for _ in range(2))
        self.heads = nn.ModuleList(
            Head(neck, size.head_channels, dense=size.dense_finest and level == 0)
            for level in range(len(STRIDES))
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                mode = "fan_out" if module.groups == 1 else "fan_in"
                nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
        for head in cast("list[Head]", list(self.heads)):
            for layer in (head.score, head.bbox, head.kps):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(cast("Tensor", layer.bias))
            # A face is rare: begin at a score of 0.01, so that the first steps are not spent on the background.
            nn.init.constant_(cast("Tensor", head.score.bias), -4.6)
            with torch.no_grad():
                # Half of the smaller and the larger anchor, in strides.
                cast("Tensor", head.bbox.bias)[:4] = 1.0
                cast("Tensor", head.bbox.bias)[4:] = 2.0

    def forward(self, x: Tensor) -> Predictions:
        """Return the predictions of all levels for pictures (B, 3, H, W), H and W multiples of 32."""
        scores, boxes, landmarks = zip(*self.levels(x), strict=True)
        return torch.cat(scores, 1), torch.cat(boxes, 1), torch.cat(landmarks, 1)

    def levels(self, x: Tensor) -> list[Predictions]:
        """Return the predictions of each level by itself."""
        c3 = self.stage3(self.stem(x))
        c4 = self.stage4(c3)
        c5 = self.stage5(c4)
        p3, p4, p5 = (lateral(c) for lateral, c in zip(self.lateral, (c3, c4, c5), strict=True))
        p4 = self.top_down[0](p4 + functional.interpolate(p5, scale_factor=2.0))
        p3 = self.top_down[1](p3 + functional.interpolate(p4, scale_factor=2.0))
        n4 = self.bottom_up[0](p4 + self.down[0](p3))
        n5 = self.bottom_up[1](p5 + self.down[1](n4))
        return [head(p) for head, p in zip(self.heads, (p3, n4, n5), strict=True)]


def fuse(network: FaceDetector) -> FaceDetector:
    """Fold every batch norm into the convolution before it, in place; the network must be in evaluation mode."""
    for module in network.modules():
        if isinstance(module, ConvNormAct):
            module[0] = fuse_conv_bn_eval(cast("nn.Conv2d", module[0]), cast("nn.BatchNorm2d", module[1]))
            module[1] = nn.Identity()
    return network
