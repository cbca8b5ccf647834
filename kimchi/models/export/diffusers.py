"""The adapter as stock diffusers loads it: `pipe.load_lora_weights(folder, weight_name="adapter.safetensors")`; kimchi opens the folder too."""

import json
from pathlib import Path

import torch

from kimchi.data.files import write_bytes
from kimchi.models import tensor_files

from ._base import ADAPTER, Exporter, Run


class Format(Exporter):
    """The trainer's own file: its keys are diffusers', and its metadata keeps alpha, which diffusers would otherwise take for the rank."""

    def write(self, run: Run, folder: Path, dtype: torch.dtype | None) -> str:
        """adapter.safetensors; None keeps the type it was saved in."""
        tensors, metadata = tensor_files.read(run.adapter)
        if "kimchi" in metadata:
            # The notes repeat the card, which names no folders of this machine once it is uploaded.
            notes = json.loads(metadata["kimchi"])
            metadata["kimchi"] = json.dumps({key: run.shown.get(key, value) for key, value in notes.items()}, sort_keys=True, ensure_ascii=False)
        content = {key: tensor.to(dtype or tensor.dtype) for key, tensor in tensors.items()}
        write_bytes(folder / ADAPTER, tensor_files.to_bytes(content, metadata))
        return ADAPTER

    def notices(self, run: Run) -> list[str]:
        """It holds no encoder."""
        return [f"Korean prompts need the text encoder it was trained with, {run.shown['text_encoder']}: give it to the pipeline, as README.md shows."]
