"""Begin with YuNet-n's weights, or an exported file's: ``python -m training.transfer yunet_n.onnx FOLDER FILE``.

YuNet (Wu et al., 2023) is published under the Apache License 2.0 by its authors (libfacedetection.train). The network's
plain units have the shapes of its layers; its two scores become the mean of their logits, both anchors of a cell begin
with the same prediction, and the residual blocks begin as the identity: the network begins as good as YuNet-n, larger.

The files have their batch norms folded in. They are put back with the mean and variance that views of a labelled
folder give, and with the scale and shift that undo them, so that the function stays the same.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.batches import Batches
from training.export import PRODUCER, calibrated
from training.labels import read_labels, split
from training.model import ConvNorm, FaceDetector, Head, PointDepth, Residual
from training.train import to_input

__all__ = ["calibrate", "main", "restore", "transfer"]

_SHA256 = "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12"

Layer = tuple[Tensor, Tensor]
"""A convolution's weight and bias."""


def transfer(file: Path, network: FaceDetector) -> None:
    """Give ``network`` the weights of YuNet-n, its input and outputs adapted.

    Args:
        file: ``yunet_n.onnx``: a convolution and 29 pairs of them, input BGR 0..255.
        network: A network of the default size, in place.

    Raises:
        ValueError: the file has other convolutions than YuNet-n.
    """
    graph = onnx.load(file).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers: list[Layer] = [
        (torch.from_numpy(arrays[node.input[1]].copy()), torch.from_numpy(arrays[node.input[2]].copy()))
        for node in graph.node
        if node.op_type == "Conv"
    ]
    if len(layers) != 59 or layers[0][0].shape != (16, 3, 3, 3):
        msg = f"{file}: not YuNet-n: {len(layers)} convolutions, the first {tuple(layers[0][0].shape)}"
        raise ValueError(msg)
    given = iter(layers)
    with torch.no_grad():
        _stem(network, *next(given))
        for unit in _units(network):
            _copy(unit.pointwise, *next(given))
            _fold_back(unit.depthwise, *next(given))
        heads = [cast("Head", head) for head in network.heads]
        _scores(heads, given, first=True)
        for kind in ("bbox", "obj", "kps"):
            if kind == "obj":
                _scores(heads, given, first=False)
                continue
            for head in heads:
                output = getattr(head, kind)
                _copy(output.pointwise, *(part.repeat(2, *[1] * (part.ndim - 1)) for part in next(given)))
                _copy(output.grouped, *(part.repeat(2, *[1] * (part.ndim - 1)) for part in next(given)))


def restore(file: Path, network: FaceDetector) -> int:
    """Give ``network`` the weights of a file that :mod:`training.export` wrote, its calibration taken back.

    Residual blocks of which the file has nothing stay the identity.

    Args:
        file: As it was exported.
        network: A network of the default size, in place.

    Returns:
        The views that the weights have seen.

    Raises:
        ValueError: the file was exported from another network.
    """
    model = onnx.load(file)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    arrays = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in model.graph.initializer
    }
    missing = tuple(
        f"{name}."
        for name, module in network.named_modules(prefix="network")
        if isinstance(module, Residual) and not any(known.startswith(f"{name}.") for known in arrays)
    )
    try:
        with torch.no_grad():
            for name, module in network.named_modules(prefix="network"):
                if name.startswith(missing):
                    continue
                if isinstance(module, ConvNorm):
                    _fold_back(module, arrays[f"{name}.0.weight"], arrays[f"{name}.0.bias"])
                elif isinstance(module, nn.Conv2d) and module.bias is not None:
                    _copy(module, arrays[f"{name}.weight"], arrays[f"{name}.bias"])
            calibrated(network, -float(metadata["score_shift"]), 1 / float(metadata["box_scale"]))
            return int(metadata["views"])
    except KeyError as error:
        msg = f"{file}: not exported from this network: {error} is missing"
        raise ValueError(msg) from error


def _stem(network: FaceDetector, weight: Tensor, bias: Tensor) -> None:
    """From BGR 0..255 to RGB (x - 127.5) / 128."""
    _fold_back(
        cast("ConvNorm", network.stem[0]), weight.flip(1) * 128.0, bias + 127.5 * weight.sum((1, 2, 3))
    )


def _units(network: FaceDetector) -> Iterator[PointDepth]:
    """The plain units in the order of YuNet's layers."""
    backbone = (network.stem, network.stage2, *network.stages)
    for stage in backbone:
        yield from (block for block in cast("nn.Sequential", stage) if isinstance(block, PointDepth))
    yield from (cast("PointDepth", unit) for unit in reversed(network.top_down))
    yield from (cast("Head", head).unit for head in network.heads)


def _scores(heads: list[Head], given: Iterator[Layer], first: bool) -> None:
    """Class or objectness: one of the two inner channels of each anchor; the outer one is the mean of both logits."""
    for head in heads:
        weight, bias = next(given)
        outer_weight, outer_bias = next(given)
        own = slice(0 if first else 1, None, 2)
        head.score.pointwise.weight[own] = weight
        cast("Tensor", head.score.pointwise.bias)[own] = bias
        head.score.grouped.weight[:, 0 if first else 1] = outer_weight[0, 0] / 2
        total = cast("Tensor", head.score.grouped.bias)
        total.copy_((torch.zeros_like(total) if first else total) + outer_bias / 2)


def _copy(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    cast("Tensor", layer.weight).copy_(weight)
    cast("Tensor", layer.bias).copy_(bias)


def _fold_back(layer: ConvNorm, weight: Tensor, bias: Tensor) -> None:
    """A batch norm that does nothing but add the bias."""
    norm = cast("nn.BatchNorm2d", layer[1])
    cast("Tensor", layer[0].weight).copy_(weight)
    cast("Tensor", norm.running_mean).zero_()
    cast("Tensor", norm.running_var).fill_(1.0 - norm.eps)
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)


@torch.no_grad()
def calibrate(network: FaceDetector, views: Tensor) -> None:
    """Give every batch norm the mean and variance of its input, and the scale and shift that keep its output.

    Args:
        network: In place.
        views: (B, 3, S, S) as the network takes them.
    """
    network.eval()

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, ConvNorm)
        convolution, norm = layer[0], cast("nn.BatchNorm2d", layer[1])
        output = convolution(*inputs)
        mean, variance = output.mean((0, 2, 3)), output.var((0, 2, 3), unbiased=False)
        old_mean, old_variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        scale = norm.weight / (old_variance + norm.eps).sqrt()
        norm.bias += scale * (mean - old_mean)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        old_mean.copy_(mean)
        old_variance.copy_(variance)

    hooks = [m.register_forward_pre_hook(measure) for m in network.modules() if isinstance(m, ConvNorm)]
    network(views)
    for hook in hooks:
        hook.remove()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="yunet_n.onnx, or what training.export wrote")
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("into", type=Path, help="the file to write")
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    network = FaceDetector()
    seen = 0
    try:
        if onnx.load(options.file).producer_name == PRODUCER:
            seen = restore(options.file, network)
        else:
            transfer(options.file, network)
    except ValueError as error:
        parser.error(str(error))
    pictures, _ = split(read_labels(options.folder))
    batch = next(iter(Batches(pictures, options.cache, "transfer", 64, 320, 0.0)))
    calibrate(network, to_input(batch))
    options.into.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"network": network.state_dict(), "seen": seen, "steps": 0}, options.into)
    print(f"{options.into}: {seen} views, {sum(np.prod(p.shape) for p in network.parameters()):,} parameters")


if __name__ == "__main__":
    main()
