"""Korean requests around a prompt: "한국의 라면을 그려줘" asks for 한국의 라면. The tables are data; the functions below read them.

A space in a table entry stands for an optional space, since people write 그려줘 and 그려 줘 alike. All text is NFC.
"""

import re

# What is done, in the form that takes 주다 (그려 + 줘).
_VERBS = ("그려", "보여", "만들어", "생성해", "제작해", "디자인해", "스케치해", "표현해", "묘사해", "출력해", "뽑아", "띄워", "찍어")
# Ways of asking for it, the informal first.
_GIVE = (
    *("줘", "줘요", "줘라", "주라", "줄래", "줄래요", "주렴", "다오", "주겠니", "주겠어", "주겠어요", "주삼", "줭", "달라", "달라고"),
    *("주세요", "주세여", "주세용", "주셔요", "주시죠", "주십시오", "주시오", "주실래요", "주시겠어요", "주시겠습니까"),
    *("줬으면 해", "줬으면 해요", "줬으면 좋겠어", "줬으면 좋겠어요", "주면 좋겠어", "주면 좋겠어요", "주면 안 돼", "주면 안 될까", "주면 안 될까요"),
    *("주셨으면 해요", "주셨으면 합니다", "주셨으면 좋겠어요", "주셨으면 좋겠습니다", "주시면 좋겠어요", "주시면 감사하겠습니다", "주시면 고맙겠습니다"),
    *("주길 바라", "주길 바라요", "주길 바랍니다", "주시기 바랍니다", "주시길 바랍니다"),
)
_CAN_YOU = ("줄 수 있", "주실 수 있")
_CAN_YOU_ENDINGS = ("어", "어요", "니", "나", "나요", "냐", "을까", "을까요", "겠니", "겠어", "겠어요", "겠습니까", "습니까", "으세요", "으신가요", "을는지요")
# Whole requests that must stand apart from the word before, or follow its 을/를: short enough to be the end of a noun.
_APART = (
    *("그려", "그려라", "그려 봐", "그려 봐라", "그려 봐요", "그려 보자", "그려 보세요", "그리세요", "그리시오", "그려요"),
    *("만들어", "만들어라", "만들어 봐", "만들어 보세요", "생성해", "생성해라", "생성하라", "생성하세요"),
    *("보고 싶어", "보고 싶어요", "보고 싶다", "보고 싶습니다"),
    *("해줘", "해 주세요", "부탁", "부탁해", "부탁해요", "부탁합니다", "부탁할게", "부탁할게요", "부탁드려요", "부탁드립니다", "부탁드릴게요"),
)
# What every request here asks for anyway; a style (수묵화, 일러스트) is no such word and stays in the prompt.
_MEDIUM = ("그림", "사진", "이미지", "픽처")
_MEDIUM_PARTICLES = ("을", "를", "으로", "로", "이나", "이라도", "라도")
_COUNTERS = ("하나", "하나만", "하나를", "한 장", "한 장만", "한 장을", "한 컷", "한 개", "1장")
# Words of courtesy at either end.
_SOFTENERS = ("좀", "제발", "부디", "혹시", "어서", "얼른", "빨리", "한 번", "한 번만", "꼭", "다시", "나에게", "내게", "나한테", "저에게", "제게", "저한테")
_SOFTENERS_MORE = ("우리에게", "우리한테", "저희에게", "저희한테", "안녕", "안녕하세요", "저기", "저기요")
# Before 그림 or 사진 these leave no noun behind ("고양이가 자는 그림"), so that the word stays.
_MODIFIER_ENDINGS = ("는", "던", "은", "된", "한", "운", "멋진", "큰", "긴", "예쁜", "이쁜", "슬픈", "기쁜", "빨간", "노란", "파란", "하얀", "까만", "푸른")
_NOT_MODIFIERS = ("북한", "남한", "대한", "행운", "기운", "새", "헌")
# Nouns that end like a particle after a final consonant (을) or after a vowel (라도). 마을, 노을, 가을 need no entry: their 을 follows a vowel.
_LOOK_LIKE_PARTICLES = ("갑을", "콜로라도", "엘도라도", "프라도")
# Nouns in 이: "떡볶이라도" is 떡볶이 + 라도, not 떡볶 + 이라도.
_NOUNS_IN_I = (
    *("떡볶이", "고양이", "호랑이", "원숭이", "거북이", "부엉이", "달팽이", "올챙이", "강냉이", "멍멍이", "꿀꿀이", "어린이", "젊은이", "늙은이"),
    *("목걸이", "귀걸이", "벽걸이", "옷걸이", "손잡이", "재떨이", "책꽂이", "놀이", "돌이", "순이", "종이", "지팡이", "팽이", "송이", "냉이", "구이", "볶음이"),
)
# Nouns in 의, which must not lose it in "회의 사진".
_NOUNS_IN_UI = ("회의", "강의", "정의", "예의", "하의", "상의", "한의", "주의", "동의", "문의", "모의", "토의", "협의", "항의")
_CLOSING = " ~!?.,…^ㅋㅎㅠㅜ;"


