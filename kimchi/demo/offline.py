"""What must be said to Gradio and the hub libraries before they are imported: they read it once."""

import os
import shutil
from pathlib import Path

_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def go_offline(folder: Path) -> Path:
    """Nothing asks another machine, and what Gradio may write has one place, empty at the start: a killed booth leaves nothing behind.

    Args:
        folder: of the booth.

    Returns:
        That place.
    """
    os.environ.update(_QUIET)
    place = (folder / "tmp").resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(place)
    return place


def tidy(place: Path) -> int:
    """Empty folders that Gradio's own cleaning leaves behind, removed; how many there were."""
    removed = 0
    for folder in sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True):
        try:
            folder.rmdir()
            removed += 1
        except OSError:
            continue  # not empty: in use
    return removed
