"""The detector's network: SCRFD's outputs (Guo et al., 2021, arXiv 2105.04714) on YuNet's units (Wu et al., 2023).

Three levels at strides 8, 16 and 32; two anchors a cell; per anchor one score, four distances to the box's sides and
five landmarks, distances and landmarks in units of the stride. Everything but the :class:`Residual` blocks has the
shapes of YuNet-n's layers, so that :mod:`training.transfer` can begin with its weights; those blocks, at the end of the
coarser stages or passed by the scores alone or by the boxes and landmarks alone, begin as the identity, and what these
see of stride 4 (:class:`Detail`) begins as nothing.
"""

from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.anchors import ANCHORS_PER_CELL, STRIDES

__all__ = [
    "ConvNorm",
    "Detail",
    "FaceDetector",
    "Head",
    "NetworkSize",
    "PointDepth",
    "Predictions",
    "Residual",
    "fuse",
]

Predictions: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Logits (B, N), distances (B, N, 4) and landmarks (B, N, 10) of the N anchors of all levels, finest level first."""

_LARGEST_LOG = 5.0
"""A box is at most e^5 strides wide: no input makes an infinite one."""


@dataclass(frozen=True)
class NetworkSize:
    """Channels and depths."""

    stem: int = 16
    channels: int = 64
    """Of every level, neck and heads included."""
    refinements: int = 3
    """Residual blocks before a head's scores."""
    place_refinements: int = 1
    """Residual blocks before a head's boxes and landmarks."""
    context: tuple[int, ...] = (0, 2, 4)
    """Residual blocks of 5 x 5 at the end of the stages of strides 8, 16 and 32: there they cost little."""


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch norm.

    In evaluation mode both are one convolution, through which gradients reach the weights of both: a step whose
    statistics stay takes a tenth less.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, momentum=0.03),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        conv, norm = cast("nn.Conv2d", self[0]), self[1]
        if norm.training or not isinstance(norm, nn.BatchNorm2d):
            return cast("Tensor", norm(conv(x)))
        # PyTorch's fuse_conv_bn_weights makes new parameters, through which no gradient comes.
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        scale = norm.weight * (variance + norm.eps).rsqrt()
        return conv._conv_forward(x, conv.weight * scale[:, None, None, None], norm.bias - mean * scale)


class PointDepth(nn.Module):
    """Pointwise 1 x 1, then depthwise 3 x 3, batch norm and ReLU: YuNet's unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.depthwise = ConvNorm(outputs, outputs, groups=outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H, W)."""
        return functional.relu(self.depthwise(self.pointwise(x)))


class Residual(nn.Module):
    """Depthwise, then pointwise 1 x 1, added to the input.

    The last batch norm begins at zero, so that the block begins as the identity.
    """

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = ConvNorm(channels, channels, kernel, groups=channels)
        self.project = ConvNorm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H, W)."""
        return x + cast("Tensor", self.project(functional.relu(self.depthwise(x))))


class Output(nn.Module):
    """Pointwise 1 x 1 to ``inner`` channels, then 3 x 3 in groups to ``outputs``: one kind of a head's predictions."""

    def __init__(self, channels: int, inner: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.width = outputs // ANCHORS_PER_CELL
        self.pointwise = nn.Conv2d(channels, inner, 1)
        self.grouped = nn.Conv2d(inner, outputs, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, anchors, width)."""
        y = self.grouped(self.pointwise(x))
        # A plain number: in an exported file the shape is a constant then.
        batch = int(y.shape[0])
        return cast("Tensor", y.permute(0, 2, 3, 1).reshape(batch, -1, self.width))


class Detail(nn.Module):
    """What scores, or places, of stride 8 see of stride 4: depthwise 3 x 3 of stride 2, then pointwise 1 x 1.

    The last batch norm begins at zero, so that nothing is added.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(channels, channels, stride=2, groups=channels)
        self.project = ConvNorm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H / 2, W / 2)."""
        return cast("Tensor", self.project(functional.relu(self.depthwise(x))))


class Head(nn.Module):
    """One level's score, distances and landmarks, from what its unit made of the level."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        anchors, channels = ANCHORS_PER_CELL, size.channels
        self.unit = PointDepth(channels, channels)
        self.refine = nn.Sequential(*(Residual(channels) for _ in range(size.refinements)))
        self.refine_place = nn.Sequential(*(Residual(channels) for _ in range(size.place_refinements)))
        self.score = Output(channels, 2 * anchors, anchors, anchors)
        self.bbox = Output(channels, 4 * anchors, 4 * anchors, 4 * anchors)
        self.kps = Output(channels, 10 * anchors, 10 * anchors, 10 * anchors)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return distances and landmarks."""
        y = self.refine_place(x)
        centre, log_size = self.bbox(y).split(2, -1)
        half = log_size.clamp(max=_LARGEST_LOG).exp() / 2
        return torch.cat([half - centre, half + centre], -1), self.kps(y)

    def logits(self, x: Tensor) -> Tensor:
        """Return the scores' logits (B, anchors)."""
        return cast("Tensor", self.score(self.refine(x))).flatten(1)


