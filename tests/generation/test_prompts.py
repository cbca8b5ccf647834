"""A prompt as typed -> the noun phrase that is drawn."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.errors import PromptError
from kimchi.generation.prompts import LONGEST_CHARACTERS, as_drawn, as_typed, clean

RAMYEON = "한국의 라면"
ASKED = """
한국의 라면을 그려줘
한국의 라면 그려줘
한국의 라면을그려줘
한국의 라면을 그려 주세요
한국의 라면을 그려주세요!
한국의 라면을 그려줄래?
한국의 라면을 그려 줄 수 있어?
한국의 라면을 그려줄수있어요?
한국의 라면을 그려 주실 수 있나요?
한국의 라면을 그려주시겠어요?
한국의 라면을 그려주십시오.
한국의 라면을 그려줬으면 좋겠어
한국의 라면을 그려주시면 감사하겠습니다
한국의 라면을 그려봐
한국의 라면을 그려 봐 줘
한국의 라면을 그려라
한국의 라면 그려
한국의 라면 보여줘
한국의 라면을 보여 주세요
한국의 라면을 보고 싶어요
한국의 라면을 만들어 줘
한국의 라면을 생성해줘
한국의 라면 그림 그려줘
한국의 라면 그림을 그려주세요
한국의 라면의 그림을 그려줘
한국의 라면 사진 보여줘
한국의 라면 사진을 보여줘
한국의 라면 사진 한 장 보여주세요
한국의 라면을 그림으로
한국의 라면을 그림으로 그려줘
한국의 라면 그림으로 보여줘
한국의 라면 이미지 하나 만들어줘
한국의 라면 이미지 하나만 부탁해요
한국의 라면 부탁해
한국의 라면을 부탁드립니다~~
한국의 라면 좀 그려줘
한국의 라면을 좀 그려 주세요ㅎㅎ
제발 한국의 라면을 그려줘
나에게 한국의 라면을 보여줘
한국의 라면을 나에게 보여줘
안녕하세요, 한국의 라면을 그려 주세요
한국의 라면이라도 그려줘
한국의 라면이나 그려줘
한국의 라면를 그려줘
한국의 라면 을 그려줘
'한국의 라면'을 그려줘
“한국의 라면”을 그려 줘
한국의 라면 그려줘, 제발 그려줘
한국의 라면을 그려줘 🍜🙏
please draw 한국의 라면
한국의 라면 please
한국의   라면
그려줘: 한국의 라면
한국의 라면을 그려달라고
한국의 라면을 그릴 수 있어?
한국의 라면 사진 찍어줘
""".strip().splitlines()
NOUNS = {
    "마을 그려줘": "마을",
    "마을을 그려줘": "마을",
    "노을을 그려줘": "노을",
    "노을 보여줘": "노을",
    "가을 보여줘": "가을",
    "늦가을의 한옥마을 사진 보여줘": "늦가을의 한옥마을",
    "갑을을 그려줘": "갑을",
    "김치를 그려줘": "김치",
    "김치라도 그려줘": "김치",
    "전라도 그려줘": "전라도",
    "콜로라도 그려줘": "콜로라도",
    "떡볶이 그려줘": "떡볶이",
    "떡볶이라도 그려줘": "떡볶이",
    "고양이나 그려줘": "고양이나",
    "바나나 그려줘": "바나나",
    "우크라이나 보여줘": "우크라이나",
    "회의 사진 보여줘": "회의",
    "한국의 사진을 보여줘": "한국",
    "북한 사진 보여줘": "북한",
    "고양이가 자는 그림을 그려줘": "고양이가 자는 그림",
    "예쁜 그림 하나 그려줘": "예쁜 그림",
    "기념사진 보여줘": "기념사진",
    "라면 하나 그려줘": "라면 하나",
    "한복을 수묵화로 그려줘": "한복을 수묵화로",
    "김치(Kimchi)를 그려줘": "김치(Kimchi)",
    "K-pop을 그려줘": "K-pop",
    "hanbok 그려줘": "hanbok",
    "아이가 그려준 그림": "아이가 그려준 그림",
    "산이 보여": "산이 보여",
    "동굴 벽화 그림": "동굴 벽화 그림",
    "눈 오는 날의 한옥, 저녁": "눈 오는 날의 한옥, 저녁",
    "영하 20℃의 김치": "영하 20℃의 김치",
    "draw me a hanbok": "a hanbok",
    "Please draw a red hanbok.": "a red hanbok",
    "show me a picture of kimchi": "kimchi",
    "Could you please generate an image of a hanok at dusk?": "a hanok at dusk",
    "I'd like to see a picture of a kimono": "a kimono",
    "can you draw gwanghwamun for me, please": "gwanghwamun",
    "draw a lighthouse": "a lighthouse",
    "paint bucket": "paint bucket",
    "show jumping horse": "show jumping horse",
    "a picture of a house": "a picture of a house",
    "a gift for me": "a gift for me",
    "a bowl of ramen.": "a bowl of ramen.",
}
NOTHING = [
    *(
        "",
        " ",
        "\n\t",
        "\u3164",
        "\u200b\ufeff",
        "🍜",
        "🍜🍜 ✨",
        "❤️",
        "👨‍👩‍👧",
        "...",
        "?!",
        "그려줘",
        "그려 주세요",
        "그림 그려주세요",
        "그림을 그려줘",
        "그림 좀 그려줘",
    ),
    *(
        "사진 한 장 보여줘",
        "이미지 만들어줘",
        "제발 그려줘",
        "나에게 보여줘",
        "아무거나 그려줘",
        "아무 그림이나 그려줘",
        "을 그려줘",
        "부탁해",
        "🍜 그려줘",
        "그려줘 그려줘",
    ),
    *("draw", "please", "please draw", "Draw me a picture", "show me a picture of", "draw something", "can you draw a picture?", "draw me a"),
]


@pytest.mark.parametrize("prompt", ASKED)
def test_the_same_wish_in_other_words_is_the_same_phrase(prompt: str) -> None:
    assert as_drawn(prompt) == RAMYEON


@pytest.mark.parametrize(("prompt", "phrase"), NOUNS.items())
def test_nouns_keep_their_endings(prompt: str, phrase: str) -> None:
    assert as_drawn(prompt) == phrase


@pytest.mark.parametrize("prompt", NOTHING)
def test_a_prompt_that_names_nothing_is_refused_with_an_example(prompt: str) -> None:
    with pytest.raises(PromptError, match="한국의 라면을 그려줘"):
        as_drawn(prompt)


@pytest.mark.parametrize("prompt", [*ASKED, *NOUNS])
def test_macos_spelling_draws_the_same(prompt: str) -> None:
    decomposed = unicodedata.normalize("NFD", prompt)
    assert as_drawn(decomposed) == as_drawn(prompt)
    assert as_typed(decomposed) == as_typed(prompt)


def test_what_cannot_be_seen_changes_nothing() -> None:
    assert clean("\ufeff한국의\u200b \u00a0 라\u200d면\x07\n🍜️") == RAMYEON
    assert clean("한🍜글") == "한 글"


def test_a_long_prompt_is_kept_and_an_endless_one_refused() -> None:
    assert len(as_drawn("라면 " * 667)) == 2000
    with pytest.raises(PromptError, match="first sentence"):
        as_drawn("라" * (LONGEST_CHARACTERS + 1))


def test_lone_surrogates_can_be_written_down() -> None:
    assert as_typed("라면\ud83c").encode() == "라면?".encode()
    assert as_drawn("라면\ud83c") == "라면"


_PIECES = st.sampled_from([*ASKED, *NOUNS, *NOTHING, "라면", "을", "를", " ", "좀", "그려", "줘", "그림", "please", "draw", ",", "(", "'", "ᄀ", "ᅡ"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=6).map("".join), st.lists(_PIECES, max_size=5).map(" ".join)))
def test_any_text_is_refused_or_gives_a_fixed_phrase(prompt: str) -> None:
    try:
        phrase = as_drawn(prompt)
    except PromptError:
        return
    assert phrase.strip() == phrase != ""
    assert as_drawn(phrase) == phrase
    assert phrase.encode().decode() == unicodedata.normalize("NFC", phrase)
