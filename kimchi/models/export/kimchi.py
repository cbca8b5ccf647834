"""A file in kohya's format => a run folder that kimchi opens: an import, written as an export to our own format."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kimchi.data.files import sha256, write_bytes
from kimchi.errors import ModelError
from kimchi.models.load import load_base, with_encoder

from . import _updates, kohya
from ._base import ADAPTER, Exporter, Run


class Format(Exporter):
    """adapter.safetensors and a card that names base and encoder by hash, as the trainer leaves them."""

    needs_names = True

    def open(self, source: str, base: str, text_encoder: str) -> Run:
        """The file, with a card made for it.

        Raises:
            ModelError: no .safetensors file, or base or encoder are not there.
        """
        path = Path(source).expanduser()
        if path.suffix != ".safetensors" or not path.is_file():
            raise ModelError(f"{source}: no .safetensors file, and only such a file is imported. To export a run, name another --format.")
        self.model = with_encoder(load_base(base), text_encoder, f"{base} / {text_encoder}")
        self.adapter = kohya.read(path, self.model)
        first, notes = self.adapter.updates[0], self.adapter.notes
        shape = {"rank": max(u.rank for u in self.adapter.updates), "alpha": first.scale * first.rank, "layers": len(self.adapter.updates)}
        card: dict[str, Any] = {
            "name": path.stem, "base": base, "text_encoder": text_encoder, "hashes": dict(self.model.hashes), "miniature": self.model.miniature,
            "lora": shape, "credit": notes.get("credit", ""), "recipe_hash": notes.get("recipe_hash", ""), "kimchi": version("kimchi-diffusion"),
            "imported_from": {"file": path.name, "sha256": sha256(path.read_bytes(), 64)},
        }  # fmt: skip
        return Run(adapter=path, card=card)

    def write(self, run: Run, folder: Path, dtype: torch.dtype | None) -> str:
        """The run folder; None keeps the types of the file where no layer has to be changed."""
        networks: dict[str, nn.Module] = {"unet": self.model.unet, "text_encoder": self.model.text.model}
        keys = ("base", "text_encoder", "hashes", "miniature", "recipe_hash", "credit", "kimchi", "imported_from")
        adapter = _updates.Adapter(updates=self.adapter.updates, notes={key: run.shown[key] for key in keys})
        write_bytes(folder / ADAPTER, _updates.adapter_bytes(adapter, networks, dtype))
        return ""

    def notices(self, run: Run) -> list[str]:
        """What the file could not tell."""
        if self.adapter.notes:
            return []
        return [
            "The file does not say which encoder it was trained with; it is taken to be the one you named. It names no data either: see `credit` in card.json."
        ]
