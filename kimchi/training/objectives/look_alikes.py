"""Captions with a look-alike's name in place of the thing's own: "분홍색 한복을 입고" => "분홍색 기모노를 입고"."""

import re

from kimchi.data.culture_text import Names, script_of
from kimchi.data.cultures import Culture
from kimchi.data.korean import particle

_PAIRS = {form: pair for pair in ("으로/로", "과/와", "이나/나", "이랑/랑", "이라/라", "이며/며", "이란/란", "이다/다", "이/가", "을/를", "은/는")
          for form in pair.split("/")}  # fmt: skip
# More may follow the first four (으로도, 과는); the others end the word, or they are the beginning of something else (이고, 나무).
_PARTICLE = re.compile(r"(으로|로|과|와)|(이나|나|이랑|랑|이라|라|이며|며|이란|란|이다|다|이|가|을|를|은|는)(?![가-힣])")


class LookAlikes:
    """What the things of a culture are mistaken for, by the names its own script has for them."""

    def __init__(self, culture: Culture) -> None:
        self._of: dict[str, list[str]] = {}
        kinds = {name: culture.category((label,)).templates for label in culture.glossary for name in culture.displays(label)}
        for other, meant in culture.look_alikes.items():
            # Latin spellings are for English drafts. What stands for things that are worded differently (일본식: 한복, 한옥) is a manner, no thing.
            ours = not culture.scripts or script_of(other[0]) in culture.scripts
            if ours and len({kinds.get(name) for name in meant}) == 1:
                for name in meant:
                    self._of.setdefault(name, []).append(other)
        self._finders = {name: Names([name], culture.particles) for name in self._of}

    def of(self, noun: str) -> tuple[str, ...]:
        """The look-alikes of a noun, in the order of the culture's file; none for a noun that names several things, or that the file does not know."""
        return tuple(self._of.get(noun, ()))

    def swap(self, words: str, noun: str, pick: int = 0) -> str | None:
        """A row's words with its noun replaced, its particles following; None where there is no look-alike, or the words do not hold the noun.

        Args:
            words: what the sample is shown with: in the culture's language, in English, or empty.
            noun: the row's noun, as it stands in captions.
            pick: chooses among several look-alikes; any number from 0.
        """
        places = [found for found in self._finders[noun].find(words) if found.whole] if noun in self._of else []
        if not places:
            return None
        other = self._of[noun][pick % len(self._of[noun])]
        for place in reversed(places):
            words = words[: place.start] + other + _following(other, words[place.end :])
        return words


def _following(word: str, rest: str) -> str:
    """What follows a word, its first particle as the word takes it: left as it was, the particle would give the exchange away."""
    match = _PARTICLE.match(rest)
    return particle(word, _PAIRS[match.group()]) + rest[match.end() :] if match else rest
