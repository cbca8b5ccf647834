"""LoRA on a UNet and on a CLIP text encoder: shapes, one file that stock diffusers opens, and merging."""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.utils import convert_unet_state_dict_to_peft
from diffusers.utils.peft_utils import recurse_remove_peft_layers
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import CLIPTextModel

from kimchi.data.files import write_bytes
from kimchi.errors import ModelError
from kimchi.recipes.lora import Lora

from . import tensor_files

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FEED_FORWARD = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "conv"]
TARGETS: dict[str, list[str]] = {"attention": ATTENTION, "attention+feedforward": ATTENTION + FEED_FORWARD, "all": ATTENTION + FEED_FORWARD + CONVOLUTIONS}
"""Which modules each word of a recipe means, by the end of their names."""
TEXT_ATTENTION = ["q_proj", "k_proj", "v_proj", "out_proj"]
TEXT_TARGETS: dict[str, list[str]] = {"attention": TEXT_ATTENTION, "attention+feedforward": [*TEXT_ATTENTION, "fc1", "fc2"]}
"""The same in a CLIP text encoder."""

UNET, TEXT = "unet", "text_encoder"
"""How keys of a file begin, as diffusers names the parts of a pipeline."""
_METADATA = "lora_adapter_metadata"
"""diffusers reads rank and alpha from this key; without it alpha != rank is lost on loading (scaling 2 became 1)."""
_LENGTHS = ".lora_magnitude_vector"
"""DoRA's weights beside A and B."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFile:
    """An adapter.safetensors, read."""

    weights: dict[str, dict[str, torch.Tensor]]
    """Of UNET, and of TEXT where the text encoder has an adapter: peft's names without the adapter's, fp32."""
    shapes: dict[str, dict[str, Any]]
    """Of the same: peft's r, lora_alpha and target_modules; use_dora and use_rslora where they are true."""
    notes: dict[str, Any]
    """What `save` was given."""


def add(unet: UNet2DConditionModel, shape: Lora) -> dict[str, nn.Parameter]:
    """Freeze the UNet, add a fresh adapter, and return what is to be trained, fp32, by its name in the UNet.

    With DoRA the UNet stays fp32, and autocast alone makes it compute in bf16: norms of bf16 weights are a part in 256 off, and a fresh adapter
    would change the picture already.
    """
    unet.requires_grad_(False)
    unet.add_adapter(_config(shape, TARGETS[shape.targets]))
    return _trained(unet)


def add_text(text_encoder: Any, shape: Lora) -> dict[str, nn.Parameter]:
    """The same on a CLIPTextModel; the names begin with `text_encoder.`.

    Raises:
        ModelError: another kind of encoder, or targets that it does not have.
    """
    if shape.targets not in TEXT_TARGETS:
        raise ModelError(f"text_lora.targets is {shape.targets!r}; a text encoder has {' or '.join(TEXT_TARGETS)}. Choose one of these.")
    encoder = _clip(text_encoder)
    encoder.requires_grad_(False)
    encoder.add_adapter(_config(shape, TEXT_TARGETS[shape.targets]))
    return {f"{TEXT}.{name}": parameter for name, parameter in _trained(encoder).items()}


def _clip(text_encoder: Any) -> Any:
    if not isinstance(text_encoder, CLIPTextModel):
        raise ModelError(
            f"The text encoder is a {type(text_encoder).__name__}, and a text LoRA goes on a CLIPTextModel alone: no other tool could load it elsewhere. "
            "Leave text_lora out, or choose a CLIP encoder."
        )
    return text_encoder


def _config(shape: Lora, targets: list[str]) -> LoraConfig:
    # peft annotates alpha as whole; it only divides it by the rank.
    alpha: Any = shape.alpha
    return LoraConfig(
        r=shape.rank, lora_alpha=alpha, target_modules=targets, init_lora_weights="gaussian", use_dora=shape.dora, use_rslora=shape.rslora
    )  # fmt: skip


