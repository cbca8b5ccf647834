"""How many tokens a text encoder would read of a text, without its weights."""

from collections.abc import Callable

from kimchi.errors import ModelError
from kimchi.models.load import weights_folder


def counter(text_encoder: str) -> Callable[[str], int]:
    """Text => content tokens, the start and end tokens not counted.

    Args:
        text_encoder: mini-korean-clip, a transformers folder, or a hub id.

    Raises:
        ModelError: no tokenizer there.
    """
    from transformers import AutoTokenizer

    shipped = weights_folder() / text_encoder
    place = str(shipped) if shipped.is_dir() else text_encoder
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{text_encoder}: no tokenizer can be loaded ({reason}). Name mini-korean-clip, a folder, or a hub id as text_encoder.") from error
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
