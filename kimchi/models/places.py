"""Where weights lie. Imports nothing heavy: whoever only counts tokens must not wait for torch."""

from pathlib import Path


def weights_folder() -> Path:
    """Where the miniature's weights lie."""
    return Path(__file__).parent.parent / "weights"
