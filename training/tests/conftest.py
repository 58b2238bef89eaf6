"""What the tests of training share."""

import pytest
import torch

from training.model import FaceDetector


@pytest.fixture(scope="module")
def network() -> FaceDetector:
    """An untrained network in evaluation mode, the same each time."""
    torch.manual_seed(3)
    network = FaceDetector()
    network.eval()
    return network
