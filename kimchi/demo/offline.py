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
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_WITHOUT_NETWORK = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def go_offline() -> None:
    """Nothing that this process loads later asks another machine: weights must be here already."""
    os.environ.update({**_QUIET, **_WITHOUT_NETWORK})


def be_quiet(folder: Path) -> Path:
    """Gradio tells nobody and remembers nothing, and what it may write has one place, empty at the start: a killed booth leaves nothing behind.

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
