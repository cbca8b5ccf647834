"""A prompt in one plain spelling: look-alike letters, invisible ones and loose jamo become what a reader sees.

Everything here is a table or a loop over letters. What words are looked for, matching.py says.
"""

import unicodedata
from functools import cache

# Letters of other scripts, and odd Latin ones, by the letter they look like; all in lower case.
_LOOKS = str.maketrans({
    **dict.fromkeys("аαɑᴀⱯ", "a"), **dict.fromkeys("вьβʙɓ", "b"), **dict.fromkeys("сϲᴄƈ", "c"), **dict.fromkeys("ԁđᴅɗ", "d"),
    **dict.fromkeys("еεᴇəɛ", "e"), **dict.fromkeys("ƒꜰ", "f"), **dict.fromkeys("ɡɢց", "g"), **dict.fromkeys("һнʜħհ", "h"),
    **dict.fromkeys("іιıɪɩ", "i"), **dict.fromkeys("јϳᴊ", "j"), **dict.fromkeys("кκᴋ", "k"), **dict.fromkeys("ӏʟł", "l"),
    **dict.fromkeys("мᴍ", "m"), **dict.fromkeys("пηոɴπи", "n"), **dict.fromkeys("оοᴏøօσ", "o"), **dict.fromkeys("рρᴘ", "p"),
    **dict.fromkeys("ԛզ", "q"), **dict.fromkeys("гʀґ", "r"), **dict.fromkeys("ѕꜱʂ", "s"), **dict.fromkeys("тτᴛŧ", "t"),
    **dict.fromkeys("υսᴜц", "u"), **dict.fromkeys("ѵνᴠ", "v"), **dict.fromkeys("ԝωшᴡ", "w"), **dict.fromkeys("хχ", "x"),
    **dict.fromkeys("уүчʏγ", "y"), **dict.fromkeys("ᴢʐ", "z"),
})  # fmt: skip
# Signs and digits by the letters they may stand for. Each may also be mere filling: s1e1x.
STANDS_FOR = {
    **{"0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "bg", "7": "t", "8": "b", "9": "g"},
    **{"@": "a", "$": "s", "!": "il", "|": "il", "€": "e", "£": "l", "¥": "y", "¢": "c", "+": "t", "(": "c", "<": "c"},
}
"""Sign => the Latin letters it may stand for."""
WILD = "*#%·•"
"""Signs that people write in place of any one letter: f*ck."""
# After a lone consonant these are vowels: ㅈl is 지, ㄱH is 개.
_VOWELS = {"l": "ㅣ", "i": "ㅣ", "1": "ㅣ", "|": "ㅣ", "!": "ㅣ", "丨": "ㅣ", "r": "ㅏ", "ト": "ㅏ", "h": "ㅐ", "-": "ㅡ", "_": "ㅡ", "一": "ㅡ", "ー": "ㅡ"}
_LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_TAILS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_FIRST, _LAST, _FINALS = 0xAC00, 0xD7A3, 28


def fold(text: str) -> str:
    """The same text as a reader sees it; idempotent.

    One case and one width, no invisible letters and no accents, jamo as letters of their own (ㄱ) or whole syllables, white space as one space.
    """
    once = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if sign.isspace() else _plain(sign) for sign in once).lower()
    # A combining jamo may have met its vowel only now.
    return " ".join(_compatible(unicodedata.normalize("NFC", spaced)).split())


def compose(text: str) -> str:
    """Loose jamo put together as a Korean keyboard does: ㅅㅔㄱ스 => 섹스, 세ㄱ스 => 섹스, ㅈl => 지; idempotent on what has none."""
    letters = _with_vowels(text)
    made: list[str] = []
    for i, letter in enumerate(letters):
        following = letters[i + 1] if i + 1 < len(letters) else ""
        last = made[-1] if made else ""
        if _is_vowel(letter) and last in _LEADS and last:
            made[-1] = _syllable(last, letter)
        elif letter in _TAILS and _is_open(last) and not _is_vowel(following):
            made[-1] = chr(ord(last) + 1 + _TAILS.index(letter))
        else:
            made.append(letter)
    return "".join(made)


@cache
def _plain(sign: str) -> str:
    """One sign of a text in NFC."""
    if _is_hangul(sign) or (sign.isascii() and sign.isprintable()):
        return sign
    kind = unicodedata.category(sign)
    if kind[0] in "CM" or sign in "\u115f\u1160\u3164\uffa0\u2800":
        return ""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", sign).casefold())
    bare = "".join(c for c in apart if unicodedata.category(c)[0] not in "CM" and not c.isspace()).casefold().translate(_LOOKS)
    return _compatible(unicodedata.normalize("NFC", bare))


def _compatible(text: str) -> str:
    """Jamo that combine, as the letters of a keyboard: ᄀ => ㄱ."""
    return text if text.isascii() else "".join(_compatible_letter(sign) for sign in text)


@cache
def _compatible_letter(sign: str) -> str:
    code = ord(sign)
    if not (0x1100 <= code <= 0x11FF or 0xFFA1 <= code <= 0xFFDC):
        return sign
    name = unicodedata.name(sign, "").rpartition(" ")[2]
    try:
        return unicodedata.lookup(f"HANGUL LETTER {name}")
    except KeyError:
        return ""  # jamo of the fifteenth century


def _is_hangul(sign: str) -> bool:
    return "\uac00" <= sign <= "\ud7a3" or "\u3131" <= sign <= "\u3163"


def is_jamo(sign: str) -> bool:
    """Whether it is a lone letter of Hangul: ㄱ, ㅏ."""
    return "\u3131" <= sign <= "\u3163"


def _is_vowel(sign: str) -> bool:
    return "ㅏ" <= sign <= "ㅣ" if sign else False


def _with_vowels(text: str) -> list[str]:
    letters = list(text)
    for i in range(1, len(letters)):
        after = letters[i + 1] if i + 1 < len(letters) else ""
        # "ㄷr" but not "ㄱ l a": a Latin word that follows a lone consonant keeps its letters.
        if letters[i] in _VOWELS and letters[i - 1] in _LEADS and not ("a" <= after <= "z"):
            letters[i] = _VOWELS[letters[i]]
    return letters


def _syllable(lead: str, vowel: str) -> str:
    return chr(_FIRST + (_LEADS.index(lead) * 21 + ord(vowel) - ord("ㅏ")) * _FINALS)


def _is_open(sign: str) -> bool:
    """A syllable without a final consonant."""
    return bool(sign) and _FIRST <= ord(sign) <= _LAST and (ord(sign) - _FIRST) % _FINALS == 0