def _trained(network: nn.Module) -> dict[str, nn.Parameter]:
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    for parameter in trained.values():
        # In bf16 most updates of a LoRA are smaller than the rounding of its weights.
        parameter.data = parameter.data.float()
    return trained


@contextmanager
def without_adapters(network: nn.Module) -> Generator[None]:
    """The network as it was before any adapter, for as long as the `with` lasts; as it stood again afterwards, whatever happens within."""
    # Not peft's enable_adapters: it also freezes the weights, which other lanes share and are training at this moment.
    layers = [(layer, layer.disable_adapters) for layer in network.modules() if isinstance(layer, BaseTunerLayer)]
    try:
        for layer, _ in layers:
            layer._disable_adapters = True  # pyright: ignore[reportPrivateUsage]
        yield
    finally:
        for layer, off in layers:
            layer._disable_adapters = off  # pyright: ignore[reportPrivateUsage]


def trainable_norms(parameters: Mapping[str, nn.Parameter]) -> tuple[torch.Tensor, torch.Tensor]:
    """L2 norm of the trained weights and of their gradients, all together; on their device, so that nothing waits."""
    weights = [p.detach() for p in parameters.values()]
    gradients = [p.grad.detach() for p in parameters.values() if p.grad is not None]
    return nn.utils.get_total_norm(weights), nn.utils.get_total_norm(gradients)


def continue_from(unet: UNet2DConditionModel, path: Path, text_encoder: Any = None) -> None:
    """Give fresh adapters the weights of a finished file of the same shape.

    Args:
        text_encoder: the encoder, where the recipe has a text LoRA.

    Raises:
        ModelError: unreadable, of another shape, or with a text LoRA where the recipe has none, or the other way round.
    """
    file = read(path)
    networks: dict[str, Any] = {UNET: unet} if text_encoder is None else {UNET: unet, TEXT: text_encoder}
    if file.weights.keys() != networks.keys():
        raise ModelError(
            f"{path}: is an adapter of {' and '.join(file.weights)}, and the recipe trains {' and '.join(networks)}. Set or leave out text_lora accordingly."
        )
    for part, network in networks.items():
        wanted = _shape(network)
        if file.shapes.get(part, wanted) != wanted:
            raise ModelError(
                f"{path}: its {part} adapter is {_words(file.shapes[part])}, and the recipe's is {_words(wanted)}. "
                "It can be trained further only with the rank, alpha, targets and kind it was made with."
            )
        _set(network, file.weights[part], path, "this recipe's adapter")


def _words(shape: dict[str, Any]) -> str:
    kinds = [name for key, name in (("use_dora", "DoRA"), ("use_rslora", "rsLoRA")) if shape.get(key)]
    return ", ".join([f"rank {shape['r']}", f"alpha {shape['lora_alpha']:g}", *kinds, f"on {len(shape['target_modules'])} kinds of layers"])


def _shape(network: Any) -> dict[str, Any]:
    config: LoraConfig = network.peft_config["default"]
    shape = {"r": config.r, "lora_alpha": config.lora_alpha, "target_modules": sorted(config.target_modules or [])}
    # Only where they are true: plain adapters keep the bytes they have always had, and the hash that names them.
    return shape | {key: True for key, on in (("use_dora", config.use_dora), ("use_rslora", config.use_rslora)) if on}


def save(unet: UNet2DConditionModel, path: Path, notes: dict[str, Any], dtype: torch.dtype = torch.float32, text_encoder: Any = None) -> None:
    """Write the adapter with its shape, so that `pipe.load_lora_weights(folder, weight_name="adapter.safetensors")` gives the same picture.

    Args:
        notes: anything JSON holds, kept in the file under "kimchi".
        text_encoder: the encoder, where it has an adapter too.
    """
    networks: dict[str, Any] = {UNET: unet} if text_encoder is None else {UNET: unet, TEXT: text_encoder}
    shapes = {f"{part}.{key}": value for part, network in networks.items() for key, value in _shape(network).items()}
    weights = {name: v.detach().to(dtype).contiguous() for part, network in networks.items() for name, v in _named(part, network)}
    metadata = {"format": "pt", _METADATA: json.dumps(shapes, sort_keys=True), "kimchi": json.dumps(notes, sort_keys=True, ensure_ascii=False)}
    write_bytes(path, tensor_files.to_bytes(weights, metadata))


