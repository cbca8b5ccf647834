"""Uploading an export to the hub: only when asked by name, with a token from the environment, and not without the credit that is owed."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kimchi.errors import OutputError

from ._base import Run

_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_OURS = "sample-world:"


def check(name: str, run: Run) -> str:
    """Whether a run may be uploaded, before anything is written.

    AIHub's terms let models trained on its data be given away if they name the data set and AI-Hub; nothing here uploads pictures or captions.

    Returns:
        The token.

    Raises:
        OutputError: no such name, no token, or data whose credit is unknown.
    """
    if not _NAME.fullmatch(name):
        raise OutputError(f"--push {name!r}: not OWNER/NAME. Give the owner and the name of a model on the hub.")
    if not str(run.card.get("credit", "")).strip() and not _all_ours(run):
        raise OutputError(
            f"{run.name}: card.json names no data, and terms such as AIHub's allow a model to be published only with the data set's name and credit. "
            "Write them under `credit` in card.json, then push again."
        )
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        raise OutputError("--push: no HF_TOKEN in the environment. Make a token that may write at huggingface.co/settings/tokens, and export HF_TOKEN.")
    return token


def _all_ours(run: Run) -> bool:
    sources = run.recipe.get("sources") or []
    return bool(sources) and all(str(source.get("captions", "")).startswith(_OURS) for source in sources)


def upload(folder: Path, name: str, token: str, say: Callable[[str], None]) -> str:
    """Upload a finished export to a model repository, made private if it is new.

    Returns:
        Its address.

    Raises:
        OutputError: the hub cannot be reached, or turns it away. The export stays where it is.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    say("Uploaded are the weights, README.md and card.json: no pictures, no captions. The hub's servers stand outside Korea, and AIHub's terms ask for an")
    say("agreement before its data is taken abroad; read them for your data sets before you make the model public.")
    api: Any = HfApi(token=token, endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        address = str(api.create_repo(name, private=True, exist_ok=True))
        api.upload_folder(repo_id=name, folder_path=str(folder), commit_message="kimchi export")
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
        # Never the token: a reply of the hub's may quote what was sent.
        told = (str(error).strip().splitlines() or [type(error).__name__])[0].replace(token, "***")
        raise OutputError(f"{name}: the upload failed ({told}). The export lies in {folder}; run the same command again.") from error
    say(f"{address}: a new repository is private until you open it.")
    return address
