"""Korean particles: which of a pair a word takes.

이/가, 을/를, 은/는, 과/와, 으로/로 follow the sound that ends the word: the first after a final consonant (받침), the second after a vowel.
"""

import re
import unicodedata

_FIRST, _LAST, _FINALS, _RIEUL = 0xAC00, 0xD7A3, 28, 8
# Digits and Latin letters are read aloud: 1 is 일 (final ㄹ), 3 is 삼, N is 엔; the others end in a vowel.
_READ_ALOUD = {"0": 21, "1": _RIEUL, "3": 16, "6": 1, "7": _RIEUL, "8": _RIEUL, "l": _RIEUL, "r": _RIEUL, "m": 16, "n": 4}
_SILENT = re.compile(r"[\s\"'’”)\]」』》>.,!?]+$")
_PARTICLES = re.compile(r"\{(으로/로|이/가|을/를|은/는|과/와|이나/나|이라/라|아/야)\}")


def final_consonant(word: str) -> int:
    """Number of the final consonant of the last sound, 0 for none, 8 for ㄹ: the order of Unicode's Hangul syllables (Unicode 3.12)."""
    word = _SILENT.sub("", unicodedata.normalize("NFC", word))
    last = word[-1:].lower()
    if last and _FIRST <= ord(last) <= _LAST:
        return (ord(last) - _FIRST) % _FINALS
    return _READ_ALOUD.get(last, 0)


def particle(word: str, pair: str) -> str:
    """The one of "이/가" that follows the word; ㄹ takes 로, not 으로."""
    closed, open_ = pair.split("/")
    final = final_consonant(word)
    return open_ if final == 0 or (closed == "으로" and final == _RIEUL) else closed


def fill_particles(text: str) -> str:
    """Replace each "{이/가}" by the particle that the text before it takes: "라면{을/를}" => "라면을"."""
    while match := _PARTICLES.search(text):
        before = text[: match.start()]
        text = before + particle(before, match.group(1)) + text[match.end() :]
    return text
