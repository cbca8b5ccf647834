"""Korea's own file is complete and right; a broken file says where; another culture needs no Python."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi import recipes
from kimchi.data.culture_text import Names, joined, outermost, script_of
from kimchi.data.cultures import REASONS, Culture, load_culture
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


LANDMARKS = """
경복궁 창덕궁 창경궁 덕수궁 경희궁 운현궁 종묘 사직단 환구단 문묘 광화문 숭례문 동대문(흥인지문) 독립문 혜화문_(홍화문) 창의문_(자하문) 광희문 보신각
북악산_서울_성곽 북악팔각정 북촌_한옥마을 남산골_한옥마을 은평_한옥마을 백인제가옥 조계사 봉은사 봉원사 보문사 동묘 서울원각사지십층석탑 삼전도비
몽촌토성 풍납리토성 석촌동_고분군 선릉 암사동선사주거지 양천향교 광통교 우정총국 명동성당 정동교회 N_서울타워 롯데월드타워 63시티 동대문_디자인_플라자
청계천 광장시장 세종대왕_동상 충무공_이순신_동상 국회_의사당 반포대교 세빛섬 올림픽공원_세계평화의문 서울_월드컵_경기장 덕수궁_돌담길 43기념관
518민주묘지상징탑 63빌딩 83타워 경주타워 공산정 광개토대왕동상 광안대교 국립과천과학관 국립산악박물관 국립세종도서관 근대역사박물관
김대중노벨평화상기념관 남산타워 백남준아트센터 부산타워 송도G타워 송도포스코타워 여수세계박람회스카이타워 영도대교 율곡이이동상 이순신장군동상
인천대교 첨성대 풍남문 하멜등대 한빛탑 해운대아이파크 호미곶등대
"""


def test_the_glossary_knows_the_landmarks(ko: Culture) -> None:
    assert not [label for label in LANDMARKS.split() if label not in ko.glossary] and "인사동 쌈지길 (쌈지길)" in ko.glossary
    for label in LANDMARKS.split():
        assert ko.category(("랜드마크", label)).templates == "place" and not set("_()") & set(ko.noun(label))
    assert ko.noun("43기념관") == "4·3기념관" and ko.noun("N_서울타워") == ko.noun("남산타워") == "N서울타워"
    assert ko.noun("동대문(흥인지문)") == "흥인지문" and ko.noun("북촌_한옥마을") == "북촌 한옥마을" and ko.noun("63시티") == "63빌딩"


def test_every_shipped_culture_is_complete() -> None:
    for path in sorted((recipes.HOME / "data" / "cultures").glob("*.yaml")):
        culture = load_culture(path.stem)
        assert set(culture.reasons) == set(REASONS) and culture.scripts and culture.look_alikes
        for label, entry in culture.glossary.items():
            assert entry.en and entry.romanised.isascii() and entry.en.isascii() and culture.english(label) == entry.en
            assert all(part not in culture.displays(label) for part in entry.parts)
        assert not {end for end in culture.finished if not end.endswith(culture.unfinished)}, "listed for nothing"


def test_the_noun_with_whose_it_is(ko: Culture) -> None:
    assert ko.origin(("면", "라면"), "라면") == ("한국의 라면", "Korean ramyeon, spicy instant noodles")
    assert ko.origin(("면", "모르는면"), "모르는면") == ("한국의 모르는면", "")
    # Another country's dish, and what nobody knows, are not called Korean.
    assert ko.origin(("기타", "피자"), "피자") == ko.origin(("모르는것",), "모르는것") == ko.origin((), "집") == ("", "")
    assert load_culture("ja").origin(("着物",), "着物")[0] == "日本の着物"


def test_every_shipped_culture_says_whose_its_things_are() -> None:
    for path in sorted((recipes.HOME / "data" / "cultures").glob("*.yaml")):
        culture = load_culture(path.stem)
        said = {label: culture.origin((label,), culture.noun(label)) for label in culture.glossary}
        assert all(culture.noun(label) in text and culture.english(label) in en for label, (text, en) in said.items() if text)
        foreign = [label for label, (text, _) in said.items() if not text]
        assert len(foreign) < len(said) / 4, foreign


def test_english_of_a_label(ko: Culture) -> None:
    assert ko.english("라면").startswith("ramyeon") and ko.english("모르는 것") == ""


@pytest.mark.parametrize(
    ("description", "cleaned"),
    [
        ("첨성대(瞻星臺)는 신라의 건축물이다.[1][2]", "첨성대는 신라의 건축물이다."),
        ("경복궁(한자: 景福宮, 영어: Gyeongbokgung)은 궁궐이다[편집].", "경복궁은 궁궐이다."),
        ("《삼국사기》의 「신라본기」; ≪고려사≫", "삼국사기의 신라본기 고려사"),
        ("불국사 佛國寺 는 절이다", "불국사 는 절이다"),
        ("<b>한옥</b>은&nbsp;집<br/>이다", "한옥은 집 이다"),
        ("한옥\r\n\t은\u200b 집", "한옥 은 집"),
        ("궁(宮(宮))과 (경북 (慶北) 경주)", "궁과 (경북 경주)"),
        ("((((( [[[ <<<", "((((( [[[ <<<"),
        ("", ""),
    ],
)
def test_descriptions_are_cleaned(ko: Culture, description: str, cleaned: str) -> None:
    assert ko.clean(description) == cleaned


def test_cleaning_reads_no_more_than_a_prompt_takes(ko: Culture) -> None:
    for text in ("(" * 10**6, "[宮" * 10**6, "<a" * 10**6, "가" * 10**6, "&" * 10**6):
        assert len(ko.clean(text)) <= 2000


@settings(deadline=None)  # other work may share the cores
@given(st.text())
def test_any_description_is_cleaned_to_one_line(text: str) -> None:
    cleaned = load_ko().clean(text)
    assert cleaned == " ".join(cleaned.split()) and not any(script_of(c) == "Han" for c in cleaned) and not set("「」\n") & set(cleaned)


@cache
def load_ko() -> Culture:
    return load_culture("ko")


def test_scripts() -> None:
    for characters, script in (
        ("가ㅋ", "Hangul"),
        ("あ", "Hiragana"),
        ("アーｱ", "Katakana"),
        ("漢々", "Han"),
        ("aÉＡ", "Latin"),
        ("1٣", "Digit"),
        ("я", "Cyrillic"),
        (" .·🍜", ""),
    ):
        assert {script_of(c) for c in characters} == {script}
    assert joined("라면", 1) and not joined("라면 ", 2) and not joined("N서", 1) and not joined("着物", 1) and joined("タワ", 1) and not joined("라", 0)


def test_names_in_a_text() -> None:
    names = Names(["만두", "만두국", "북촌 한옥마을", "sake"], ["이", "에서", "는"])
    found = {(f.name, f.whole) for f in outermost(names.find("만두국에서는 만두가게, 북촌한옥마을 keepsake 왕만두 SAKE이"))}
    assert found == {("만두국", True), ("만두", False), ("북촌 한옥마을", True), ("sake", True)}
    assert not Names([""]).find("만두") and not Names([]).find("")


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


def test_a_culture_without_korean_slots_meets_no_korean_rule() -> None:
    ja = load_culture("ja")
    for wordings in ja.templates.values():
        for template in (*wordings.noun_first, *wordings.noun_last):
            assert fill_particles(template.text) == template.text
    assert ja.particles == () and ja.clean("金閣寺[1]は『金閣』とも呼ばれる。") == "金閣寺は金閣とも呼ばれる。"


def test_a_file_without_the_newer_keys_still_works(tmp_path: Path) -> None:
    path = tmp_path / "ja.yaml"
    path.write_text(JA, encoding="utf-8")
    culture = load_culture(str(path))
    assert culture.clean(" a <b>着物</b> ") == "a 着物" and culture.may_name("着物", "着物") and not culture.may_name("着物", "한복")
    assert [found.name for found in culture.find_names("한복と着物", "着物")] == ["한복", "着物"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("romanised: kimono", "romanized: kimono", r"glossary\.着物\.romanis"),
        ("category: other}}", "category: othr}}", r"glossary\.着物\.category is 'othr'"),
        ("templates: bare}}", "templates: bear}}", r"categories\.other\.templates is 'bear'"),
        ("fallback: other", "fallback: nothing", "fallback is 'nothing'"),
        ("日本の{noun}", "日本の{nuon}", r"templates\.bare"),
        ("{noun}の様子", "この{noun}の様子", r"noun_first.*must begin"),
        ("templates: {bare: {", "templates: {bare: {origin: {text: '日本の{kind}{noun}', en: '{en}'}, ", r"templates\.bare\.origin: .*no slots but noun, en"),
        ("tag: ja", "tag: ja\ntag: ko", "'tag' stands twice"),
        ("tag: ja", "tag: [", "cannot be read as YAML"),
        ("tag: ja", "tag: {[a]: b}", "cannot be read as YAML|tag"),
        ("tag: ja\n", "", "tag: Field required"),
        ("tag: ja", "tag: ja\nscripts: [Kanji]", r"scripts: 'Kanji' is the script of nothing.* Han"),
        ("tag: ja", "tag: ja\nscripts: Han", "scripts: Input should be a valid tuple"),
        ("tag: ja", "tag: ja\nscript_share: 70", "script_share: .* less than or equal to 1"),
        ("tag: ja", "tag: ja\nreasons: {none: x}", "reasons.none is none of empty, "),
        ("tag: ja", 'tag: ja\nreasons: {cut: "{wrod}"}', r"reasons\.cut: '\{wrod\}' must be a sentence"),
        ("tag: ja", "tag: ja\nreasons: {cut: ' '}", r"reasons\.cut: ' ' must be a sentence"),
        ("tag: ja", "tag: ja\ncleaning: {brackets: ['[']}", r"cleaning\.brackets\.0: .* at least 2"),
        ("tag: ja", "tag: ja\nunfinished: ['']", r"unfinished\.0: .* at least 1"),
        ("category: other}}", "category: other, parts: [浴衣]}}", r"glossary\.着物\.parts: '浴衣' is neither"),
        ("look_alikes: {한복: [着物]}", "look_alikes: {着物: [着物]}", r"look_alikes\.着物 is the name of an entry"),
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
