"""The training code; what needs PyTorch is in ``network``, run by ``make test-training``."""