def _named(part: str, network: Any) -> Iterator[tuple[str, torch.Tensor]]:
    # transformers took the level `text_model` out of CLIPTextModel in 5.6: tools before it find nothing without, those after it strip it.
    prefix = f"{part}.text_model." if part == TEXT and not hasattr(network, "text_model") else f"{part}."
    # False: peft would ask the hub whether the vocabulary has grown.
    for name, weight in get_peft_model_state_dict(network, save_embedding_layers=False).items():
        # transformers loads text adapters with the ending that peft leaves out; without it DoRA's lengths would stay as they were, with a warning.
        yield prefix + (f"{name}.weight" if part == TEXT and name.endswith(_LENGTHS) else name), weight


def _plain(key: str) -> str:
    """A key of the file as peft names it in the network."""
    key = key.partition(".")[2].removeprefix("text_model.")
    return key.removesuffix(".weight") if key.endswith(f"{_LENGTHS}.weight") else key


def read(path: Path) -> AdapterFile:
    """Read an adapter.safetensors.

    Raises:
        ModelError: unreadable, or without the metadata that gives its strength.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: this adapter cannot be read ({error}). It may be cut short; train it again or copy it anew.") from error
    said: dict[str, Any] = json.loads(metadata.get(_METADATA, "{}"))
    parts = [part for part in (UNET, TEXT) if any(key.startswith(f"{part}.") for key in tensors)]
    shapes = {part: {k.removeprefix(f"{part}."): v for k, v in said.items() if k.startswith(f"{part}.")} for part in parts}
    if not parts or not all(shapes.values()):
        raise ModelError(f"{path}: no rank and alpha in the file's metadata, so its strength is unknown. Use an adapter.safetensors made by kimchi.")
    weights = {part: {_plain(k): v for k, v in tensors.items() if k.startswith(f"{part}.")} for part in parts}
    return AdapterFile(weights=weights, shapes=shapes, notes=json.loads(metadata.get("kimchi", "{}")))


def load_into(unet: UNet2DConditionModel, text_encoder: Any, path: Path) -> None:
    """Add the adapters of a file to a UNet and its text encoder and merge them: W + scale * B A, or DoRA's, in the networks' own dtype.

    Args:
        text_encoder: a CLIPTextModel; it stays as it is where the file holds none of it.

    Raises:
        ModelError: unreadable, or made for other networks.
    """
    file = read(path)
    if TEXT in file.weights:
        _clip(text_encoder)
    for part, network in ((UNET, unet), (TEXT, text_encoder)):
        if part in file.weights:
            _merge(network, file.shapes[part], file.weights[part], path, "the UNet" if part == UNET else "the text encoder")


def _merge(network: Any, shape: dict[str, Any], weights: dict[str, torch.Tensor], path: Path, what: str) -> None:
    try:
        network.add_adapter(LoraConfig(**shape))
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: {_unfit(what, error)}") from error
    _set(network, weights, path, what)
    for layer in network.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
    recurse_remove_peft_layers(network)
    # Left behind, save_pretrained would write an adapter's file in place of the network.
    del network.peft_config
    network._hf_peft_config_loaded = False
    network.requires_grad_(False)


def _set(network: Any, weights: dict[str, torch.Tensor], path: Path, what: str) -> None:
    try:
        fit = set_peft_model_state_dict(network, convert_unet_state_dict_to_peft(weights))
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{path}: {_unfit(what, error)}") from error
    astray = fit.unexpected_keys or [key for key in fit.missing_keys if ".lora_" in key]
    if astray:
        raise ModelError(f"{path}: {len(astray)} weights fit nothing in {what}, first {astray[0]}. Use it with the base and encoder named in its card.json.")


def _unfit(what: str, error: Exception) -> str:
    return f"this adapter does not fit {what} ({str(error).splitlines()[0]}). Load it on the base and encoder named in its card.json."
