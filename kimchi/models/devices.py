"""Where networks work."""

import torch

from kimchi.errors import RecipeError


def find_device(name: str) -> torch.device:
    """The device a recipe names: auto, cpu, cuda or cuda:1.

    Raises:
        RecipeError: no such device here.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"device: {name!r} is not on this machine ({str(error).splitlines()[0][:120]}). Use auto, cpu, cuda or cuda:1.") from error
    return device
