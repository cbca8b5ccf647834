"""A vision-language model of the LLaVA family, in this process or behind an OpenAI-compatible endpoint, describes what is seen."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from PIL import Image

from kimchi.models.endpoint import Endpoint, with_picture
from kimchi.models.prompts import load_prompt
from kimchi.pipelines.captioners import Answer, Seen
from kimchi.recipes import Writer
from kimchi.records import MadeBy

if TYPE_CHECKING:
    from kimchi.models.llama import Checkpoint

DEFAULT_MODEL = "llava-hf/llava-1.5-7b-hf"


class Captioner:
    """Asks the same question of every picture."""

    looks = True

    def __init__(self, section: Writer) -> None:
        self.section = section.model_copy(update={"model": section.model or DEFAULT_MODEL})
        # The miniature knows one question only.
        self.prompt = load_prompt(section.prompt or ("mini_describe_en" if section.model == "mini" else "describe_en"))
        self.messages = self.prompt.messages({})
        self.endpoint = Endpoint(self.section) if section.endpoint else None
        # At temperature 0 nothing is drawn by chance; batch and device change what an answer costs.
        self.identity = f"{section.max_new_tokens}/{section.temperature}" + (f"/{section.seed}" if section.temperature else "")

    @cached_property
    def made_by(self) -> MadeBy:
        """Which model and prompt; a folder's weights are hashed, and of a hub's repository the commit is asked, when this is first read."""
        model, of = (self.section.model, self.endpoint.model_hash) if self.endpoint else (self._checkpoint.name, self._checkpoint.hash)
        return MadeBy(part="captioner:llava", model=model, model_hash=of, prompt_hash=self.prompt.hash)

    def describe(self, pictures: Iterator[Seen]) -> Iterator[Answer]:
        """A description of every picture.

        Raises:
            ModelError: weights that are missing or corrupted.
            EndpointError: a server that is not there or turns everything away.
        """
        shown = ((picture.key, picture.image) for picture in pictures if picture.image is not None)
        yield from self._by_endpoint(self.endpoint, shown) if self.endpoint else self._here(shown)

    def _by_endpoint(self, endpoint: Endpoint, shown: Iterator[tuple[str, Image.Image]]) -> Iterator[Answer]:
        for reply in endpoint.answers((key, with_picture(self.messages, image)) for key, image in shown):
            yield Answer(reply.key, " ".join(reply.text.split()), error=reply.error)

    def _here(self, shown: Iterator[tuple[str, Image.Image]]) -> Iterator[Answer]:
        if (first := next(shown, None)) is None:
            return  # nothing to describe, no weights to load
        from kimchi.models.llava import Llava

        of = self.section
        # Held by this loop alone: when the last picture is described, the refiner's model gets the memory.
        written = Llava.load(self._checkpoint, of.device).answers(
            chain([first], shown), self.messages, batch=of.batch, max_new_tokens=of.max_new_tokens, temperature=of.temperature, seed=of.seed
        )
        for key, text in written:
            yield Answer(key, " ".join(text.split()), error="" if text else "the model wrote nothing")

    @cached_property
    def _checkpoint(self) -> "Checkpoint":
        from kimchi.models.llama import find_checkpoint

        return find_checkpoint(self.section.model, self.section.revision, "mini-llava")
