"""Where a run stands, as safetensors: weights, Adam's moments, running average. Written whole; the newest sound one is used."""

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kimchi.data.files import atomic_path

Tensors = dict[str, torch.Tensor]


def save(folder: Path, step: int, tensors: Tensors, losses: list[float], fingerprint: str) -> None:
    """Write checkpoints/step-N.safetensors and remove all but the two newest.

    Args:
        fingerprint: names everything the run depends on; a checkpoint of another fingerprint is never resumed.
    """
    final = folder / f"step-{step:07d}.safetensors"
    metadata = {"step": str(step), "fingerprint": fingerprint, "losses": json.dumps(losses)}
    with atomic_path(final) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=metadata)
    for old in sorted(folder.glob("step-*.safetensors"))[:-2]:
        old.unlink()


def load_newest(folder: Path, fingerprint: str) -> tuple[int, Tensors, list[float]] | None:
    """The newest checkpoint that opens and belongs to this run: (step, tensors, losses so far), or None."""
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != fingerprint:
                    continue
                return int(metadata["step"]), {k: file.get_tensor(k) for k in file.keys()}, json.loads(metadata["losses"])  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, KeyError, ValueError):
            # Cut in half by a crash: the one before it is used.
            continue
    return None


def clear(folder: Path) -> None:
    """Remove a finished run's checkpoints."""
    shutil.rmtree(folder, ignore_errors=True)
