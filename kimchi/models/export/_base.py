"""What every format offers, and the run that it is given."""

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kimchi.data.files import hash_file
from kimchi.errors import ModelError
from kimchi.models.load import Model, check_hashes, load_base, with_encoder
from kimchi.models.places import weights_folder

ADAPTER = "adapter.safetensors"
CARD = "card.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trained adapter and what its card says."""

    adapter: Path
    """Its adapter.safetensors; for an import, the file that is read."""
    card: dict[str, Any]
    """card.json."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """recipe.yaml; empty where there is none."""
    shown: dict[str, Any] = field(default_factory=dict)
    """The card as it goes into what is written: what is uploaded names no folders of this machine."""

    @property
    def name(self) -> str:
        """The run's name, fit for a file: a card from elsewhere may say ../../x."""
        return re.sub(r"[^\w.-]+", "-", str(self.card["name"])).strip(".-") or "adapter"

    @property
    def digest(self) -> str:
        """SHA-256 of the adapter, 64 hex digits."""
        return hash_file(self.adapter)


def open_run(name: str) -> Run:
    """A run folder, or `mini` for the shipped one.

    Raises:
        ModelError: no run, or an adapter that is not the one its card was written for.
    """
    folder = weights_folder() / "mini-ko" if name == "mini" else Path(name).expanduser()
    if not (folder / CARD).is_file() or not (folder / ADAPTER).is_file():
        raise ModelError(f"{name}: no run, which is a folder with {ADAPTER} and {CARD}. Train one with `kimchi train RECIPE`, or name mini.")
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        missing = [key for key in ("name", "base", "text_encoder", "hashes") if not card[key]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / CARD}: cannot be read ({type(error).__name__}: {error}). Copy the run folder again, or train again.") from error
    if missing:
        raise ModelError(f"{folder / CARD}: says nothing under {missing[0]}. Copy the run folder again, or train again.")
    run = Run(adapter=folder / ADAPTER, card=card, recipe=_recipe(folder))
    wanted = card.get("sha256", {}).get(ADAPTER)
    if wanted and wanted != run.digest:
        raise ModelError(f"{run.adapter}: is {run.digest[:16]}, and {CARD} was written for {wanted[:16]}. Copy the run folder again, or train again.")
    return run


def _recipe(folder: Path) -> dict[str, Any]:
    import yaml

    try:
        said = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return said if isinstance(said, dict) else {}


def frozen_parts(run: Run) -> Model:
    """The base and the encoder that a run names, without its adapter.

    Raises:
        ModelError: what lies here under these names is not what the run was trained with; both are named.
    """
    card = run.card
    model = with_encoder(load_base(card["base"]), card["text_encoder"], run.name)
    check_hashes(str(run.adapter), card["hashes"], model, f"{card['base']} / {card['text_encoder']}")
    return model


class Exporter(ABC):
    """One format: `class Format` of each file in this folder."""

    needs_names = False
    """Whether --base and --text-encoder are asked for."""
    relation = "adapter"
    """What the hub calls the result's relation to its base model."""

    def open(self, source: str, base: str, text_encoder: str) -> Run:
        """What is to be exported."""
        return open_run(source)

    @abstractmethod
    def write(self, run: Run, folder: Path, dtype: torch.dtype | None) -> str:
        """Write everything but README.md and card.json into a fresh folder.

        Args:
            dtype: of the weights; None for the format's own choice.

        Returns:
            What a person opens: a file's name, or "" for the folder as a whole.
        """

    def notices(self, run: Run) -> list[str]:
        """What a person must be told, a sentence or two each."""
        return []
