"""What an adapter does to each layer, whatever file it lies in.

Legend: R rank, O outputs, I inputs, k side of a convolution's kernel.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kimchi.errors import ModelError
from kimchi.models import lora, tensor_files

PARTS = ("unet", "text_encoder")
TEXT_ROOT = "text_model."
"""Stands before every layer of a text encoder in files, and since transformers 5.6 no longer in the model."""
_SHAPE = "lora_adapter_metadata"
_NOTES = "kimchi"
_DOWN, _UP, _MAGNITUDE = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One layer's: W + scale * up down (Hu et al. 2021, arXiv:2106.09685, section 4.1), or DoRA's, whose rows have learned lengths."""

    part: str
    """unet or text_encoder."""
    module: str
    """The layer's name in that network, a text encoder's without text_model."""
    down: torch.Tensor
    """R I, or R I k k."""
    up: torch.Tensor
    """O R, or O R 1 1."""
    scale: float
    """alpha / rank; alpha / sqrt(rank) for rsLoRA (Kalajdzievski 2023, arXiv:2312.03732)."""
    magnitude: torch.Tensor | None = None
    """DoRA's lengths, O (Liu et al. 2024, arXiv:2402.09353, equation 5): W' = magnitude (W + scale * up down) / |W + scale * up down|, row by row."""

    @property
    def rank(self) -> int:
        """R."""
        return self.down.shape[0]

    def delta(self) -> torch.Tensor:
        """scale * up down in fp32, O I or O I k k."""
        product_OI = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return self.scale * product_OI.reshape(self.up.shape[0], *self.down.shape[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A whole adapter."""

    updates: list[Update]
    notes: dict[str, Any] = field(default_factory=dict)
    """What the trainer wrote about it: base, encoder, hashes, credit."""


def read_adapter(path: Path) -> Adapter:
    """An adapter.safetensors, as the trainer writes it.

    Raises:
        ModelError: unreadable, or without the rank and alpha that give its strength.
    """
    tensors, metadata = tensor_files.read(path)
    said: dict[str, Any] = json.loads(metadata.get(_SHAPE, "{}"))
    updates: list[Update] = []
    for key in sorted(key for key in tensors if key.endswith(_DOWN)):
        part, _, module = key.removesuffix(_DOWN).partition(".")
        shape = {k.removeprefix(f"{part}."): v for k, v in said.items() if k.startswith(f"{part}.")}
        if not shape:
            raise ModelError(f"{path}: no rank and alpha of its {part} in the metadata, so its strength is unknown. Use an adapter.safetensors made by kimchi.")
        stem = f"{part}.{module}"
        magnitude = tensors.get(f"{stem}{_MAGNITUDE}", tensors.get(f"{stem}{_MAGNITUDE}.weight"))
        one = Update(
            part=part, module=module.removeprefix(TEXT_ROOT), down=tensors[key], up=tensors[f"{stem}{_UP}"], scale=_scale(shape, module),
            magnitude=None if magnitude is None else magnitude.flatten(),
        )  # fmt: skip
        updates.append(one)
    return Adapter(updates=updates, notes=json.loads(metadata.get(_NOTES, "{}")))


def _scale(shape: dict[str, Any], module: str) -> float:
    # Patterns: diffusers and peft write them for layers of their own rank or alpha.
    rank = _of_pattern(shape.get("rank_pattern"), module, shape["r"])
    alpha = _of_pattern(shape.get("alpha_pattern"), module, shape["lora_alpha"])
    return alpha / (math.sqrt(rank) if shape.get("use_rslora") else rank)


def _of_pattern(pattern: dict[str, float] | None, module: str, otherwise: float) -> float:
    return next((value for name, value in (pattern or {}).items() if module == name or module.endswith(f".{name}")), otherwise)


def adapter_bytes(adapter: Adapter, networks: dict[str, nn.Module], dtype: torch.dtype | None = None) -> bytes:
    """The adapter.safetensors of any adapter. One rank and one scale a part are kept as they are; several are brought to one.

    Args:
        networks: the network of each part, by which layers are named as shortly as can be.
        dtype: None keeps the types of the tensors.
    """
    tensors: tensor_files.Tensors = {}
    shape: dict[str, Any] = {}
    for part in PARTS:
        updates = level([u for u in adapter.updates if u.part == part])
        if not updates:
            continue
        for one in updates:
            tensors |= _named(one, dtype)
        first = updates[0]
        said = {"r": first.rank, "lora_alpha": first.scale * first.rank, "target_modules": targets(networks[part], [u.module for u in updates])}
        shape |= {f"{part}.{key}": value for key, value in (said | ({"use_dora": True} if first.magnitude is not None else {})).items()}
    notes = json.dumps(adapter.notes, sort_keys=True, ensure_ascii=False)
    return tensor_files.to_bytes(tensors, {"format": "pt", _SHAPE: json.dumps(shape, sort_keys=True), _NOTES: notes})


def _named(one: Update, dtype: torch.dtype | None) -> tensor_files.Tensors:
    stem = f"{one.part}.{TEXT_ROOT if one.part == 'text_encoder' else ''}{one.module}"
    found = {f"{stem}{_DOWN}": one.down, f"{stem}{_UP}": one.up}
    if one.magnitude is not None:
        # transformers, which loads a text encoder's adapter, drops peft's own short name for the lengths with no more than a line in a log.
        ending = ".weight" if one.part == "text_encoder" else ""
        # O for a linear layer, 1 O 1 1 for a convolution.
        found[f"{stem}{_MAGNITUDE}{ending}"] = one.magnitude.reshape(1, -1, 1, 1) if one.down.dim() == 4 else one.magnitude
    return {key: tensor.to(dtype or tensor.dtype) for key, tensor in found.items()}


def level(updates: list[Update]) -> list[Update]:
    """One rank and one scale for all, the same products: a file of ours has one alpha a part.

    Smaller ranks are filled up with zeros, and what a layer's scale differs by goes into its `up`.
    """
    if len({(u.rank, u.scale) for u in updates}) <= 1:
        return updates
    rank = max(u.rank for u in updates)
    return [_filled(u, rank) for u in updates]


def _filled(one: Update, rank: int) -> Update:
    missing = rank - one.rank
    down = torch.cat([one.down.float(), torch.zeros(missing, *one.down.shape[1:])])
    up = torch.cat([one.up.float() * one.scale, torch.zeros(one.up.shape[0], missing, *one.up.shape[2:])], 1)
    return replace(one, down=down, up=up, scale=1.0)


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer and convolution by name, a text encoder's without text_model."""
    return {name.removeprefix(TEXT_ROOT): one for name, one in network.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)}


def targets(network: nn.Module, modules: Iterable[str]) -> list[str]:
    """The shortest list of name endings that means exactly these layers of a network; their whole names where no list of ours does."""
    wanted, names = set(modules), layers(network)
    last = {name.rsplit(".", 1)[-1] for name in wanted}
    for endings in (*lora.TARGETS.values(), last):
        if {name for name in names if any(name == e or name.endswith(f".{e}") for e in endings)} == wanted:
            return sorted(endings)
    return sorted(wanted)
