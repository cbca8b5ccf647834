"""The guard: what is refused however it is written, what stays free although it looks like it, and what the staff may change."""

import itertools
import json
import os
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data.cultures import load_culture
from kimchi.data.sample_world.captions import captions, noun
from kimchi.data.sample_world.concepts import CONCEPTS
from kimchi.data.sample_world.pictures import picture
from kimchi.errors import BlockedError, DataError, PromptError
from kimchi.generation.safety import Guard, OwnList, fold
from kimchi.generation.safety.folding import compose
from kimchi.generation.safety.lists import SHIPPED, read_categories, read_lists
from kimchi.generation.safety.matching import Word

GUARD = Guard.load()
LISTS = read_lists(SHIPPED)
REFUSED = [word for listed in LISTS for word in listed.words() if word.kind != "allowed" and not word.group]
PLAIN = [word for word in REFUSED if all(sign.isalpha() for sign in word.text)]
HARMLESS = [line for line in (Path(__file__).parent / "benign.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
LOOKS = str.maketrans("aceopxyi", "асеорхуі")
LEET = str.maketrans("oieast", "013457")
SETTINGS = settings(max_examples=60, deadline=None)


def _blocked(prompt: str) -> bool:
    return bool(GUARD.find(prompt))


def test_every_entry_is_refused_and_every_allowed_one_is_needed() -> None:
    bare = Guard([listed.model_copy(update={"allowed": ()}) for listed in LISTS], read_categories(SHIPPED), OwnList(None))
    assert [word.text for word in REFUSED if not _blocked(word.text)] == []
    for listed in LISTS:
        assert [text for text in listed.allowed if _blocked(text)] == []
        # Some are refused only beside a child.
        needed = [text for text in listed.allowed if bare.find(text) or bare.find(f"아이, {text}")]
        assert [text for text in listed.allowed if text not in needed] == [], "these hold nothing that is refused"


def test_harmless_prompts_stay_free() -> None:
    assert len(HARMLESS) > 250
    assert {line: found for line in HARMLESS if (found := GUARD.find(line))} == {}


def test_what_we_offer_ask_and_draw_stays_free(root: Path) -> None:
    texts = [prompt.text for theme in load_culture("ko").booth.themes for prompt in theme.prompts]
    for name in ("ko", "ja"):
        culture = load_culture(name)
        texts += [*culture.names, *(culture.rich((label,), number)[0] for label in culture.glossary for number in range(2))]
        texts += [entry.en for entry in culture.glossary.values()]
    study = yaml.safe_load((root / "eval" / "culture_2025.yaml").read_text(encoding="utf-8"))
    texts += [value for one in study["prompts"] for value in _strings(one)]
    for concept in CONCEPTS.values():
        twins = [noun(concept), *(captions(picture(concept, 1), variant) for variant in range(4))]
        texts += [text for twin in twins for text in (twin.ko, twin.en)]
    assert len(texts) > 600
    assert {text: found for text in texts if (found := GUARD.find(text))} == {}


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _strings(one)]
    return [value] if isinstance(value, str) else []


def _jamo(word: str) -> str:
    """Syllables as the letters of a keyboard: 섹스 => ㅅㅔㄱㅅㅡ."""
    return "".join(map(_letters, word))


def _letters(sign: str) -> str:
    loose = [unicodedata.name(jamo).rpartition(" ")[2] for jamo in unicodedata.normalize("NFD", sign)]
    return "".join(unicodedata.lookup(f"HANGUL LETTER {name}") for name in loose) if len(loose) > 1 else sign


def _disguises(word: str) -> dict[str, str]:
    last = word[-1]
    made = {
        "apart": " ".join(word),
        "dots": ".".join(word),
        "stars": "★".join(word),
        "zero width": "\u200b".join(word),
        "drawn out": word[:-1] + last * 4,
        "NFD": unicodedata.normalize("NFD", word),
    }
    if word.isascii():
        made |= {"upper": word.upper(), "wide": "".join(chr(ord(c) + 0xFEE0) for c in word), "looks": word.translate(LOOKS), "accent": word.replace("e", "é")}
        made |= {"mathematical": "".join(chr(0x1D41A + ord(c) - 97) for c in word), "leet": word[0] + word[1:-1].translate(LEET) + last}
    else:
        made |= {"jamo": _jamo(word), "digit": "1".join(word), "latin": "x".join(word), "heart": "♥".join(word)}
    return made


def test_disguises_are_seen_through(record_property: Any) -> None:
    tried = [(name, text) for word in PLAIN for name, text in _disguises(word.text).items()]
    missed = [(name, text) for name, text in tried if not _blocked(f"그려 줘: {text}") and not _blocked(text)]
    record_property("disguises", f"{len(tried) - len(missed)} of {len(tried)}")
    print(f"\ndisguises: {len(tried) - len(missed):,} of {len(tried):,} refused; missed: {missed[:40]}")
    assert len(tried) > 2_000
    assert len(missed) <= len(tried) * 0.005, missed[:60]


@pytest.mark.parametrize(
    "prompt",
    [
        *(
            "ㅅㅔㄱㅅㅡ 장면",
            "세ㄱ스",
            "섹1스",
            "섹 스를 그려 줘",
            "쎅쓰",
            "시b발",
            "시8발",
            "ㅅㅂ",
            "ㅈl랄",
            "개새끼들아",
            "병신 같은 그림",
            "p0rn",
            "po rn",
            "f*ck",
            "f u c k",
            "fuuuuck",
            "s-e-x",
        ),
        *(
            "𝓼𝓮𝔁",
            "ⓢⓔⓧ",
            "ｐｏｒｎ",
            "рorn",
            "섹스sex",
            "sex를 그려줘",
            "어린이 속옷",
            "bikini for a child",
            "살인 장면",
            "자살하는 사람",
            "도널드 트럼프",
            "a nude woman",
            "blood splatter on a wall",
        ),
        *("마약을 하는 사람", "보지를 그려줘", "자지 사진"),
    ],
)
def test_known_tricks(prompt: str) -> None:
    with pytest.raises(BlockedError) as refused:
        GUARD.check_prompts(["한복", prompt])
    assert refused.value.category in GUARD.categories
    told = str(refused.value)
    assert "\n" not in told and not any(one.word in told for one in GUARD.find(prompt))


@SETTINGS
@given(st.text(max_size=60))
def test_folding_is_idempotent_and_finding_never_fails(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    GUARD.find(text)
    compose(text)


@SETTINGS
@given(st.sampled_from([word for word in PLAIN if len(word.text) > 1]), st.sampled_from(["\u200b", "\u00ad", "\u2060", "\ufe0f", "."]), st.data())
def test_filling_hides_nothing(word: Word, filling: str, data: st.DataObject) -> None:
    places = data.draw(st.sets(st.integers(1, len(word.text) - 1), min_size=1))
    assert _blocked("".join(filling * (i in places) + sign for i, sign in enumerate(word.text)))


@SETTINGS
@given(st.sampled_from([word for word in PLAIN if word.kind == "inside"]), st.data())
def test_one_space_anywhere_hides_no_word_that_is_found_inside_others(word: Word, data: st.DataObject) -> None:
    i = data.draw(st.integers(1, len(word.text) - 1))
    assert _blocked(f"{word.text[:i]} {word.text[i:]}")


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_harmless_prompts_stay_free_one_after_the_other(every: int) -> None:
    # Pairs: what is refused only together, and what is spelt across their seam, is found by no single line.
    pairs = itertools.islice(itertools.permutations(HARMLESS, 2), 0, None, every)
    assert [pair for pair in pairs if GUARD.find(", ".join(pair))] == []


def test_a_child_and_what_only_sounds_like_underwear() -> None:
    assert GUARD.find("a boy with a brass band, 노출 콘크리트 건물 앞의 소녀") == []
    assert GUARD.find("a girl in a bra") and GUARD.find("노출이 심한 소녀")


def test_a_long_or_hostile_prompt_takes_no_time() -> None:
    for text in ("1!|" * 3_400, "x" * 10_000, "f*" * 5_000, "s e x " * 1_600, "ㅅ" * 10_000, "시 " * 5_000):
        start = time.process_time()
        GUARD.find(text)
        assert time.process_time() - start < 6, text[:6]


def test_the_operators_own_words(tmp_path: Path) -> None:
    guard = Guard.load(own=tmp_path)
    assert not guard.find("홍길동 얼굴") and guard.find("포르노")
    guard.own.block("홍길동")
    guard.own.block("홍길동")
    guard.own.allow("트럼프")
    assert [one.category for one in guard.find("홍 길 동의 얼굴")] == ["own"]
    assert not guard.find("트럼프") and guard.find("푸틴")
    again = Guard.load(own=tmp_path)
    assert again.own.chosen().blocked == ("홍길동",) and again.find("홍길동")
    again.own.allow("홍길동")
    again.own.reset("트럼프")
    assert not guard.find("홍길동") and guard.find("트럼프"), "another process's change is read at the next prompt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocklist.yaml"]


def test_a_short_word_of_the_operator_blocks_no_longer_ones() -> None:
    guard = Guard.load()
    guard.own.block("김치")
    assert guard.find("김치를 그려 줘") and not guard.find("김치찌개")
    with pytest.raises(PromptError, match="two letters"):
        guard.own.block(" ! ")


def test_a_damaged_own_list_keeps_what_held(tmp_path: Path) -> None:
    guard = Guard.load(own=tmp_path)
    guard.own.block("홍길동")
    (tmp_path / "blocklist.yaml").write_text("blocked: [", encoding="utf-8")
    assert guard.find("홍길동")
    with pytest.raises(DataError, match=r"blocklist\.yaml"):
        Guard.load(own=tmp_path)


def test_another_language_is_one_file(tmp_path: Path) -> None:
    for path in SHIPPED.iterdir():
        os.symlink(path, tmp_path / path.name)
    (tmp_path / "ja.yaml").write_text("language: ja\nscripts: [Hiragana, Katakana, Han]\nsexual: {inside: [エロ]}\nallowed: [ピエロ]\n", encoding="utf-8")
    guard = Guard.load(lists=tmp_path)
    assert guard.find("エ ロ") and guard.find("섹스") and not guard.find("ピエロの絵")
    (tmp_path / "ja.yaml").write_text("language: ja\nscripts: [Han]\nnonsense: {inside: [x]}\n", encoding="utf-8")
    with pytest.raises(DataError, match="nonsense is no category"):
        Guard.load(lists=tmp_path)


def test_categories_speak_both_languages() -> None:
    for key, category in GUARD.categories.items():
        assert set(category.name) == set(category.reason) == {"ko", "en"}, key
    json.dumps({key: category.model_dump() for key, category in GUARD.categories.items()})
