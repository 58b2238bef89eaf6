"""Write a training state as an ONNX file with SCRFD's nine outputs: ``python -m training.export STATE FILE``.

Weights a little on the way back to those that the run began with keep more of what these knew (Wortsman et al., 2022,
"Robust fine-tuning of zero-shot models", arXiv 2109.01903).
"""

import argparse
import copy
import math
import warnings
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import Tensor, nn

from training.anchors import STRIDES
from training.model import FaceDetector, Head, fuse

__all__ = ["PRODUCER", "calibrated", "export", "main", "mixed"]

PRODUCER = "face-api"
"""What exported files name as their producer."""
_OPSET = 17
_KINDS = ("score", "bbox", "kps")
_TRACED = 64


def export(
    network: FaceDetector,
    file: Path,
    metadata: dict[str, str],
    score_shift: float = 0.0,
    box_scale: float = 1.0,
) -> None:
    """Write ``network`` as float32 ONNX of free input size, batch norm folded, with ``metadata`` inside.

    ``score_shift`` is added to the scores' logits, so that the threshold 0.5 is where the calibration put it; the sides
    of the boxes are multiplied by ``box_scale``.
    Input ``input`` (1, 3, H, W), multiples of 32, RGB, (x - 127.5) / 128; outputs ``score_8`` .. ``kps_32``.
    """
    network = fuse(copy.deepcopy(network).eval()).to(memory_format=torch.contiguous_format)
    calibrated(network, score_shift, box_scale)
    names = [f"{kind}_{stride}" for kind in _KINDS for stride in STRIDES]
    with warnings.catch_warnings():
        # The older exporter writes the plainer graph: no shape arithmetic for a free input size.
        warnings.simplefilter("ignore", DeprecationWarning)
        # The batch, always 1, becomes a constant.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        _write(_PerLevel(network).eval(), file, names)
    model = onnx.load(file)
    model.producer_name, model.producer_version = PRODUCER, ""
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


@torch.no_grad()
def calibrated(network: FaceDetector, score_shift: float, box_scale: float) -> None:
    """Add ``score_shift`` to the scores' logits and multiply the boxes' sides by ``box_scale``, in place."""
    for head in network.heads:
        score, bbox = (
            cast("Tensor", part.grouped.bias) for part in (cast("Head", head).score, cast("Head", head).bbox)
        )
        score += score_shift
        # The logarithms of width and height.
        bbox.view(-1, 4)[:, 2:] += math.log(box_scale)


def mixed(
    weights: dict[str, torch.Tensor], origin: dict[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Return weights with ``share`` (0 to 1) of the origin's; counts of batches stay as they are."""
    return {
        name: torch.lerp(value, origin[name], share) if value.dtype.is_floating_point else value
        for name, value in weights.items()
    }


def _write(network: nn.Module, file: Path, names: list[str]) -> None:
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, _TRACED, _TRACED),),
        str(file),
        input_names=["input"],
        output_names=names,
        opset_version=_OPSET,
        dynamic_axes={"input": {2: "height", 3: "width"}, **{name: {0: f"anchors_{name}"} for name in names}},
        dynamo=False,
    )


class _PerLevel(nn.Module):
    """The network's nine outputs, each level by itself: no shape arithmetic in the file."""

    def __init__(self, network: FaceDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        levels = self.network.levels(x)
        scores, boxes, landmarks = zip(*levels, strict=True)
        return tuple(
            output.reshape(-1, width)
            for outputs, width in (([s.sigmoid() for s in scores], 1), (boxes, 4), (landmarks, 10))
            for output in outputs
        )


def main(arguments: list[str] | None = None) -> None:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="last.pt of a run")
    parser.add_argument("file", type=Path, help="the ONNX file to write")
    parser.add_argument("--name", default="scrfd_free")
    parser.add_argument("--version", required=True)
    parser.add_argument("--score-shift", type=float, default=0.0, help="added to the scores' logits")
    parser.add_argument(
        "--origin-share",
        type=float,
        default=0.0,
        help="share of the weights to which a run with --hold held its scores",
    )
    parser.add_argument(
        "--box-scale", type=float, default=1.0, help="the boxes' sides are multiplied by this"
    )
    options = parser.parse_args(arguments)
    state = torch.load(options.state, weights_only=True)
    network = FaceDetector()
    weights = state["average"]
    if options.origin_share:
        if "origin" not in state:
            parser.error(f"--origin-share: {options.state} is not of a run with --hold")
        weights = mixed(weights, state["origin"], options.origin_share)
    network.load_state_dict(weights)
    metadata = {
        "name": options.name,
        "version": options.version,
        "licence": "Apache-2.0",
        "data_card": "photographs under CC0 and CC-BY, labelled by YuNet-n and CenterFace; see its card and credits",
        "origin": "begun with the weights of YuNet-n (libfacedetection.train, Apache-2.0)",
        "input": "1x3xHxW float32, H and W multiples of 32, RGB, (x - 127.5) / 128",
        "views": str(state["seen"]),
        "origin_share": str(options.origin_share),
        "score_shift": str(options.score_shift),
        "box_scale": str(options.box_scale),
    }
    export(network, options.file, metadata, options.score_shift, options.box_scale)
    print(f"{options.file}: {options.file.stat().st_size / 2**20:.2f} MiB, {state['seen']} views")


if __name__ == "__main__":
    main()