def _any_of(entries: tuple[str, ...]) -> str:
    """A regular expression for any entry, the longest first, its spaces optional."""
    ordered = sorted(set(entries), key=lambda entry: (-len(entry), entry))
    return "(?:" + "|".join(re.escape(entry).replace(r"\ ", " ?") for entry in ordered) + ")"


_CAN_YOU_ALL = tuple(start + end for start in _CAN_YOU for end in _CAN_YOU_ENDINGS)
_CAN_DRAW = tuple("그릴 수 있" + end for end in _CAN_YOU_ENDINGS)
_DO_GIVE = rf"{_any_of(_VERBS)} ?(?:봐 ?)?{_any_of(_GIVE + _CAN_YOU_ALL)}"
_ASKED = re.compile(rf"(?:{_DO_GIVE}|(?:^|(?<=[ 을를])){_any_of(_APART + _CAN_DRAW)})$")
_ASKED_FIRST = re.compile(rf"^{_DO_GIVE}[ ,.:!~]+")
_AS_PICTURE = re.compile(rf"(?:^|(?<= )){_any_of(_MEDIUM)}(?:으로|로)$")
_MEDIUM_LAST = re.compile(rf"(?:^|(?<= ))({_any_of(_MEDIUM)}){_any_of(_MEDIUM_PARTICLES)}?(?: ?{_any_of(_COUNTERS)})?$")
_SOFT = _any_of(_SOFTENERS + _SOFTENERS_MORE)
_SOFT_LAST = re.compile(rf"(?:^|(?<=[ 을를])){_SOFT}$")
_SOFT_FIRST = re.compile(rf"^{_SOFT}(?:[ ,.!~]+|$)")


def strip_request(phrase: str) -> str | None:
    """The noun phrase inside one Korean request, or None when `phrase` requests nothing.

    Args:
        phrase: NFC, white space folded.

    Returns:
        What is left, which may be "" ("그려줘") or itself hold another request ("라면 그려줘, 제발 그려줘").
    """
    closed = phrase.rstrip(_CLOSING)
    asked = _ASKED.search(closed)
    if asked is None and _AS_PICTURE.search(closed) is None:
        first = _ASKED_FIRST.match(phrase)
        return phrase[first.end() :] if first else None
    rest = closed[: asked.start()] if asked else closed
    rest = _without(_SOFT_LAST, rest.rstrip(_CLOSING))
    rest = _without_medium(rest)
    rest = _without_particle(_without(_SOFT_LAST, rest))
    return _without_quotes(_without(_SOFT_FIRST, rest))


def _without(pattern: re.Pattern[str], phrase: str) -> str:
    while found := pattern.search(phrase):
        phrase = (phrase[: found.start()] + phrase[found.end() :]).strip()
    return phrase


def _without_medium(phrase: str) -> str:
    """ "한복 사진 한 장" -> "한복", "라면의 그림을" -> "라면", but "고양이가 자는 그림을" -> "고양이가 자는 그림"."""
    found = _MEDIUM_LAST.search(phrase)
    if found is None:
        return phrase
    before = phrase[: found.start()].rstrip()
    last = before.rpartition(" ")[2]
    if last.endswith(_MODIFIER_ENDINGS) and not last.endswith(_NOT_MODIFIERS):
        return f"{before} {found.group(1)}"
    return before.removesuffix("의") if not last.endswith(_NOUNS_IN_UI) else before


def _without_particle(phrase: str) -> str:
    """Drop a closing object particle that agrees with the syllable before it; what does not agree is part of the noun (마을, 전라도)."""
    if phrase.endswith(_LOOK_LIKE_PARTICLES):
        return phrase
    for particle, after_consonant in (("이라도", True), ("이나", True), ("라도", False), ("을", True), ("를", None)):
        stem = phrase.removesuffix(particle)
        if stem in ("", phrase) or (particle[0] == "이" and (stem + "이").endswith(_NOUNS_IN_I)):
            continue
        # 를 ends no noun, so it goes even where a slip wrote 라면를.
        if after_consonant is None or _final_consonant(stem) in (None, after_consonant):
            return stem.rstrip()
    return phrase


def _final_consonant(stem: str) -> bool | None:
    """Whether the last Hangul syllable is closed; None after a Latin letter, a digit or a bracket, where either particle may stand."""
    last = stem[-1:]
    return (ord(last) - 0xAC00) % 28 != 0 if "가" <= last <= "힣" else None


def _without_quotes(phrase: str) -> str:
    for opening, closing in ("''", '""', "‘’", "“”", "「」", "『』", "<>", "《》"):
        if len(phrase) > 1 and phrase[0] == opening and phrase[-1] == closing:
            return phrase[1:-1].strip()
    return phrase
