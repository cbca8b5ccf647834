"""A vision-language model that is asked about pictures, in this process (kimchi/models/llava.py) or behind an endpoint, and how its words are read."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from kimchi.data.files import sha256
from kimchi.errors import EndpointError, RecipeError
from kimchi.eval.scoring.answers import key_of
from kimchi.models.endpoint import Endpoint, with_picture
from kimchi.records import MadeBy

from . import Scene, Shown

if TYPE_CHECKING:
    from kimchi.models.llama import Checkpoint
    from kimchi.recipes.score import Metric as Section

Question = tuple[Shown, str]
_YES = re.compile(r"(?<!\w)(?:예|네|예입니다|그렇습니다|있습니다|yes)(?!\w)")
_NO = re.compile(r"(?<!\w)(?:아니요|아니오|아뇨|아닙니다|없습니다|no|not)(?!\w)")


def yes_or_no(text: str) -> bool | None:
    """What an answer says in Korean or English: its first word if that says it, else any; None for both or neither."""
    words = _plain(text)
    first = words.lstrip(" \n\"'“‘*-")
    for said, pattern in ((True, _YES), (False, _NO)):
        if pattern.match(first):
            return said
    yes, no = bool(_YES.search(words)), bool(_NO.search(words))
    return None if yes == no else yes


def choice(text: str, choices: Sequence[str]) -> str:
    """The one of the choices that an answer names; empty for none or several. Of names within each other the longest counts."""
    words, named = _plain(text), list[str]()
    for one in sorted(choices, key=len, reverse=True):
        # In Korean a particle follows without a gap (한국입니다); in English a longer word is another word.
        ending = r"(?!\w)" if one.isascii() else ""
        words, times = re.subn(rf"(?<!\w){re.escape(_plain(one))}{ending}", " ", words)
        named += [one] * bool(times)
    return named[0] if len(named) == 1 else ""


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def turned(choices: Sequence[str], prompt: str) -> tuple[str, ...]:
    """The choices, begun at a place that the prompt decides: models favour what is listed first, and so every choice is, about equally often.

    All conditions of one prompt are asked alike, so that their answers can be compared.
    """
    start = int(sha256(prompt.encode(), 8), 16) % len(choices)
    return (*choices[start:], *choices[:start])


class Judge:
    """Asks a model about pictures; what it answered before is not asked again.

    Raises:
        RecipeError: no model named, or an endpoint that the recipe may not send pictures to.
        EndpointError: the endpoint's name cannot be resolved.
    """

    def __init__(self, section: "Section") -> None:
        self.section = section
        if not section.model:
            raise RecipeError(f"metrics.{section.name}: names no `model`. Give a LLaVA-class model: a folder, a hub id, mini, or its name at an `endpoint`.")

    @cached_property
    def endpoint(self) -> Endpoint | None:
        """Where the model is served, if it is."""
        return Endpoint(self.section) if self.section.endpoint else None

    @cached_property
    def made_by(self) -> MadeBy:
        """Which model; a folder's weights are hashed, and of a hub's repository the commit is asked, when this is first read."""
        model, of = (self.section.model, self.endpoint.model_hash) if self.endpoint else (self._checkpoint.name, self._checkpoint.hash)
        return MadeBy(part=f"metric:{self.section.part}", model=model, model_hash=of)

    def answers(self, scene: Scene, questions: Sequence[Question]) -> list[str]:
        """What the model says to each question, in their order.

        Raises:
            ModelError: weights that are missing or corrupted.
            EndpointError: a server that is not there, or that left questions without an answer.
        """
        keys = [self._key(shown, question) for shown, question in questions]
        left = {key: one for key, one in zip(keys, questions, strict=True) if scene.answers.get(key) is None}
        done = len(questions) - len(left)
        # Pictures are decoded as they are asked about: thousands at once would fill the memory.
        for key, text in self._asked(left) if left else ():
            scene.answers.put(key, text)
            scene.report(self.section.name, done := done + 1, len(questions))
        said = [scene.answers.get(key) for key in keys]
        if None in said:
            missing = said.count(None)
            raise EndpointError(
                f"metrics.{self.section.name}: {missing} of {len(said)} questions got no answer. Run the same command again: only they are asked."
            )
        return said

    def _key(self, shown: Shown, question: str) -> str:
        of = self.section
        drawn = [of.temperature, of.seed] if of.temperature else [0.0]
        return key_of("judge", self.made_by.model, self.made_by.model_hash, of.max_new_tokens, drawn, question, shown.sha256)

    def _asked(self, left: dict[str, Question]) -> Iterator[tuple[str, str]]:
        if self.endpoint is not None:
            yield from self._by_endpoint(self.endpoint, left)
            return
        from kimchi.models.llava import Llava

        of = self.section
        model = Llava.load(self._checkpoint, of.device)
        for question in dict.fromkeys(words for _, words in left.values()):
            same = ((key, shown.image()) for key, (shown, words) in left.items() if words == question)
            yield from model.answers(
                same, _messages(question), batch=of.batch, max_new_tokens=of.max_new_tokens, temperature=of.temperature, seed=of.seed
            )  # fmt: skip

    def _by_endpoint(self, endpoint: Endpoint, left: dict[str, Question]) -> Iterator[tuple[str, str]]:
        for reply in endpoint.answers((key, with_picture(_messages(words), shown.image())) for key, (shown, words) in left.items()):
            if not reply.error:
                yield reply.key, reply.text

    @cached_property
    def _checkpoint(self) -> "Checkpoint":
        from kimchi.models.llama import find_checkpoint

        return find_checkpoint(self.section.model, self.section.revision, "mini-llava")


def _messages(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]
