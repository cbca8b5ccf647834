"""Where KIMCHI keeps what it may make again, and what is nobody else's: caches, keys."""

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
