"""LoRA on a UNet: shapes, one file that stock diffusers opens, and merging."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from diffusers.utils import convert_unet_state_dict_to_peft
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors

from kimchi.data.files import write_bytes
from kimchi.errors import ModelError

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FEED_FORWARD = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "conv"]
TARGETS: dict[str, list[str]] = {"attention": ATTENTION, "attention+feedforward": ATTENTION + FEED_FORWARD, "all": ATTENTION + FEED_FORWARD + CONVOLUTIONS}
"""Which modules each word of a recipe means, by the end of their names."""

_METADATA = "lora_adapter_metadata"
"""diffusers reads rank and alpha from this key; without it alpha != rank is lost on loading (scaling 2 became 1)."""


def add(unet: UNet2DConditionModel, rank: int, alpha: float, targets: str) -> dict[str, torch.nn.Parameter]:
    """Freeze the UNet, add a fresh adapter, and return what is to be trained: fp32, named as in the file."""
    unet.requires_grad_(False)
    # peft annotates alpha as whole; it only divides it by the rank.
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=cast(Any, alpha), target_modules=TARGETS[targets], init_lora_weights="gaussian"))
    trained = {name: p for name, p in unet.named_parameters() if p.requires_grad}
    for parameter in trained.values():
        # In bf16 most updates of a LoRA are smaller than the rounding of its weights.
        parameter.data = parameter.data.float()
    return trained


def continue_from(unet: UNet2DConditionModel, path: Path) -> None:
    """Give a fresh adapter the weights of a finished one of the same shape.

    Raises:
        ModelError: unreadable, or of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {k.removeprefix("unet."): file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 (not a dict)
        fit = set_peft_model_state_dict(unet, state)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"{path}: this adapter cannot be trained further ({str(error).splitlines()[0]}). It must have the rank and targets of the recipe."
        ) from error
    if fit.unexpected_keys:
        raise ModelError(
            f"{path}: {len(fit.unexpected_keys)} of its weights have no place in this recipe's adapter. Use the rank and targets it was made with."
        )


def save(unet: UNet2DConditionModel, path: Path, notes: dict[str, Any], dtype: torch.dtype = torch.float32) -> None:
    """Write the adapter with its rank and alpha, so that `pipe.load_lora_weights(folder, weight_name="adapter.safetensors")` gives the same picture."""
    config: LoraConfig = cast(Any, unet).peft_config["default"]
    shape = {"r": config.r, "lora_alpha": config.lora_alpha, "target_modules": sorted(config.target_modules or [])}
    state = {f"unet.{k}": v.detach().to(dtype).contiguous() for k, v in get_peft_model_state_dict(unet).items()}
    metadata = {
        "format": "pt",
        _METADATA: json.dumps({f"unet.{k}": v for k, v in shape.items()}, sort_keys=True),
        "kimchi": json.dumps(notes, sort_keys=True, ensure_ascii=False),
    }
    write_bytes(path, _ordered(to_safetensors(state, metadata=metadata)))


def _ordered(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library writes it in the order of a hash table, another in each call, so that equal
    adapters would differ in their bytes and in the hash that names them. Layout: 8 bytes of header length, JSON, tensors."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    # Tensors begin at a multiple of eight.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def load_into(unet: UNet2DConditionModel, path: Path) -> None:
    """Add the adapter of a file to a UNet and merge it: W + alpha / rank * B A, in the UNet's own dtype.

    Raises:
        ModelError: unreadable, or made for another UNet.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {k.removeprefix("unet."): file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: this adapter cannot be read ({error}). It may be cut short; train it again or copy it anew.") from error
    shape = {k.removeprefix("unet."): v for k, v in json.loads(metadata.get(_METADATA, "{}")).items()}
    if not shape:
        raise ModelError(f"{path}: no rank and alpha in the file's metadata, so its strength is unknown. Use an adapter.safetensors made by kimchi.")
    try:
        unet.add_adapter(LoraConfig(r=shape["r"], lora_alpha=shape["lora_alpha"], target_modules=shape["target_modules"]))
        missing = set_peft_model_state_dict(unet, convert_unet_state_dict_to_peft(state))
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{path}: this adapter does not fit the UNet ({str(error).splitlines()[0]}). Load it on the base named in its card.json.") from error
    if missing.unexpected_keys:
        raise ModelError(
            f"{path}: {len(missing.unexpected_keys)} weights have no place in this UNet, first {missing.unexpected_keys[0]}. "
            "Load it on the base named in its card.json."
        )
    unet.fuse_lora()
    unet.unload_lora()
    unet.requires_grad_(False)
