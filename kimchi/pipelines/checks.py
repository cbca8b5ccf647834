"""Is a caption fit to learn from? Each check looks for one fault; the first that finds one ends the matter.

Pure functions: a caption, its label and a culture => a fault or none. What a particular language asks for comes from the culture's file.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kimchi.data.culture_text import Found, joined, script_of
from kimchi.data.cultures import Culture


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a caption is refused."""

    key: str
    """One of `kimchi.data.cultures.REASONS`."""
    told: str
    """For the model that is to write it again, in the culture's language."""
    reason: str
    """For captions.dropped.jsonl, in English."""


_REASONS = {
    "empty": "the caption is empty.",
    "plain": "the caption holds {word}; it must be one line of plain text.",
    "language": "the caption is not in the culture's language: {word}.",
    "repeats": "the caption repeats {word}.",
    "missing": "the caption does not hold the name {noun} whole.",
    "look_alike": "the caption names {word}, which belongs to another culture.",
    "other": "the caption names {word}, which is another entry of the glossary; this is {noun}.",
    "late": "the name {noun} ends at token {count} of the caption; {limit} are read.",
    "long": "the caption has {count} tokens; {limit} are read.",
    "cut": "the caption is cut: it ends in {word}.",
    "noun_first": "the caption does not begin with the name {noun}.",
}
_CHARACTERS_A_TOKEN = 40
"""No honest caption has so many; beyond it nothing is looked at, so that no text takes long."""
_WORD = 40
"""Characters of an offending text that a reason quotes."""
_NOT_PLAIN = re.compile(r"[\r\n\v\f\x85\u2028\u2029]|\*\*|`|^\s*#|</?[A-Za-z]")
_STUTTER = re.compile(r"([^\W\d_])\1{3,}|((?=\d*[^\W\d_])[^\W_]{2,8})\2{2,}")
_CLAUSE = re.compile(r"[.,;:!?…、。，；：！？]+")
_PAIRS = {"(": ")", "[": "]", "{": "}", "（": "）", "「": "」", "『": "』", "《": "》", "〈": "〉", "【": "】", "“": "”", "‘": "’"}
_OPEN_END = (*",;:、，；：·・/&+-–—~…", "...")
_NAME = "\ue000"
"""Stands for the label's name where its length does not matter: a character that no text has."""
_TWICE_WORDS, _TWICE_LETTERS = 3, 8
"""Said twice, so many words of so many letters together are a repetition."""


def check(caption: str, label: str, culture: Culture, count_tokens: Callable[[str], int], *, noun_first: bool, max_tokens: int = 75) -> Fault | None:
    """The first fault of a caption, or None when it may be learned from.

    Args:
        label: the provider's, the one the caption is to name.
        count_tokens: content tokens of a text, uncut, as the text encoder counts them.
        noun_first: whether the caption must begin with the name; where it need not, it may.
        max_tokens: content tokens that the text encoder reads.
    """
    text = unicodedata.normalize("NFC", caption).strip()
    faults = _faults(text, label, culture, count_tokens, noun_first, max_tokens)
    for key, word, count in faults:
        slots = {"noun": culture.noun(label), "word": word[:_WORD], "count": str(count), "limit": str(max_tokens)}
        reason = _fill(_REASONS[key], slots | {slot: repr(slots[slot]) for slot in ("noun", "word")})
        told = culture.reasons.get(key)
        return Fault(key, culture.word(told, **slots) if told else reason, reason)
    return None


def _fill(template: str, slots: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda slot: slots[slot[1]], template)


def _faults(text: str, label: str, culture: Culture, count_tokens: Callable[[str], int], noun_first: bool, limit: int) -> Iterator[tuple[str, str, int]]:
    """Key, the word it is about, and a number of tokens, in the order in which a model had best be told."""
    if not any(script_of(c) for c in text):
        yield "empty", text, 0
        return
    if len(text) > limit * _CHARACTERS_A_TOKEN:
        yield "long", "", max(limit + 1, count_tokens(text[: limit * _CHARACTERS_A_TOKEN]))
        return
    if found := _NOT_PLAIN.search(text):
        yield "plain", found[0], 0
    names = culture.find_names(text, label)
    own = [found for found in names if found.whole and found.name in culture.displays(label)]
    if stray := _stray(text, own, culture):
        yield "language", stray, 0
    if again := _repeated(text, own):
        yield "repeats", again, 0
    # What stands in the name's place says more than that the name is missing.
    yield from _foreign(names, label, culture)
    if not own:
        yield "missing", "", 0
        return
    if (count := count_tokens(text[: own[0].end])) > limit:
        yield "late", "", count
    if (count := count_tokens(text)) > limit:
        yield "long", "", count
    if end := _cut(text, names, culture):
        yield "cut", end, 0
    if noun_first and own[0].start > 0:
        yield "noun_first", "", 0


