"""A chat model of the LLaMA family, in this process or behind an OpenAI-compatible endpoint, words a caption from draft and label."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from kimchi.data.cultures import Culture
from kimchi.models.endpoint import Endpoint
from kimchi.models.prompts import Message, bare, load_prompt
from kimchi.pipelines.captioners import Answer
from kimchi.pipelines.refiners import Request
from kimchi.recipes import Writer
from kimchi.records import MadeBy

if TYPE_CHECKING:
    from kimchi.models.llama import Checkpoint, Llama

DEFAULT_MODEL = "meta-llama/Llama-3.1-8B-Instruct"


class Refiner:
    """Tells the model what a picture shows, what the thing is called, and how it wants to be named."""

    def __init__(self, section: Writer, culture: Culture) -> None:
        self.culture, self.section = culture, section.model_copy(update={"model": section.model or DEFAULT_MODEL})
        self.prompt = load_prompt(section.prompt or f"{'mini_' if section.model == 'mini' else ''}refine_{culture.tag}")
        self.endpoint = Endpoint(self.section) if section.endpoint else None
        # At temperature 0 nothing is drawn by chance; batch and device change what an answer costs.
        self.identity = f"{section.max_new_tokens}/{section.temperature}" + (f"/{section.seed}" if section.temperature else "")

    @cached_property
    def made_by(self) -> MadeBy:
        """Which model and prompt; a folder's weights are hashed, and of a hub's repository the commit is asked, when this is first read."""
        model, of = (self.section.model, self.endpoint.model_hash) if self.endpoint else (self._checkpoint.name, self._checkpoint.hash)
        return MadeBy(part="refiner:llama", model=model, model_hash=of, prompt_hash=self.prompt.hash)

    def refine(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """A caption for every request.

        Raises:
            ModelError: weights that are missing or corrupted.
            EndpointError: a server that is not there or turns everything away.
        """
        asked = ((request.key, self.messages(request)) for request in requests)
        yield from self._by_endpoint(self.endpoint, asked) if self.endpoint else self._here(asked)

    def messages(self, request: Request) -> list[Message]:
        """The conversation that a request becomes."""
        entry = self.culture.glossary.get(request.labels[-1])
        slots = {
            "noun": request.noun, "kind": self.culture.category(request.labels).kind, "gloss": entry.en if entry else "",
            "draft": request.draft_en, "description": request.description,
        }  # fmt: skip
        return self.prompt.messages(slots, order="noun_first" if request.noun_first else "noun_last", refused=request.refused)

    def _by_endpoint(self, endpoint: Endpoint, asked: Iterator[tuple[str, list[Message]]]) -> Iterator[Answer]:
        for reply in endpoint.answers((key, [dict(message) for message in messages]) for key, messages in asked):
            yield self._answer(reply.key, reply.text, reply.error)

    def _here(self, asked: Iterator[tuple[str, list[Message]]]) -> Iterator[Answer]:
        if (first := next(asked, None)) is None:
            return  # nothing to write, no weights to load
        of = self.section
        written = self._model.answers(
            chain([first], asked), batch=of.batch, max_new_tokens=of.max_new_tokens, temperature=of.temperature, seed=of.seed
        )  # fmt: skip
        for key, text in written:
            yield self._answer(key, text, "")

    def _answer(self, key: str, text: str, error: str) -> Answer:
        text = bare(text, self.prompt)
        return Answer(key, text, error=error or ("" if text else "the model wrote nothing"))

    @cached_property
    def _checkpoint(self) -> "Checkpoint":
        from kimchi.models.llama import find_checkpoint

        return find_checkpoint(self.section.model, self.section.revision, "mini-llama")

    @cached_property
    def _model(self) -> "Llama":
        from kimchi.models.llama import Llama

        return Llama.load(self._checkpoint, self.section.device)
