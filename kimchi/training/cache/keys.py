"""What an entry is called: a SHA-256 over everything it follows from, 32 bytes."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from kimchi.data.archives import nfc
from kimchi.models.text_encoders._base import Encoder
from kimchi.training.buckets import Fit

FORMAT = "1"
"""Another number whenever the same names would stand for other numbers."""
_DECODER = ("decoder.", "post_quant_conv.")
_BESIDE = ("scaling_factor", "shift_factor", "force_upcast", "sample_size")
"""Settings of a VAE that change nothing in its posterior before scaling."""


def latent_key(digest: str, fit: Fit, vae: str) -> bytes:
    """Of a picture's posterior.

    Args:
        digest: the picture's. vae: name_vae's answer.
    """
    return _key("latents", vae, digest, fit.width_px, fit.height_px, *(repr(float(edge)) for edge in fit.box))


def text_key(caption: str, encoder: str) -> bytes:
    """Of a caption's states; NFD and NFC are one caption.

    Args:
        encoder: name_encoder's answer.
    """
    return _key("text", encoder, nfc(caption))


def _key(*parts: object) -> bytes:
    # As JSON: joined by any sign, two different lists could read alike.
    return hashlib.sha256(json.dumps([FORMAT, *map(str, parts)]).encode()).digest()


def name_vae(vae: AutoencoderKL, dtype: torch.dtype) -> str:
    """Of a VAE's encoder and the type it computes in; the decoder has no say in latents, so a retrained one keeps them."""
    config = {k: v for k, v in vae.config.items() if not k.startswith("_") and k not in _BESIDE}
    weights = ((k, v) for k, v in vae.state_dict().items() if not k.startswith(_DECODER))
    return _named([_plain(config), str(dtype)], weights)


def name_encoder(encoder: Encoder) -> str:
    """Of a text encoder's weights and settings, its tokenizer, and how many positions it reads."""
    kind = f"{type(encoder).__module__}.{type(encoder).__qualname__}"
    return _named([kind, encoder.length, _settings(encoder.model), _tokenizer(encoder.tokenizer)], encoder.model.state_dict().items())


def _settings(model: nn.Module) -> str:
    # Number of heads, activation, norms: two models of the same weights and other settings give other states.
    configs = [(name, part.config) for name, part in model.named_modules() if hasattr(part, "config")]
    kept = {name: {k: v for k, v in _dict(config).items() if not k.startswith("_") and "version" not in k and "dtype" not in k} for name, config in configs}
    return _plain(kept)


def _dict(config: Any) -> dict[str, Any]:
    return config.to_dict() if hasattr(config, "to_dict") else dict(config)


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _tokenizer(tokenizer: Any) -> str:
    """All that a tokenizer does, as text; a slow one is known by its vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return _plain([type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.special_tokens_map])
    # Padding and truncation are left in it by the last call, and each call gives its own.
    said = {k: v for k, v in json.loads(backend.to_str()).items() if k not in ("padding", "truncation")}
    return _plain([said, tokenizer.special_tokens_map, tokenizer.padding_side])


def _named(said: list[object], weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    total = hashlib.sha256(json.dumps(said).encode())
    for name, weight in sorted(weights):
        plain = weight.detach().cpu().contiguous()
        total.update(f"\0{name}\0{plain.dtype}\0{tuple(plain.shape)}\0".encode())
        content: Any = plain.flatten().view(torch.uint8).numpy()
        total.update(content)
    return total.hexdigest()
