"""LCM-type LoRAs: a file that teaches a UNet to draw in a few steps, merged in on top of whatever the UNet has learned."""

from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors import SafetensorError

from kimchi.data.files import hash_files
from kimchi.errors import ModelError

from . import lora
from .load import Model
from .networks import channels_last

_NEXT = "Give the folder or file of an LCM-LoRA made for this base, such as lcm-lora-sdv1-5 for Stable Diffusion 1.5."


def merge(model: Model, source: str) -> None:
    """Merge a few-step LoRA into a model's UNet; the model draws with LCM steps from then on.

    Args:
        source: a .safetensors file, a folder with one (diffusers', kohya's, or an adapter of ours), or a hub id.

    Raises:
        ModelError: nothing there that can be read, or made for another UNet.
    """
    path = _file(Path(source).expanduser())
    if path is not None and path.name == "adapter.safetensors":
        lora.load_into(model.unet, model.text.model, path)
    else:
        _merge(model.unet, source if path is None else str(path), source)
    channels_last(model.unet)
    model.few_step = True
    model.hashes["few_step"] = hash_files([path]) if path is not None else source


def _file(path: Path) -> Path | None:
    """The one file of weights; None for what can only be a hub id."""
    if path.is_file():
        if path.suffix != ".safetensors":
            raise ModelError(f"{path}: only .safetensors files are opened, since other formats can run code. {_NEXT}")
        return path
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise ModelError(f"{path}: holds {len(found)} .safetensors files, and one is the few-step LoRA. Name the file itself.")
        return found[0]
    if len(path.parts) != 2 or path.is_absolute() or str(path).startswith((".", "~")):
        raise ModelError(f"{path}: no such few-step LoRA. {_NEXT}")
    return None


def _merge(unet: UNet2DConditionModel, source: str, said: str) -> None:
    reader: Any = StableDiffusionPipeline
    try:
        weights, alphas, metadata = reader.lora_state_dict(source, unet_config=unet.config, use_safetensors=True, return_lora_metadata=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{said}: this few-step LoRA cannot be read ({str(error).strip().splitlines()[0][:200]}). {_NEXT}") from error
    foreign = [key for key in weights if not key.startswith("unet.")]
    if foreign or not weights:
        raise ModelError(f"{said}: {f'{foreign[0]} belongs to no UNet' if foreign else 'it is empty'}. {_NEXT}")
    network: Any = unet
    try:
        network.load_lora_adapter(weights, prefix="unet", network_alphas=alphas, metadata=metadata, adapter_name="few_step")
        _check(network, weights, said)
        network.fuse_lora(adapter_names=["few_step"])
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"{said}: does not fit this UNet ({str(error).strip().splitlines()[0][:200]}). {_NEXT}") from error
    network.unload_lora()
    network.requires_grad_(False)


def _check(network: Any, weights: dict[str, Any], said: str) -> None:
    # diffusers only logs what fits nothing: half of a LoRA would be merged without a word.
    taken = sum(1 for name, _ in network.named_parameters() if ".lora_" in name)
    given = sum(1 for name in weights if not name.endswith(".alpha"))
    if taken != given:
        raise ModelError(f"{said}: {given} weights, of which this UNet takes {taken}. {_NEXT}")
