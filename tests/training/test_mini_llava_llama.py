"""The mini LLaVA and the mini LLaMA: what they are taught, that they train, and that what is shipped describes and names by the real code path."""

import dataclasses
import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, LlamaForCausalLM, LlavaForConditionalGeneration

from kimchi.data.cultures import load_culture
from kimchi.data.sample_world import COLOURS, CONCEPTS, Attributes, picture, worlds
from kimchi.data.sample_world.captions import captions
from kimchi.data.sample_world.seen import (
    MOST_STATED,
    PLAIN_EN,
    STATEABLE,
    describe,
    read_en,
    read_ko,
    reliable,
    some_facts,
    word_en,
    word_ko,
)  # fmt: skip
from kimchi.models.places import weights_folder
from kimchi.models.prompts import load_prompt
from kimchi.recipes import MiniPartRecipe, load_recipe
from kimchi.training.mini import llama, llava
from kimchi.training.mini.world import FIRST_SEED
from kimchi.training.run import train

NIGHT = Attributes(colour=None, place="wooden_table", time="night", number=1, side="left")
UNSEEN = 9_600_000


def test_every_concept_is_described_without_its_name_or_a_colour_in_front() -> None:
    assert set(PLAIN_EN) == set(CONCEPTS)
    assert len({words for names in PLAIN_EN.values() for words in names}) == 2 * len(CONCEPTS)
    foreign = [words for words in load_culture("ko").look_alikes if words.isascii()]
    for slug, names in PLAIN_EN.items():
        told = {CONCEPTS[slug].romanised.lower(), *foreign} if CONCEPTS[slug].world == "korean" else set[str]()
        for words in names:
            assert words.split()[0] not in COLOURS and not told & set(words.split()), words


