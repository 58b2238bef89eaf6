"""The processes that train one network together."""

import os
from typing import cast

import torch
from torch import distributed, nn

__all__ = ["Team"]


class Team:
    """The processes that train together; one by itself is a team of one."""

    def __init__(self) -> None:
        """Join the processes that torchrun started."""
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.size > 1:
            distributed.init_process_group("gloo")

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            distributed.barrier()

    def share(self, network: nn.Module, stop: bool) -> bool:
        """Average the gradients over all; return whether any of them wants to stop."""
        if self.size == 1:
            return stop
        learnt = [p for p in network.parameters() if p.requires_grad]
        for parameter in learnt:
            # A batch without a face has no gradient of the boxes; the other processes' may have.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [cast("torch.Tensor", p.grad) for p in learnt]
        flat = torch.cat([*(g.reshape(-1) for g in gradients), torch.tensor([float(stop)])])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return bool(flat[-1] > 0)

    def agree(self, choice: bool) -> bool:
        """Return the first process's choice."""
        if self.size == 1:
            return choice
        shared = torch.tensor(float(choice))
        distributed.broadcast(shared, 0)
        return bool(shared)

    def close(self) -> None:
        """Leave."""
        if self.size > 1:
            distributed.destroy_process_group()
