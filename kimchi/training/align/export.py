"""An aligned encoder and its base as one folder that stock diffusers opens."""

from pathlib import Path

import torch

from kimchi.errors import OutputError
from kimchi.models.export import merged
from kimchi.models.load import Model


def write_pipeline(model: Model, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write `model` as a pipeline of standard classes, into a folder of its own.

    Raises:
        ModelError: its encoder stands behind an adapter, which no stock class holds.
        OutputError: the folder is not empty, since nothing is overwritten, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty, and a pipeline overwrites nothing. Name another folder.")
    merged.write_pipeline(model, folder, dtype)