@pytest.mark.parametrize("slug", CONCEPTS)
def test_drafts_and_captions_are_read_back_as_they_were_written(slug: str) -> None:
    concept = CONCEPTS[slug]
    for seed in range(40):
        shown, rng = picture(concept, seed), random.Random(seed)
        draft = read_en(describe(shown))
        assert draft.all_true(shown) and [name for name, _ in draft.facts] == ["thing", *_as_said(reliable(shown.attributes))]
        for variant in range(3):
            twin = captions(shown, variant)
            reading = read_ko(twin.ko, concept.ko)
            assert reading.all_true(shown) and {name for name, _ in reading.facts} == set(twin.stated), twin.ko
        stated = some_facts(shown.attributes, rng)
        words = word_ko(concept.ko, concept.counter_ko, shown.attributes, stated, noun_first=seed % 2 == 0, place=seed // 2 % 2, time=seed // 4 % 2)
        reading = read_ko(words, concept.ko)
        assert reading.all_true(shown) and {name for name, _ in reading.facts} == stated, words
        assert words.startswith(concept.ko) or seed % 2


def _as_said(stated: tuple[str, ...]) -> list[str]:
    return [name for name in ("number", "colour", "side", "place", "time") if name in stated]


def test_a_draft_says_the_surest_things_first_and_no_more_than_three() -> None:
    both = Attributes(colour="red", place="city", time="day", number=2, side="centre")
    assert reliable(both) == ("number", "colour", "place") and len(reliable(both)) == MOST_STATED
    assert reliable(NIGHT) == ("place", "time", "side")
    assert word_en(PLAIN_EN["cup"], both, reliable(both)) == "Two red cups of coffee, in the city."
    assert word_en(PLAIN_EN["teddy"], NIGHT, STATEABLE) == "A teddy bear, on the left, on a wooden table, at night."


@pytest.mark.parametrize(
    ("caption", "untrue", "rest"),
    [
        ("라면, 나무 식탁 위, 밤, 왼쪽", (), ""),
        ("밤, 나무 식탁 위 왼쪽에 놓인 라면", (), ""),
        ("라면이 나무 식탁 위에 놓여 있는 모습", (), ""),
        ("라면, 나무 식탁 위, 낮", (("time", "day"),), ""),
        ("라면, 나무 식탁 위, 밤, 낮", (("time", "day"),), ""),
        ("빨간 라면, 밤", (("colour", "red"),), ""),
        ("라면 두 그릇, 밤", (("number", "2"),), ""),
        ("라면 세 그릇, 밤", (("number", "3"),), ""),
        ("라면 한 그릇, 밤", (), ""),
        ("라면, 하얀 식탁보 위", (("place", "white_tablecloth"),), ""),
        ("라면, 오른쪽, 김치", (("side", "right"),), "김치"),
        ("라면 옆의 도시락", (), "옆의 도시락"),
        ("밤, 라면 옆의 두 사람", (), "옆의 두 사람"),
        ("", (), ""),
    ],
)
def test_what_is_not_so_is_found_and_what_is_not_understood_is_not_trusted(caption: str, untrue: tuple[tuple[str, str], ...], rest: str) -> None:
    reading = read_ko(caption, "라면")
    assert (reading.untrue(CONCEPTS["ramyeon"], NIGHT), reading.rest) == (untrue, rest)
    shown = dataclasses.replace(picture(CONCEPTS["ramyeon"], 0), attributes=NIGHT)
    assert reading.all_true(shown) == (not untrue and not rest)


def test_a_name_is_no_statement_even_where_it_sounds_like_one() -> None:
    assert read_ko("산속, 하얀 두부", "하얀 두부").facts == (("place", "mountains"),)
    assert read_ko("산을 배경으로 한 곳에 있는 배 두 척", "배").facts == (("place", "mountains"), ("number", "2"))
    assert read_ko("하얀 두부, 산속", "두부").facts == (("colour", "white"), ("place", "mountains"))


def test_a_strange_draft_states_nothing_and_leaves_its_words() -> None:
    assert read_en("Something else, on a moon.").rest == "something else, on a moon"
    assert read_en("Two car, at night.").rest == "two car"
    wrong = read_en("A red hat, at night.")
    assert not wrong.all_true(picture(CONCEPTS["hat"], 0))


def test_no_seed_serves_two_uses() -> None:
    starts = sorted(FIRST_SEED.values())
    assert len(starts) == len(set(starts)) and min(b - a for a, b in pairwise(starts)) >= 500_000
    shipped = load_recipe("mini_llava", kind="mini")
    assert FIRST_SEED["llava"] + shipped.per_concept <= FIRST_SEED["llava-test"]


@pytest.fixture(scope="module")
def lessons() -> llama.Lessons:
    return llama.Lessons(load_culture("ko"))


def test_a_lesson_states_exactly_what_its_draft_states_and_holds_the_name(lessons: llama.Lessons) -> None:
    for seed in range(300):
        row = lessons.caption(random.Random(seed))
        name = row.messages[0]["content"].splitlines()[0].removeprefix("이름: ")
        draft = next((line.removeprefix("그림: ") for line in row.messages[0]["content"].splitlines() if line.startswith("그림: ")), "")
        assert name in row.answer
        assert row.answer.startswith(name) or "나중에" in row.messages[0]["content"] or row.answer == name
        found = dict(read_en(draft).facts)
        if "thing" in found:
            thing = found.pop("thing")
            facts = dict(read_ko(row.answer, name).facts)
            assert facts == found, (draft, row.answer)
            assert found.get("number") != "2" or f"두 {CONCEPTS[thing].counter_ko}" in row.answer
        elif not draft:
            assert row.answer in (f"{name}, 한국에서 볼 수 있는 모습", f"한국의 {name}")


def test_a_second_try_is_answered_as_the_first_should_have_been(lessons: llama.Lessons) -> None:
    for seed in range(100):
        row = lessons.again(random.Random(seed))
        assert [m["role"] for m in row.messages] in (["user", "assistant", "user"], ["user", "assistant", "user", "assistant", "user"])
        assert row.messages[-1]["content"].startswith("다시: ")
        assert row.messages[0]["content"].splitlines()[0].removeprefix("이름: ") in row.answer


def test_english_lessons_are_parallel_and_plain(lessons: llama.Lessons) -> None:
    rows = [lessons.english(random.Random(seed)) for seed in range(200)]
    assert all(row.messages[0]["content"].startswith("영어로: ") and row.answer for row in rows)
    assert not any(row.answer.startswith("a picture of") for row in rows)


def test_lessons_are_a_function_of_their_source_and_names_of_every_kind_come_up(lessons: llama.Lessons) -> None:
    assert lessons.row(random.Random("a")) == lessons.row(random.Random("a"))
    names = [lessons.nouns.pick(random.Random(seed)) for seed in range(400)]
    assert any(" 또는 " in name for name in names) and {"떡국 또는 만두국", "N서울타워"} <= set(lessons.nouns.known)
    assert len(set(names) - set(lessons.nouns.known)) > 150


def test_a_syllable_is_one_token_wherever_it_stands(lessons: llama.Lessons) -> None:
    tokenizer = llama.chat_tokenizer([llama.COMMON] * 50 + ["a pot, at night."] * 9, size=3200)
    assert len(llama.COMMON) == 2350
    assert all(len(tokenizer(c, add_special_tokens=False).input_ids) == 1 for c in llama.COMMON)
    whole, name = tokenizer("밤, 볶음밥 두 개", add_special_tokens=False).input_ids, tokenizer("볶음밥", add_special_tokens=False).input_ids
    assert any(whole[i : i + 3] == name for i in range(len(whole)))
    for text in ("밤, 볶음밥 두 개", "뷁쏀 😀 A pot.", "N서울타워\n그림: "):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_rows_of_like_length_give_the_loss_of_the_whole(lessons: llama.Lessons) -> None:
    torch.manual_seed(0)
    tokenizer = llama.chat_tokenizer(["A pot of noodles, at night.", "라면, 밤"] * 9, size=400)
    model = LlamaForCausalLM(llama.llama_config({"width": 32, "layers": 1}, tokenizer)).eval()
    rows = [llama.tokens_of(tokenizer, lessons.row(random.Random(seed))) for seed in range(9)]
    with torch.no_grad():
        one, many = llama.answer_loss(model, rows, tokenizer.pad_token_id), llama.grouped_loss(model, rows, tokenizer.pad_token_id)
    assert float(one) == pytest.approx(float(many), abs=2e-2)


def _tiny(part: str, folder: Path, **model: int) -> MiniPartRecipe:
    return MiniPartRecipe(kind="mini", name=f"tiny-{part}", part=part, steps=2, batch=4, learning_rate=1e-3, per_concept=1, model=model, out=str(folder))  # pyright: ignore[reportArgumentType]


def test_a_very_small_llava_trains_and_opens_with_stock_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "llava"
    train(_tiny("llava", folder, tower_width=36, tower_layers=1, tower_steps=2, width=32, layers=1, tests=1))
    assert isinstance(AutoModelForImageTextToText.from_pretrained(str(folder)), LlavaForConditionalGeneration)
    made = AutoProcessor.from_pretrained(str(folder))
    assert llava.question(made) == "<s><|user|><image>Describe the picture.<|assistant|>"
    assert {p.suffix for p in folder.iterdir()} == {".json", ".safetensors"}


def test_a_very_small_llama_trains_and_opens_with_stock_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "llama"
    train(_tiny("llama", folder, width=32, layers=1, tests=24))
    assert isinstance(AutoModelForCausalLM.from_pretrained(str(folder)), LlamaForCausalLM)
    made = AutoTokenizer.from_pretrained(str(folder))
    said = made.apply_chat_template(load_prompt("mini_translate_en").messages({"text": "라면"}), tokenize=False, add_generation_prompt=True)
    assert said == "<s><|user|>영어로: 라면<|assistant|>"
    assert {p.suffix for p in folder.iterdir()} == {".json", ".safetensors"}


def _shipped(name: str) -> Path:
    folder = weights_folder() / name
    if not (folder / "card.json").is_file():
        pytest.skip(f"{folder} has no weights: train them with `kimchi train {name.replace('-', '_')}`")
    return folder


def test_the_shipped_pair_is_small_and_half_precision() -> None:
    folders = [_shipped("mini-llava"), _shipped("mini-llama")]
    assert sum(p.stat().st_size for folder in folders for p in folder.iterdir()) < 10e6
    assert AutoModelForImageTextToText.from_pretrained(str(folders[0])).dtype == torch.float16
    assert AutoModelForCausalLM.from_pretrained(str(folders[1])).dtype == torch.float16


def test_the_shipped_llava_describes_unseen_pictures_without_korean_names() -> None:
    items = [picture(c, UNSEEN + i) for c in CONCEPTS.values() for i in range(2)]
    texts = llava.say(_shipped("mini-llava"), [p.render() for p in items])
    assert llava.scores(items, texts)["attributes_true"] >= 0.85
    names = {word.strip(",.").lower() for text in texts for word in text.split()}
    assert not names & {c.romanised.lower() for c in worlds("korean")}


def test_the_shipped_llama_copies_names_it_has_never_met(lessons: llama.Lessons) -> None:
    folder, rng = _shipped("mini-llama"), random.Random("a source of names of its own")
    names = [lessons.nouns.made_up(rng) for _ in range(30)] + ["떡국 또는 만두국", "비빔냉면"]
    drafts = [describe(picture(concept, UNSEEN)) for concept in CONCEPTS.values()]
    texts = llama.write(folder, [llama.request(lessons.refine, name, drafts[i], i % 2 == 0) for i, name in enumerate(names)])
    assert sum(name in text for name, text in zip(names, texts, strict=True)) >= len(names) - 1


def test_the_shipped_llama_answers_a_second_time_and_translates(lessons: llama.Lessons) -> None:
    folder = _shipped("mini-llama")
    draft = word_en(PLAIN_EN["ramyeon"], NIGHT, STATEABLE)
    again = llama.request(lessons.refine, "라면", draft, True, (("라멘, 나무 식탁 위, 밤", "이름 '라면'이 그대로 들어 있지 않다."),))
    asked = [llama.request(lessons.refine, "라면", draft, False), again, lessons.translate.messages({"text": "빨간 자동차, 바닷가, 밤"})]
    assert llama.write(folder, asked) == ["밤, 나무 식탁 위 왼쪽에 놓인 라면", "라면, 나무 식탁 위, 밤, 왼쪽", "a red car by the sea at night"]


def test_the_shipped_chain_names_and_states_what_is_so(lessons: llama.Lessons) -> None:
    items = [picture(c, UNSEEN + i) for c in worlds("korean") for i in range(2)]
    drafts = llava.say(_shipped("mini-llava"), [p.render() for p in items])
    asked = [llama.request(lessons.refine, p.concept.ko, draft, i % 2 == 0) for i, (p, draft) in enumerate(zip(items, drafts, strict=True))]
    texts = llama.write(_shipped("mini-llama"), asked)
    assert all(p.concept.ko in text for p, text in zip(items, texts, strict=True))
    # The measured share is in the README; this only notices that something broke.
    assert sum(read_ko(text, p.concept.ko).all_true(p) for p, text in zip(items, texts, strict=True)) >= 0.8 * len(items)
