"""Text as cultures write it: which script a letter is of, names in a running text, and descriptions fit for a prompt.

Nothing here knows a language: its particles, brackets and marks come from the culture's file.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

# No boundary shows between words in these scripts: any two letters may belong to different words.
_RUNNING = {"Han", "Hiragana", "Thai", "Lao", "Khmer", "Myanmar"}
_SCRIPT_OF_NAME = {"Cjk": "Han", "Ideographic": "Han"}
_NOT_SCRIPTS = {"FULLWIDTH", "HALFWIDTH", "MODIFIER", "COMBINING", "LETTER", "MARK"}
_CHAIN, _LONGEST_CHAIN = 3, 12
"""Particles that may follow one another, and characters they may have together."""
DESCRIPTION_CHARACTERS = 2000
"""What is read of a description; more than any prompt takes."""
_BREAK = re.compile(r"</?(?:br|p|div|li|td|tr|h[1-6])\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_ROUND = (("(", ")"), ("（", "）"), ("[", "]"), ("〔", "〕"))
_EMPTY = re.compile(r"[(（\[〔][\s,;:·]*[)）\]〕]")


@lru_cache(maxsize=65536)
def script_of(character: str) -> str:
    """ "Hangul", "Han", "Latin" ..., "Digit" for digits, empty for what is no part of a word: the first word of its Unicode name."""
    kind = unicodedata.category(character)
    if kind[0] not in "LMN":
        return ""
    if kind == "Nd":
        return "Digit"
    words = (word for word in re.split("[ -]", unicodedata.name(character, "")) if word not in _NOT_SCRIPTS)
    script = next(words, "").capitalize()
    return _SCRIPT_OF_NAME.get(script, script)


def joined(text: str, i: int) -> bool:
    """Whether the characters before and after position i belong to one word."""
    if not 0 < i < len(text):
        return False
    before, after = script_of(text[i - 1]), script_of(text[i])
    return unicodedata.category(text[i])[0] == "M" or (bool(before) and before == after and before not in _RUNNING)


@dataclass(frozen=True, slots=True)
class Found:
    """A name where it stands in a text."""

    name: str
    """As the list of names spells it; in the text, spaces may be missing and letters be larger."""
    start: int
    end: int
    """Characters, particles left out."""
    whole: bool
    """Whether it is a word of its own, particles aside; else a word begins or ends with it."""


class Names:
    """A list of names, to be found in texts."""

    def __init__(self, names: Iterable[str], particles: Iterable[str] = ()) -> None:
        chain = "|".join(re.escape(particle) for particle in sorted(particles, key=len, reverse=True))
        self._chain = re.compile(f"(?:{chain}){{1,{_CHAIN}}}") if chain else None
        self._by_first: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
        for name in dict.fromkeys(filter(None, names)):
            pattern = re.compile(" ?".join(re.escape(word) for word in name.split()), re.IGNORECASE)
            self._by_first.setdefault(name[0].lower(), []).append((name, pattern))

    def find(self, text: str) -> list[Found]:
        """Wherever a word is, begins with, or ends with one of the names; overlapping ones too."""
        return [found for start in range(len(text)) for found in self._at(text, start)]

    def _at(self, text: str, start: int) -> Iterable[Found]:
        for name, pattern in self._by_first.get(text[start].lower(), ()):
            if match := pattern.match(text, start):
                begins, ends = not joined(text, start), self._ends(text, match.end())
                # In Latin letters a name within a longer word is chance: sake, keepsake.
                if (begins and ends) or ((begins or ends) and name[0].lower() == name[0].upper()):
                    yield Found(name, start, match.end(), begins and ends)

    def _ends(self, text: str, end: int) -> bool:
        stop = end
        while joined(text, stop) and stop - end <= _LONGEST_CHAIN:
            stop += 1
        return stop == end or (self._chain is not None and self._chain.fullmatch(text, end, stop) is not None)


def outermost(found: Iterable[Found]) -> list[Found]:
    """Without those that lie within another: the longest match wins, and of equals the first given."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda f: (f.start, -f.end)):
        # Sorted so, whatever could hold this one has been seen, and the last kept reaches farthest.
        if not kept or one.end > kept[-1].end:
            kept.append(one)
    return kept


def clean(text: str, *, scripts: Iterable[str] = (), marks: str = "", brackets: Iterable[str] = ()) -> str:
    """A description without markup, on one line, of its first characters.

    Args:
        scripts: their letters are taken out, and so is every bracket that holds one.
        marks: these characters are taken out; what stands between them stays.
        brackets: pairs such as "[]" that are taken out with what they hold.
    """
    text = unicodedata.normalize("NFC", text[:DESCRIPTION_CHARACTERS])
    text = _TAG.sub("", _BREAK.sub(" ", html.unescape(text)))
    for pair in brackets:
        text = _without(text, (pair[0], pair[1]), frozenset(), anything=True)
    unwanted = frozenset(scripts)
    if unwanted:
        for pair in _ROUND:
            text = _without(text, pair, unwanted)
        text = "".join(c for c in text if script_of(c) not in unwanted)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text if c not in marks and unicodedata.category(c) != "Cf")
    return re.sub(r" +(?=[,.;:!?)\]])", "", " ".join(_EMPTY.sub("", text).split()))


def _without(text: str, pair: tuple[str, str], scripts: frozenset[str], *, anything: bool = False) -> str:
    """Without the brackets that hold a letter of the scripts, or anything, and what they hold; one pass, whatever is nested."""
    kept: list[str] = []
    opened: list[int] = []
    for character in text:
        kept.append(character)
        if character == pair[0]:
            opened.append(len(kept) - 1)
        elif character == pair[1] and opened:
            start = opened.pop()
            inside = kept[start + 1 : -1]
            if anything or any(script_of(c) in scripts for c in inside):
                del kept[start:]
    return "".join(kept)
