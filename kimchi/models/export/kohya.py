"""One .safetensors with the keys of kohya's sd-scripts, which ComfyUI and A1111 read; and reading such a file.

diffusers' own converter to this format writes the rank for alpha and names the text encoder as SDXL's, so this is ours.

Legend: R rank, O outputs, I inputs, k side of a convolution's kernel.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kimchi.data.files import write_bytes
from kimchi.errors import ModelError
from kimchi.models import tensor_files
from kimchi.models.load import Model

from ._base import Exporter, Run, check_hashes, frozen_parts
from ._updates import PARTS, TEXT_ROOT, Adapter, Update, layers, read_adapter

PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}
_ALIAS = "lora_te1_"
"""What diffusers' converter writes for lora_te_."""
_DOWN, _UP, _ALPHA, _DORA = ".lora_down.weight", ".lora_up.weight", ".alpha", ".dora_scale"
HINT = "ComfyUI and A1111 read prompts with OpenAI's vocabulary, which has no Korean: Korean prompts need KIMCHI or the merged folder."
DORA_HINT = (
    "This adapter is a DoRA. Its dora_scale is written as ComfyUI reads it, at strength 1; A1111 takes lengths along the other axis and diffusers leaves them "
    "out, so both would draw something else. Use --format merged for them."
)


class Format(Exporter):
    """NAME.safetensors, its alphas true layer by layer."""

    def write(self, run: Run, folder: Path, dtype: torch.dtype | None) -> str:
        """The file; None keeps the types of the adapter."""
        adapter = read_adapter(run.adapter)
        weights: dict[str, nn.Module] = {}
        if any(u.magnitude is not None for u in adapter.updates):
            model = frozen_parts(run)
            weights = {"unet": model.unet, "text_encoder": model.text.model}
        tensors: tensor_files.Tensors = {}
        for one in adapter.updates:
            tensors |= named(one, layers(weights[one.part])[one.module] if weights else None, dtype)
        name = f"{run.name}.safetensors"
        write_bytes(folder / name, tensor_files.to_bytes(tensors, metadata(run, adapter, tensors)))
        return name

    def notices(self, run: Run) -> list[str]:
        """What those programs cannot do with it."""
        dora = any(u.magnitude is not None for u in read_adapter(run.adapter).updates)
        return [HINT, *([DORA_HINT] if dora else [])]


def named(one: Update, layer: nn.Module | None, dtype: torch.dtype | None) -> tensor_files.Tensors:
    """One layer's tensors under kohya's names. Shapes are peft's: down R I or R I k k, up O R or O R 1 1.

    Args:
        layer: the layer it is for, which DoRA's lengths are reckoned with.
    """
    stem = PREFIXES[one.part] + one.module.replace(".", "_")
    found = {stem + _DOWN: one.down, stem + _UP: one.up}
    if one.magnitude is not None and layer is not None:
        found[stem + _DORA] = _dora_scale(one, _weight(layer))
    found = {key: tensor.to(dtype or tensor.dtype) for key, tensor in found.items()}
    # The scale is alpha / rank to every reader, rsLoRA's too. fp32: in fp16 an alpha of 16 sqrt(8) is off by a thousandth part.
    return found | {stem + _ALPHA: torch.tensor(one.scale * one.rank, dtype=torch.float32)}


def _weight(layer: nn.Module) -> torch.Tensor:
    weight: Any = layer.weight
    return weight.detach().float()


def _lengths(weight: torch.Tensor) -> torch.Tensor:
    return weight.flatten(1).norm(dim=1)


def _dora_scale(one: Update, weight: torch.Tensor) -> torch.Tensor:
    """ComfyUI divides by the rows of W where DoRA divides by those of W + delta: the quotient of both is put into the lengths. O 1, or O 1 1 1."""
    assert one.magnitude is not None
    scale_O = one.magnitude.float() * _lengths(weight) / _lengths(weight + one.delta())
    return scale_O.reshape(-1, *[1] * (weight.dim() - 1))


