"""A model's name => its parts, loaded, checked against each other, and named by hash."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

from kimchi.data.files import hash_files, sha256
from kimchi.errors import ModelError
from kimchi.parts import find

from . import lora
from .networks import channels_last
from .places import weights_folder
from .text_encoders.clip import TextEncoder

MINIATURES = ("mini", "mini-raw", "mini-base")
ENCODERS = ("mini-korean-clip", "mini-aligned-clip")
"""Shipped text encoders beside the base's own: as distilled, and aligned."""
_ASIDE = ("card.json", "text_projection.safetensors", "losses.json", "gap.json")
"""Lie beside weights and change nothing that is drawn."""


@dataclass(slots=True, kw_only=True)
class Model:
    """A base, the encoder it hears, and what names them."""

    name: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: TextEncoder
    scheduler_config: dict[str, Any]
    size_px: int
    """Side of the pictures the base was trained on, pixels."""
    hashes: dict[str, str] = field(default_factory=dict)
    """First 16 hex digits over the files of unet, vae, text_encoder, tokenizer and adapter."""
    miniature: bool = False
    """True for the shipped miniature: every picture says so."""
    base: str = ""
    """Name of the untaught base it stands on; empty where nothing says."""
    few_step: bool = False
    """True with an LCM-type LoRA merged in: a few steps are enough, and guidance is in the weights."""

    @property
    def hash(self) -> str:
        """One name for all its weights, 16 hex digits: the model_hash of every picture it draws."""
        return sha256("".join(f"{part}={self.hashes[part]}\n" for part in sorted(self.hashes)).encode())


def load_model(name: str) -> Model:
    """Load `mini`, `mini-raw`, `mini-base`, a run folder, a diffusers folder, a single-file checkpoint, or a hub id.

    Raises:
        ModelError: no such model, weights missing or corrupted, or parts that do not fit together.
    """
    if name == "mini-base":
        return load_base("mini-base")
    if name == "mini-raw":
        return with_encoder(load_base("mini-base"), "mini-korean-clip", name)
    if name == "mini":
        return load_run(weights_folder() / "mini-ko", name)
    path = Path(name).expanduser()
    if (path / "card.json").is_file() and (path / "adapter.safetensors").is_file():
        return load_run(path, name)
    return load_base(name)


def load_base(name: str) -> Model:
    """A base model with the text encoder it was trained with: mini-base, a diffusers folder, a .safetensors checkpoint, or a hub id."""
    folder = weights_folder() / name if name in MINIATURES else Path(name).expanduser()
    if name in MINIATURES and not (folder / "model_index.json").is_file():
        raise ModelError(f"{name}: the miniature's weights are missing from {folder}. Reinstall kimchi-diffusion, or make them with `make mini`.")
    if folder.is_dir():
        return _from_folder(folder, name)
    if folder.is_file():
        return _from_file(folder)
    if "/" not in name or name.count("/") > 1 or name.startswith(("/", ".", "~")):
        raise ModelError(
            f"{name}: no such model. Use one of {', '.join(MINIATURES)}, a run folder, a diffusers folder, a .safetensors checkpoint, "
            "or a hub id such as owner/name."
        )
    return _from_hub(name)


