"""A prompt as typed -> the noun phrase that is drawn."""

import re
import unicodedata

from kimchi.errors import PromptError
from kimchi.generation import requests_en, requests_ko

LONGEST_CHARACTERS = 10_000
"""Far beyond any encoder's limit; what lies beyond that limit is cut aloud, what lies beyond this is no prompt."""

_EXAMPLE = 'Say what to draw, for example "한국의 라면을 그려줘" or "a red hanbok".'
# Pictographs by block, not by category: ℃ and ㎏ share the category So with 🍜 and must stay.
_EMOJI = re.compile("[\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]")
# Letters and marks that show nothing: Hangul fillers (a "blank" that counts as a letter), variation selectors, Braille blank.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u20e3\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Words that name nothing, once the request around them is gone.
_NOTHING = frozenset(
    (
        *("아무", "아무거나", "아무거", "아무것이나", "뭐", "뭐든", "뭐든지", "뭔가", "을", "를"),
        *("a", "an", "the", "some", "something", "anything", "one", "me", "us", "it"),
    )
)


def clean(text: str) -> str:
    """The same text in one spelling: NFC, white space folded, without control, zero-width and emoji characters. May be "".

    A macOS prompt arrives in NFD, as loose jamo; the tokenizer would read other bytes and draw another picture.
    """
    folded = " ".join(text.split())
    seen = "".join(c for c in folded if unicodedata.category(c)[0] != "C")
    # An emoji becomes a space: closing the gap would join the words, or the jamo, on its two sides.
    return " ".join(unicodedata.normalize("NFC", _EMOJI.sub(" ", _INVISIBLE.sub("", seen))).split())


def as_typed(prompt: str) -> str:
    """The prompt for the record: every character kept that UTF-8 can hold, in NFC so that NFD makes the same file."""
    return unicodedata.normalize("NFC", prompt.encode("utf-8", "replace").decode())


def as_drawn(prompt: str) -> str:
    """The noun phrase that a prompt asks for; idempotent.

    Raises:
        PromptError: nothing is left to draw (empty, only emoji, only a request), or the prompt is longer than LONGEST_CHARACTERS.
    """
    if len(prompt) > LONGEST_CHARACTERS:
        raise PromptError(
            f"A prompt of {len(prompt):,} characters: at most {LONGEST_CHARACTERS:,} are read, and encoders hear far fewer. Keep the first sentence."
        )
    cleaned = clean(prompt)
    if not _names_something(cleaned):
        shown = f"{as_typed(prompt)[:40]!r}: " if prompt.strip() else "The prompt is empty: "
        raise PromptError(f"{shown}there are no words in it to draw. {_EXAMPLE}")
    phrase = _without_requests(cleaned)
    if not _names_something(phrase):
        raise PromptError(f"{cleaned[:40]!r}: asks for a picture but names nothing to draw. {_EXAMPLE}")
    return phrase


def _without_requests(phrase: str) -> str:
    # Every strip shortens the phrase, so this ends; running to the end makes the whole idempotent.
    while True:
        rest = requests_ko.strip_request(phrase)
        if rest is None:
            rest = requests_en.strip_request(phrase)
        if rest is None:
            return phrase
        phrase = rest.strip(" ,")


def _names_something(phrase: str) -> bool:
    words = [word for word in re.findall(r"\w+", phrase.lower()) if any(c.isalnum() for c in word)]
    return any(word not in _NOTHING for word in words)
