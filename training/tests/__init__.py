"""What needs PyTorch: run by ``make test-training`` in the training's own environment."""