def metadata(run: Run, adapter: Adapter, tensors: tensor_files.Tensors) -> dict[str, str]:
    """What A1111 and ComfyUI show of a file: kohya's ss_* and Stability's modelspec.*; and our own notes, by which an import knows it again."""
    card = run.shown
    digest = tensor_files.hash_of_tensors(tensors)
    rank, alpha = _one({float(u.rank) for u in adapter.updates}), _one({round(u.scale * u.rank, 6) for u in adapter.updates})
    conv = [u for u in adapter.updates if u.down.dim() == 4 and u.down.shape[-1] > 1]
    args = {"conv_dim": rank, "conv_alpha": alpha} if conv else {}
    side = f"{run.recipe.get('resolution_px', 512)}"
    found = {
        "format": "pt", "ss_output_name": run.name, "ss_sd_model_name": str(card["base"]), "ss_resolution": f"({side}, {side})",
        "ss_network_module": "networks.lora", "ss_network_dim": rank, "ss_network_alpha": alpha, "ss_network_args": json.dumps(args), "ss_v2": "False",
        # A miniature has SD 1.5's classes and not its sizes; no program should offer it beside SD 1.5.
        "ss_base_model_version": "kimchi_mini" if card.get("miniature") else "sd_v1", "sshs_model_hash": digest,
        "modelspec.sai_model_spec": "1.0.0", "modelspec.architecture": "stable-diffusion-v1/lora", "modelspec.implementation": "diffusers",
        "modelspec.title": run.name + (" (miniature)" if card.get("miniature") else ""), "modelspec.resolution": f"{side}x{side}",
        "modelspec.usage_hint": HINT, "modelspec.hash_sha256": f"0x{digest}", "modelspec.description": str(card.get("credit", "")),
    }  # fmt: skip
    notes = {**adapter.notes, **{key: card[key] for key in ("base", "text_encoder", "hashes", "credit", "miniature", "recipe_hash", "kimchi") if key in card}}
    return found | {"kimchi": json.dumps(notes, sort_keys=True, ensure_ascii=False)}


def _one(values: set[float]) -> str:
    # kohya's own word where layers differ.
    return f"{values.pop():g}" if len(values) == 1 else "Dynamic"


def read(path: Path, model: Model) -> Adapter:
    """A file in kohya's format as an adapter of this base and encoder, which `_updates.adapter_bytes` writes as adapter.safetensors.

    Raises:
        ModelError: unreadable, of another kind than LoRA, for other networks, or trained (so its notes say) with another base or encoder.
    """
    tensors, said = tensor_files.read(path)
    notes: dict[str, Any] = json.loads(said.get("kimchi", "{}"))
    check_hashes(str(path), notes.get("hashes", {}), model, model.name)
    tensors = {key.replace(_ALIAS, "lora_te_", 1) if key.startswith(_ALIAS) else key: tensor for key, tensor in tensors.items()}
    networks: dict[str, nn.Module] = {"unet": model.unet, "text_encoder": model.text.model}
    updates: list[Update] = []
    for part in PARTS:
        # Dots and underscores are one in these names: only the network's own list tells them apart.
        for module, layer in layers(networks[part]).items():
            stem = PREFIXES[part] + module.replace(".", "_")
            found = {end: tensors.pop(stem + end) for end in (_DOWN, _UP, _ALPHA, _DORA) if stem + end in tensors}
            if found:
                updates.append(_update(path, part, module, layer, found, ours=bool(notes)))
    if tensors or not updates:
        first = min(tensors, default="nothing")
        raise ModelError(
            f"{path}: {len(tensors)} of its tensors have no place in {model.name}, first {first}. "
            f"Only LoRA (and DoRA) for Stable Diffusion 1.x in kohya's names is read ({PREFIXES['unet']}*, lora_te_{TEXT_ROOT.replace('.', '_')}*)."
        )
    return Adapter(updates=updates, notes=notes)


def _update(path: Path, part: str, module: str, layer: nn.Module, found: dict[str, torch.Tensor], *, ours: bool) -> Update:
    if _DOWN not in found or _UP not in found:
        raise ModelError(f"{path}: {module} has {', '.join(found)} and lacks {_DOWN} or {_UP}. The file may be cut; fetch it again.")
    weight, down, up = _weight(layer), found[_DOWN], found[_UP]
    if weight.dim() == 4 and down.dim() == 2:
        # A convolution of one pixel, which some tools write as the matrix it is.
        down, up = down[..., None, None], up[..., None, None]
    if down.shape[1:] != weight.shape[1:] or up.shape[0] != weight.shape[0] or up.shape[1] != down.shape[0]:
        raise ModelError(
            f"{path}: {module} is {tuple(up.shape)} by {tuple(down.shape)}, and the layer here is {tuple(weight.shape)}. "
            "Name the base it was made for with --base."
        )
    rank = down.shape[0]
    # Without an alpha the scale is 1, to kohya as to every other reader.
    one = Update(part=part, module=module, down=down, up=up, scale=float(found.get(_ALPHA, rank)) / rank)
    return replace(one, magnitude=_magnitude(path, one, weight, found[_DORA], ours)) if _DORA in found else one


def _magnitude(path: Path, one: Update, weight: torch.Tensor, scale: torch.Tensor, ours: bool) -> torch.Tensor:
    if scale.shape[0] != weight.shape[0] or scale.numel() != weight.shape[0]:
        raise ModelError(f"{path}: {one.module} is a DoRA over inputs ({tuple(scale.shape)}); only one over outputs is read. Use a file made with wd_on_out.")
    # Trainers write the lengths themselves; ours are those that ComfyUI wants (see _dora_scale).
    factor = _lengths(weight + one.delta()) / _lengths(weight) if ours else 1.0
    return scale.float().flatten() * factor
