"""Batches of views are what the network and the losses take."""

from pathlib import Path

import torch

from tests.training.support import labelled_folder
from training.anchors import anchors
from training.batches import Batch, Batches
from training.geometry import FACE_WIDTH
from training.labels import read_labels
from training.losses import losses
from training.model import FaceDetector


def test_batches_are_what_the_losses_take(tmp_path: Path, network: FaceDetector) -> None:
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)
    batch = next(iter(Batches(pictures, tmp_path / "cache", "1", count=4, size=96, large=0.0, twins=0.25)))
    assert batch.pixels.shape == (4, 96, 96, 3)
    assert batch.faces.shape == (len(batch.view), FACE_WIDTH)
    assert batch.counted.shape == (4, len(anchors(96)[0]))
    first, twin = batch.person[batch.view == 0], batch.person[batch.view == 3]
    assert first.tolist() == twin.tolist()
    assert len(batch.person.unique()) == len(batch.person) - len(twin)
    terms = losses(network(torch.zeros(4, 3, 96, 96)), batch)
    assert all(torch.isfinite(term) for term in terms)


def test_a_batch_says_which_faces_of_which_view_were_masked(tmp_path: Path) -> None:
    """Where all views are masked, their masked places lie in them, and are of several."""
    pictures = read_labels(labelled_folder(tmp_path / "faces"), None)

    def batch_of(masked: float) -> Batch:
        return next(iter(Batches(pictures, tmp_path / "cache", "1", 8, 96, 0.0, masked=masked, twins=0.25)))

    batch = batch_of(1.0)
    assert batch.masked.shape == (len(batch.masked_view), 4)
    assert batch.masked.dtype == torch.float32
    assert len(batch.masked_view.unique()) > 2
    assert (batch.masked_view == 0).sum() == (batch.masked_view == 6).sum()  # a view and its twin
    assert (batch.masked_view.diff() >= 0).all()
    centres = (batch.masked[:, :2] + batch.masked[:, 2:]) / 2
    assert ((centres >= 0) & (centres <= 96)).all()
    none = batch_of(0.0)
    assert none.masked.shape == (0, 4)
    assert none.masked_view.shape == (0,)
