"""Looking at networks in the middle of a run without leaving a trace in it."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def undisturbed(*networks: nn.Module) -> Generator[None]:
    """Networks in eval mode and without gradients; afterwards every module is in the mode it was in, and torch's generators go on where they were.

    Modules are put back one by one: a training UNet may hold parts that somebody keeps in eval mode.
    """
    modes = [(module, module.training) for network in networks for module in network.modules()]
    devices = {p.device for network in networks for p in network.parameters() if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng(list(devices)), torch.no_grad():
            for network in networks:
                network.eval()
            yield
    finally:
        for module, mode in modes:
            module.training = mode
