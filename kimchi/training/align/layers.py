"""Which weights of a text encoder are trained, and at what rate."""

import torch
from torch import nn
from torch.nn.utils import parametrize


class _Slowed(nn.Module):
    """Stores a weight divided by a rate: an optimiser whose steps do not depend on the gradient's size, as Adam's, then moves it by that rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        return self.rate * stored

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The stored form of a weight."""
        return weight / self.rate


def trainable(model: nn.Module, last: int, rate: float) -> dict[str, nn.Parameter]:
    """Mark what is trained, and return it by name.

    Args:
        last: how many of the last layers, with the norm after them; -1 for the whole encoder. An adapter is trained in any case.
        rate: of these layers, as a share of the optimiser's.
    """
    model.requires_grad_(False)
    adapter = getattr(model, "adapter", None)
    if isinstance(adapter, nn.Module):
        # Always at the stage's own rate: it starts from nothing.
        adapter.requires_grad_(True)
    for part in _parts(model if adapter is None else model.get_submodule("tower"), last):
        # A list: parametrising adds modules to what is being walked.
        for module in list(part.modules()):
            for name, parameter in list(module.named_parameters(recurse=False)):
                parameter.requires_grad_(True)
                if rate != 1:
                    parametrize.register_parametrization(module, name, _Slowed(rate))
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def settle(model: nn.Module) -> None:
    """Write slowed weights back as ordinary ones, and freeze."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[union-attr]
                parametrize.remove_parametrizations(module, name)
    model.requires_grad_(False)


def _parts(model: nn.Module, last: int) -> list[nn.Module]:
    if last < 0:
        return [model]
    if last == 0:
        return []
    # The longest list of modules is the stack of layers, whatever the class calls it.
    layers: list[nn.Module] = max(([*module] for module in model.modules() if isinstance(module, nn.ModuleList)), key=len)
    return [*layers[-last:], *(module for name, module in model.named_children() if name == "final_layer_norm")]
