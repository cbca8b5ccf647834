"""Vision-language models of the LLaVA family through transformers: pictures => descriptions, in batches. The checkpoint's config picks the class."""

from collections.abc import Iterator
from typing import Any, Self

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from kimchi.errors import ModelError

from .devices import find_device
from .llama import Checkpoint, by_length, load_network, load_words, settle, write
from .prompts import Message


class Llava:
    """LLaVA 1.5, LLaVA-NeXT, LLaVA-OneVision or their like in this process."""

    def __init__(self, network: Any, processor: Any, name: str) -> None:
        self.network, self.processor, self.name = network, processor, name
        if not processor.chat_template:
            raise ModelError(f"{name}: its processor has no chat template, so nothing says how it is asked. Copy chat_template.jinja of its family into it.")
        turns = [*_with_picture([{"role": "user", "content": "?"}], None), {"role": "assistant", "content": [{"type": "text", "text": "!"}]}]
        settle(network, processor.tokenizer, processor.apply_chat_template(turns, tokenize=False))

    @classmethod
    def load(cls, checkpoint: Checkpoint, device: str = "auto", dtype: torch.dtype | None = None) -> Self:
        """Read the weights; bfloat16 on CUDA and float32 elsewhere unless told.

        Raises:
            ModelError: weights that are missing or corrupted, no chat template, or a model that takes no pictures.
            RecipeError: no such device.
        """
        network = load_network(AutoModelForImageTextToText, checkpoint, find_device(device), dtype)
        return cls(network, load_words(AutoProcessor, checkpoint), checkpoint.name)

    def answers(
        self, pictures: Iterator[tuple[str, Image.Image]], messages: list[Message],
        *, batch: int = 16, max_new_tokens: int = 128, temperature: float = 0.0, seed: int = 0,
    ) -> Iterator[tuple[str, str]]:  # fmt: skip
        """Key and text for each keyed RGB picture, at most 4 batches held back. At temperature 0 in float32 the batch changes nothing.

        Args:
            messages: the same for all; the picture stands first in the first message of the user.
        """
        # Later members of the family cut a picture into tiles by its shape: pictures of one shape are equally long.
        for items in by_length(pictures, lambda item: 1000 * max(item[1].size) // min(item[1].size), batch, windows=4):
            asked = [_with_picture(messages, image) for _, image in items]
            inputs = self.processor.apply_chat_template(
                asked, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", processor_kwargs={"padding": True}
            )
            texts = write(self.network, self.processor.tokenizer, inputs, max_new_tokens, temperature, seed)
            yield from ((key, text) for (key, _), text in zip(items, texts, strict=True))


def _with_picture(messages: list[Message], image: Image.Image | None) -> list[dict[str, Any]]:
    """Messages as processors take them, the picture before the words of the user's first."""
    first = next(i for i, message in enumerate(messages) if message["role"] == "user")
    picture = {"type": "image"} if image is None else {"type": "image", "image": image}
    said = [{"type": "text", "text": message["content"]} for message in messages]
    return [{"role": message["role"], "content": [picture, said[i]] if i == first else [said[i]]} for i, message in enumerate(messages)]