def _read(what: str, make: Any, **arguments: Any) -> Any:
    """Run a loader; whatever it raises becomes one paragraph."""
    from safetensors import SafetensorError

    try:
        return make(**arguments)
    except (OSError, ValueError, SafetensorError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ModelError(f"{what}: the weights are missing or corrupted ({first}). Copy or download the folder again.") from error


def _from_folder(folder: Path, name: str) -> Model:
    def part(loader: Any, sub: str) -> Any:
        return _read(
            f"{folder / sub}", lambda: loader.from_pretrained(str(folder), subfolder=sub, dtype=torch.float32, use_safetensors=True, local_files_only=True)
        )

    scheduler = _read(f"{folder / 'scheduler'}", lambda: json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8")))
    text = _read(f"{folder / 'text_encoder'}", lambda: TextEncoder.load(folder / "text_encoder", tokenizer=folder / "tokenizer"))
    model = _assemble(name, part(UNet2DConditionModel, "unet"), part(AutoencoderKL, "vae"), text, scheduler)
    model.miniature = name in MINIATURES or _is_miniature(folder)
    for sub in ("unet", "vae", "text_encoder", "tokenizer"):
        model.hashes[sub] = _hash_part(folder / sub)
    model.base = name if name in MINIATURES else _base_of(folder)
    return model


def _from_file(path: Path) -> Model:
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: only .safetensors checkpoints are opened, since other formats can run code. Convert it first.")
    pipe = _read(str(path), lambda: StableDiffusionPipeline.from_single_file(str(path), dtype=torch.float32, local_files_only=False))
    model = _from_pipe(pipe, str(path))
    model.hashes = {"checkpoint": hash_files([path])}
    return model


def _from_hub(name: str) -> Model:
    pipe = _read(name, lambda: StableDiffusionPipeline.from_pretrained(name, dtype=torch.float32, use_safetensors=True, safety_checker=None))
    model = _from_pipe(pipe, name)
    model.hashes = {"hub": name}
    return model


def _from_pipe(pipe: StableDiffusionPipeline, name: str) -> Model:
    text = TextEncoder(pipe.text_encoder, pipe.tokenizer, f"{name}/text_encoder")
    # As its file says it. In memory diffusers also lists the settings left at their default, and from_config drops whatever is listed,
    # ours included: "trailing" or "v_prediction" written over such a config would be ignored without a word.
    scheduler = {key: value for key, value in pipe.scheduler.config.items() if key != "_use_default_values"}
    return _assemble(name, pipe.unet, pipe.vae, text, scheduler)


def _assemble(name: str, unet: UNet2DConditionModel, vae: AutoencoderKL, text: TextEncoder, scheduler: dict[str, Any]) -> Model:
    _check_width(name, unet, text)
    for net in (unet, vae):
        channels_last(net.eval().requires_grad_(False))
    side = int(unet.config["sample_size"]) * 2 ** (len(vae.config["block_out_channels"]) - 1)
    return Model(name=name, unet=unet, vae=vae, text=text, scheduler_config=scheduler, size_px=side)


def _check_width(name: str, unet: UNet2DConditionModel, text: TextEncoder) -> None:
    wanted = unet.config["cross_attention_dim"]
    if text.width != wanted:
        raise ModelError(
            f"{name}: the text encoder {text.name} gives {text.width}-wide states and the UNet reads {wanted}. Choose an encoder of width {wanted}."
        )


def with_encoder(model: Model, encoder: str, name: str) -> Model:
    """The same base hearing another text encoder: one of ENCODERS, a transformers folder, or a hub id."""
    model.text, digest = load_encoder(encoder)
    _check_width(name, model.unet, model.text)
    model.hashes["text_encoder"] = model.hashes["tokenizer"] = digest
    model.name = name
    return model


def load_encoder(encoder: str, part: str = "clip") -> tuple[Any, str]:
    """A text encoder by name, and what names its weights: the hash of its folder, or the hub id.

    Args:
        part: which class reads it: a file of kimchi/models/text_encoders/, or module:Class.
    """
    folder = encoder_folder(encoder)
    kind: Any = find("kimchi.models.text_encoders", "TextEncoder", "adapted" if _is_adapted(Path(folder)) else part)
    text = _read(str(folder), lambda: kind.load(folder))
    return text, _hash_part(Path(folder)) if Path(folder).is_dir() else encoder


def encoder_folder(encoder: str) -> str | Path:
    """Where an encoder's name lies: a shipped folder, a folder of the user's, or the hub id itself."""
    if encoder in ENCODERS:
        folder = weights_folder() / encoder
        if not (folder / "model.safetensors").is_file():
            raise ModelError(f"{encoder}: the miniature's weights are missing from {folder}. Reinstall kimchi-diffusion, or make them with `make mini`.")
        return folder
    return Path(encoder) if Path(encoder).is_dir() else encoder


def load_run(folder: Path, name: str) -> Model:
    """A run folder: the base and the encoder named in card.json, checked by hash, and the adapter merged in.

    Raises:
        ModelError: the base or the encoder on this machine is not the one the adapter was trained with; both are named.
    """
    adapter = folder / "adapter.safetensors"
    if not adapter.is_file():
        raise ModelError(f"{adapter}: missing. Train it again, or reinstall kimchi-diffusion if this is the shipped adapter.")
    card = _read(str(folder / "card.json"), lambda: json.loads((folder / "card.json").read_text(encoding="utf-8")))
    model = with_encoder(load_base(card["base"]), card["text_encoder"], name)
    model.base = card["base"]
    check_hashes(str(folder), card["hashes"], model, f"{card['base']} / {card['text_encoder']}")
    lora.load_into(model.unet, model.text.model, adapter)
    channels_last(model.unet)
    model.hashes["adapter"] = hash_files([adapter])
    return model


def check_hashes(what: str, wanted: dict[str, str], model: Model, here: str) -> None:
    """Refuse parts other than those an adapter was trained with, naming both."""
    for part, digest in wanted.items():
        if model.hashes.get(part) != digest:
            raise ModelError(f"{what}: trained with {part} {digest}, and {here} here has {model.hashes.get(part)}. Use the same weights, or train again.")


def _hash_part(folder: Path) -> str:
    return hash_files([p for p in folder.iterdir() if p.suffix in (".safetensors", ".json") and p.name not in _ASIDE])


def _is_adapted(folder: Path) -> bool:
    """Whether a folder holds an encoder behind an adapter of ours."""
    config = folder / "config.json"
    return config.is_file() and '"kimchi_adapted_text_encoder"' in config.read_text(encoding="utf-8")


def _base_of(folder: Path) -> str:
    """What a merged export was taught on, by the card beside it."""
    try:
        return str(json.loads((folder / "card.json").read_text(encoding="utf-8"))["base"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _is_miniature(folder: Path) -> bool:
    card = folder / "unet" / "card.json"
    return card.is_file() and bool(json.loads(card.read_text(encoding="utf-8")).get("miniature"))