def _foreign(names: list[Found], label: str, culture: Culture) -> Iterator[tuple[str, str, int]]:
    for found in names:
        if culture.may_name(label, found.name):
            continue
        if found.name in culture.look_alikes:
            yield "look_alike", found.name, 0
        elif found.whole:
            yield "other", found.name, 0


def _stray(text: str, own: list[Found], culture: Culture) -> str:
    """What is in another language: all from a letter that is neither the culture's nor Latin, or the whole where too much is Latin."""
    if not culture.scripts:
        return ""
    named = {i for found in own for i in range(found.start, found.end)}
    # Letters of the name count only where they are native: it may hold Latin ones.
    scripts = [(script, i) for i, c in enumerate(text) if (script := script_of(c)) in culture.scripts or (script not in ("", "Digit") and i not in named)]
    for script, i in scripts:
        if script not in culture.scripts and script != "Latin":
            return text[i:]
    share = sum(script in culture.scripts for script, _ in scripts) / max(1, len(scripts))
    return text if share < culture.script_share else ""


def _repeated(text: str, own: list[Found]) -> str:
    """What is said again: letters that stutter, a clause that stands twice, or a run of words that comes back."""
    if found := _STUTTER.search(text):
        return found[0]
    masked = text
    for found in reversed(own):
        # A name of several words may well come twice; it counts as one.
        masked = masked[: found.start] + _NAME + masked[found.end :]
    again = _twice([" ".join(clause.split()).lower() for clause in _CLAUSE.split(masked)])
    again = again or _stammer(_words(masked)) or _twice(_windows(_words(masked)))
    return again.replace(_NAME, own[0].name if own else "")


def _twice(parts: list[str]) -> str:
    seen: set[str] = set()
    for part in filter(None, parts):
        if part in seen:
            return part
        seen.add(part)
    return ""


def _words(text: str) -> list[str]:
    """Words; letters each where the script leaves no spaces."""
    words: list[str] = []
    for i, character in enumerate(text):
        if words and joined(text, i):
            words[-1] += character
        elif script_of(character) or character == _NAME:
            words.append(character)
    return [word.lower() for word in words]


def _stammer(words: list[str]) -> str:
    """A word three times in a row, or a longer run of words twice in a row."""
    for i in range(len(words)):
        if len(words[i : i + 3]) == 3 and len(set(words[i : i + 3])) == 1:
            return " ".join(words[i : i + 3])
        for n in (2, 3, 4):
            run = words[i : i + n]
            # In short runs it is a figure of speech.
            if run == words[i + n : i + 2 * n] and len("".join(run)) >= 4:
                return " ".join(run)
    return ""


def _windows(words: list[str]) -> list[str]:
    """From each word on, the fewest words that are long enough to be a repetition."""
    windows: list[str] = []
    for i in range(len(words)):
        end = i + _TWICE_WORDS
        while end <= len(words):
            if len("".join(words[i:end])) >= _TWICE_LETTERS:
                windows.append(" ".join(words[i:end]))
                break
            end += 1
    return windows


def _cut(text: str, names: list[Found], culture: Culture) -> str:
    """The end of a caption that stops in the middle: a broken letter, an open bracket, a comma, or an ending that wants more."""
    if "\ufffd" in text:
        return "\ufffd"
    if left := _open(text):
        return left
    if text.endswith(_OPEN_END):
        return text[-1]
    if any(found.whole and found.end == len(text) for found in names):
        return ""
    endings = [end for end in (*culture.unfinished, *culture.finished) if text.endswith(end)]
    longest = max(endings, key=len, default="")
    return "" if longest in culture.finished else longest


def _open(text: str) -> str:
    """A bracket or quotation mark that is not closed."""
    opened: list[str] = []
    for character in text:
        if character in _PAIRS:
            opened.append(character)
        elif opened and character == _PAIRS[opened[-1]]:
            opened.pop()
    if text.count('"') % 2:
        opened.append('"')
    return opened[-1] if opened else ""
