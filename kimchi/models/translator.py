"""Korean prompts => English ones, by a chat model: the baseline that translates first and lets the base draw."""

from collections.abc import Sequence
from typing import Self

from kimchi.records import MadeBy

from .llama import Checkpoint, Llama, find_checkpoint
from .prompts import Prompt, bare, load_prompt

LONGEST_TOKENS = 256
"""Of an answer: far more than an encoder of 77 tokens hears."""


class Translator:
    """A LLaMA that is asked for English."""

    def __init__(self, llama: Llama, prompt: Prompt, checkpoint: Checkpoint) -> None:
        self.llama, self.prompt = llama, prompt
        self.made_by = MadeBy(part="translator:llama", model=checkpoint.name, model_hash=checkpoint.hash, prompt_hash=prompt.hash)

    @classmethod
    def load(cls, model: str = "mini", *, revision: str = "", prompt: str = "", device: str = "auto") -> Self:
        """Load a chat model and what it is asked.

        Args:
            model: mini, a transformers folder, or a hub id.
            revision: commit of the hub's repository; empty for its newest.
            prompt: a file of pipelines/prompts/ without its suffix, or a path; empty for the one that the model was made for.
            device: auto, cpu, cuda or cuda:1.

        Raises:
            ModelError: no such model, or weights that are missing or corrupted.
            RecipeError: no such prompt or device.
        """
        asked = load_prompt(prompt or ("mini_translate_en" if model == "mini" else "translate_en"))
        checkpoint = find_checkpoint(model, revision, "mini-llama")
        return cls(Llama.load(checkpoint, device), asked, checkpoint)

    def translate(self, prompts: Sequence[str], *, batch: int = 16) -> list[str]:
        """Each prompt in English, in their order; the same words are translated once, and nothing is left to chance.

        A prompt in plain ASCII is English already and comes back as it is, and so does one for which the model writes nothing.

        Args:
            prompts: what is to be drawn, without the request around it: "노을 진 바닷가의 거북선", not "... 그려줘".
            batch: prompts translated together.
        """
        foreign = [text for text in dict.fromkeys(prompts) if not text.isascii()]
        asked = ((text, self.prompt.messages({"text": text})) for text in foreign)
        written = {text: bare(answer, self.prompt) for text, answer in self.llama.answers(asked, batch=batch, max_new_tokens=LONGEST_TOKENS)}
        return [written.get(text) or text for text in prompts]
