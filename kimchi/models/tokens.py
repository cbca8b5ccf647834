"""How many tokens a text encoder would read of a text, without its weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from kimchi.errors import ModelError
from kimchi.models.places import weights_folder


def counter(text_encoder: str) -> Callable[[str], int]:
    """Text => content tokens, the start and end tokens not counted.

    Args:
        text_encoder: mini-korean-clip, a transformers folder, or a hub id.

    Raises:
        ModelError: no tokenizer there.
    """
    shipped = weights_folder() / text_encoder
    place = shipped if shipped.is_dir() else Path(text_encoder).expanduser()
    # The fast tokenizer's own file, where there is one: transformers would bring torch, ten times the memory of everything else here.
    if (place / "tokenizer.json").is_file():
        tokenizer: Tokenizer = _read(text_encoder, lambda: Tokenizer.from_file(str(place / "tokenizer.json")))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
    return _by_transformers(text_encoder, str(place) if place.is_dir() else text_encoder)


def _by_transformers(text_encoder: str, place: str) -> Callable[[str], int]:
    from transformers import AutoTokenizer

    load: Any = AutoTokenizer.from_pretrained
    tokenizer = _read(text_encoder, lambda: load(place))
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def _read(text_encoder: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:  # the tokenizers library raises bare Exceptions
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"{text_encoder}: no tokenizer can be loaded ({reason}). Name mini-korean-clip, a folder, or a hub id as text_encoder.") from error
