"""Where caches lie."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """$KIMCHI_HOME, or `kimchi` in the user's cache folder."""
    if told := os.environ.get("KIMCHI_HOME"):
        return Path(told).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kimchi"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "kimchi"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kimchi"


def cache_folder(told: str = "") -> Path:
    """The folder of latents and text states.

    Args:
        told: recipe.machine.cache; empty for the one under home().
    """
    return Path(told).expanduser() if told else home() / "cache"
