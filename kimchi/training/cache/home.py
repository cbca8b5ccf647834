"""Where caches lie."""

from pathlib import Path

from kimchi.data.home import home


def cache_folder(told: str = "") -> Path:
    """The folder of latents and text states.

    Args:
        told: recipe.machine.cache; empty for the one under home().
    """
    return Path(told).expanduser() if told else home() / "cache"
