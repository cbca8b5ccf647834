"""Korea's own file is complete and right; a broken file says where; another culture needs no Python."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data.cultures import Culture, load_culture
from kimchi.data.korean import fill_particles, final_consonant, particle
from kimchi.data.sample_world import worlds
from kimchi.errors import DataError, RecipeError


@pytest.fixture(scope="module")
def ko() -> Culture:
    return load_culture("ko")


def test_the_glossary_knows_every_dish_and_every_drawing(ko: Culture) -> None:
    foods = [label for label, entry in ko.glossary.items() if ko.categories[entry.category].templates in ("dish", "dish_served", "world_food")]
    assert len(foods) == 150
    for concept in worlds("korean"):
        assert ko.noun(concept.label[-1]) == concept.ko
        assert ko.glossary[concept.label[-1]].romanised == concept.romanised


def test_misspelt_and_joined_labels(ko: Culture) -> None:
    assert ko.noun("닭계장") == "닭개장" and ko.noun("소세지볶음") == "소시지볶음"
    assert ko.displays("떡국_만두국") == ("떡국", "만두국") and ko.noun("떡국_만두국") == "떡국 또는 만두국"
    assert ko.noun("처음_보는_것") == "처음 보는 것"


def test_look_alikes_are_not_korean_and_point_at_what_is(ko: Culture) -> None:
    names = {name for label in ko.glossary for name in ko.displays(label)}
    assert not names & set(ko.look_alikes)
    assert {"기모노", "라멘", "스시", "사케", "치파오"} <= set(ko.look_alikes)
    for meant in ko.look_alikes.values():
        assert all(name in names or name in ko.never_translate for name in meant)


def test_every_entry_makes_a_caption_without_holes(ko: Culture) -> None:
    for label, entry in ko.glossary.items():
        category = ko.category(("?", label))
        wordings = ko.templates[category.templates]
        for template in (*wordings.noun_first, *wordings.noun_last):
            slots = {"kind": category.kind, "kind_en": category.kind_en, "serving": category.serving, "serving_en": category.serving_en}
            text, meaning = ko.word(template.text, noun=ko.noun(label), **slots), ko.word(template.en, en=entry.en, **slots)
            assert any(name in text for name in ko.displays(label)) and entry.en in meaning
            assert not set("{}") & set(text + meaning) and text == text.strip()
            assert entry.romanised.isascii() and meaning.isascii()


def test_categories_of_labels(ko: Culture) -> None:
    assert ko.category(("면", "라면")).kind == "면 요리"
    assert ko.category(("라면",)).kind == "면 요리"
    assert ko.category(("면", "모르는면")).kind == "면 요리"
    assert ko.category(("모르는", "모르는것")).templates == "bare" and ko.category(()).templates == "bare"
    assert ko.category(("기타", "피자")).templates == "world_food"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("라면{을/를}", "라면을"), ("김치{이/가}", "김치가"), ("쌀{으로/로}", "쌀로"), ("밥{으로/로}", "밥으로"), ("배{으로/로}", "배로"),
        ("N서울타워{은/는}", "N서울타워는"),
        ("63{을/를}", "63을"), ("5{이/가}", "5가"), ("(김밥){과/와}", "(김밥)과"), ("KTX{이/가}", "KTX가"), ("APEC LAN{을/를}", "APEC LAN을"), 
        ("{이/가}", "가"), ("면{a/b}", "면{a/b}"),
    ],
)  # fmt: skip
def test_particles(text: str, filled: str) -> None:
    assert fill_particles(text) == filled


def test_decomposed_hangul_takes_the_same_particle() -> None:
    assert particle("라면", "이/가") == "이" and final_consonant("물") == 8


@settings(deadline=None)  # other work may share the cores
@given(st.text())
def test_any_word_has_a_particle(word: str) -> None:
    assert particle(word, "을/를") in ("을", "를")


JA = """
tag: ja
language: 日本語
language_en: Japanese
either: "または"
fallback: other
categories: {other: {kind: もの, kind_en: thing, templates: bare}}
templates: {bare: {noun_first: [{text: "{noun}の様子", en: "{en} in view"}], noun_last: [{text: "日本の{noun}", en: "{en}, in Japan"}]}}
glossary: {着物: {en: kimono, romanised: kimono, category: other}}
look_alikes: {한복: [着物]}
never_translate: [着物]
"""


def test_another_culture_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "ja.yaml"
    path.write_text(JA, encoding="utf-8")
    culture = load_culture(str(path))
    assert culture.word(culture.templates["bare"].noun_last[0].text, noun=culture.noun("着物")) == "日本の着物"
    assert len(culture.content_hash) == 16


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("romanised: kimono", "romanized: kimono", r"glossary\.着物\.romanis"),
        ("category: other}}", "category: othr}}", r"glossary\.着物\.category is 'othr'"),
        ("templates: bare}}", "templates: bear}}", r"categories\.other\.templates is 'bear'"),
        ("fallback: other", "fallback: nothing", "fallback is 'nothing'"),
        ("日本の{noun}", "日本の{nuon}", r"templates\.bare"),
        ("{noun}の様子", "この{noun}の様子", r"noun_first.*must begin"),
        ("tag: ja", "tag: ja\ntag: ko", "'tag' stands twice"),
        ("tag: ja", "tag: [", "cannot be read as YAML"),
        ("tag: ja", "tag: {[a]: b}", "cannot be read as YAML|tag"),
        ("tag: ja\n", "", "tag: Field required"),
    ],
)
def test_a_broken_culture_names_file_and_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "ja.yaml"
    assert old in JA
    path.write_text(JA.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        load_culture(str(path))
    assert str(path) in str(caught.value)


def test_an_unknown_culture_lists_what_there_is() -> None:
    with pytest.raises(RecipeError, match=r"'kr' is none of .*ko"):
        load_culture("kr")