class FaceDetector(nn.Module):
    """Backbone, feature pyramid (Lin et al., 2017) and a head per level."""

    def __init__(self, size: NetworkSize | None = None) -> None:
        super().__init__()
        size = size or NetworkSize()
        stem, width = size.stem, size.channels

        self.stem = nn.Sequential(ConvNorm(3, stem, 3, 2), nn.ReLU(inplace=True), PointDepth(stem, stem))
        self.stage2 = nn.Sequential(
            PointDepth(stem, stem),
            PointDepth(stem, width),
            PointDepth(width, width),
            PointDepth(width, width),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(PointDepth(width, width), PointDepth(width, width)) for _ in STRIDES
        )
        self.context = nn.ModuleList(
            nn.Sequential(*(Residual(width, 5) for _ in range(count))) for count in size.context
        )
        self.top_down = nn.ModuleList(PointDepth(width, width) for _ in STRIDES)
        self.heads = nn.ModuleList(Head(size) for _ in STRIDES)
        self.detail = Detail(width)
        self.place_detail = Detail(width)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                mode = "fan_out" if module.groups == 1 else "fan_in"
                nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for last in (m.project for m in self.modules() if isinstance(m, Residual | Detail)):
            nn.init.zeros_(cast("Tensor", last[1].weight))
        for head in cast("list[Head]", list(self.heads)):
            for output in (head.score, head.bbox, head.kps):
                nn.init.normal_(output.grouped.weight, std=0.01)
            # A face is rare: begin at a score of 0.01, so that the first steps are not spent on the background.
            nn.init.constant_(cast("Tensor", head.score.grouped.bias), -4.6)
            with torch.no_grad():
                # The logarithm of the smaller and the larger anchor's sides, in strides.
                sizes = torch.tensor([0, 0, 2.0, 2.0, 0, 0, 4.0, 4.0])
                cast("Tensor", head.bbox.grouped.bias).copy_(torch.where(sizes > 0, sizes.log(), 0.0))

    def forward(self, x: Tensor) -> Predictions:
        """Return the predictions of all levels for pictures (B, 3, H, W), H and W multiples of 32."""
        return self.predictions(self.features(x))

    def predictions(self, features: list[Tensor]) -> Predictions:
        """Return the predictions of all levels, of :meth:`features`."""
        scores, boxes, landmarks = zip(*self._levels(features), strict=True)
        return torch.cat(scores, 1), torch.cat(boxes, 1), torch.cat(landmarks, 1)

    def endings(self) -> list[nn.Module]:
        """Return the modules after the features: those that the scores, the boxes or the landmarks come from."""
        heads = cast("list[Head]", list(self.heads))
        parts = (m for h in heads for m in (h.refine, h.score, h.refine_place, h.bbox, h.kps))
        return [self.detail, self.place_detail, *parts]

    def coarse_stages(self) -> list[nn.Module]:
        """Return the backbone's modules from stride 8 on."""
        return [self.stages, self.context]

    def necks(self) -> list[nn.Module]:
        """Return the modules between the backbone's stages and the endings."""
        return [self.top_down, *(cast("Head", head).unit for head in self.heads)]

    def levels(self, x: Tensor) -> list[Predictions]:
        """Return the predictions of each level by itself."""
        return self._levels(self.features(x))

    def _levels(self, features: list[Tensor]) -> list[Predictions]:
        fine, *levels = features
        levels[0] = levels[0] + self.place_detail(fine)
        boxes = (head(level) for head, level in zip(self.heads, levels, strict=True))
        return [(score, *rest) for score, rest in zip(self.logits(features), boxes, strict=True)]

    def logits(self, features: list[Tensor]) -> list[Tensor]:
        """Return each level's logits, of :meth:`features`."""
        fine, *levels = features
        levels[0] = levels[0] + self.detail(fine)
        return [cast("Head", head).logits(level) for head, level in zip(self.heads, levels, strict=True)]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return what the heads see: stride 4 (B, 64, H / 4, W / 4), then 8, 16 and 32."""
        return self.neck(self.backbone(x))

    def backbone(self, x: Tensor) -> list[Tensor]:
        """Return the stages' outputs: stride 4 (B, 64, H / 4, W / 4), then 8, 16 and 32."""
        return self.coarser(self.finest(x))

    def finest(self, x: Tensor) -> Tensor:
        """Return stride 4 (B, 64, H / 4, W / 4)."""
        return cast("Tensor", self.stage2(functional.max_pool2d(self.stem(x), 2)))

    def coarser(self, y: Tensor) -> list[Tensor]:
        """Return :meth:`backbone`, of :meth:`finest`."""
        outputs = [y]
        for stage, context in zip(self.stages, self.context, strict=True):
            y = context(stage(functional.max_pool2d(y, 2)))
            outputs.append(y)
        return outputs

    def neck(self, stages: list[Tensor]) -> list[Tensor]:
        """Return :meth:`features`, of :meth:`backbone`: the top-down path and each head's unit."""
        fine, c3, c4, c5 = stages
        p5 = self.top_down[2](c5)
        p4 = self.top_down[1](c4 + functional.interpolate(p5, scale_factor=2.0))
        p3 = self.top_down[0](c3 + functional.interpolate(p4, scale_factor=2.0))
        units = (cast("Head", head).unit(p) for head, p in zip(self.heads, (p3, p4, p5), strict=True))
        return [fine, *units]


def fuse(network: FaceDetector) -> FaceDetector:
    """Fold every batch norm into the convolution before it, in place; the network must be in evaluation mode."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module[0] = fuse_conv_bn_eval(cast("nn.Conv2d", module[0]), cast("nn.BatchNorm2d", module[1]))
            module[1] = nn.Identity()
    return network
