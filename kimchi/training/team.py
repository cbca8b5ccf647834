"""The processes of one run: alone, or started together by `accelerate launch` or torchrun.

Each takes its positions of every batch, and the sum of all gradients is what one process would have computed over the whole batch. DDP's wrapper
is not used: it would average over processes, which is wrong where they hold different numbers of samples, and an adapter's gradients are one
small message anyway.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch

from kimchi.models.devices import find_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One process among the others."""

    device: torch.device
    rank: int = 0
    """Number of this process, 0 to size - 1."""
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def mine(self, count: int) -> range:
        """The positions of a batch of `count` that this process computes."""
        return range(self.rank, count, self.size)

    def sum(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1).float() for t in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def same(self, value: int) -> bool:
        """Whether all processes hold the same number."""
        if self.size == 1:
            return True
        ends = torch.tensor([value, -value], device=self.device)
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
        return int(ends[0]) == -int(ends[1])

    def decide(self, answer: bool) -> bool:
        """The main process's answer, for all: rounding differs between machines, and one that stops alone leaves the others waiting."""
        if self.size == 1:
            return answer
        said = torch.tensor(float(answer), device=self.device)
        torch.distributed.broadcast(said, 0)
        return bool(said)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()

    @contextmanager
    def main_first(self) -> Generator[None]:
        """The main process goes through the block before the others do: it builds what they then find."""
        if not self.main:
            self.wait()
        try:
            yield
        finally:
            # Also after an error: the others would wait for ever.
            if self.main:
                self.wait()


def join(device: str = "auto") -> Team:
    """The team of this process, as the environment tells (WORLD_SIZE, RANK, LOCAL_RANK); alone where it tells nothing.

    Raises:
        RecipeError: a device that this machine does not have.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        state: Any = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
        return Team(device=cast(torch.device, state.device), rank=state.process_index, size=state.num_processes)
    return Team(device=find_device(device))
