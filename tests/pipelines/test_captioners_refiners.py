"""The contract of both families: whatever is named in a recipe answers each question once, soon, and says how."""

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from kimchi import parts
from kimchi.data.cultures import Culture, load_culture
from kimchi.errors import EndpointError, RecipeError
from kimchi.models.prompts import load_prompt
from kimchi.pipelines.captioners import Seen, captioner
from kimchi.pipelines.refiners import Request, refiner
from kimchi.pipelines.refiners.llama import Refiner, bare
from kimchi.recipes import PrepareRecipe, Writer, list_recipes, load_recipe

CAPTIONERS, REFINERS = parts.names("kimchi.pipelines.captioners"), parts.names("kimchi.pipelines.refiners")


@pytest.fixture(scope="module")
def culture() -> Culture:
    return load_culture("ko")


def writer(part: str, address: str, **settings: Any) -> Writer:
    """A section for any part: those that know no endpoint leave it unread."""
    return Writer.model_validate({"part": part, "endpoint": address, "concurrency": 4, "batch": 2, "timeout_s": 5, "attempts": 1, **settings})


def seen(count: int) -> Iterator[Seen]:
    return (Seen(f"{i:04}/key", Image.new("RGB", (40, 30), (i, 0, 0))) for i in range(count))


def requests(count: int, **settings: Any) -> Iterator[Request]:
    given = {"labels": ("김치", "갓김치"), "noun": "갓김치", "draft_en": "A white plate of green leaves.", **settings}
    return (Request(key=f"{i:04}/key", **given) for i in range(count))


@pytest.mark.parametrize("part", CAPTIONERS)
def test_a_captioner_describes_every_picture(part: str, server: Any) -> None:
    made = captioner(writer(part, server.address))
    assert isinstance(made.looks, bool) and isinstance(made.identity, str)
    assert made.made_by.part and made.made_by == captioner(writer(part, server.address)).made_by
    answers = list(made.describe(seen(9)))
    assert sorted(answer.key for answer in answers) == [picture.key for picture in seen(9)]
    assert all(answer.text == answer.text.strip() and not (answer.text and answer.error) for answer in answers)


@pytest.mark.parametrize("part", REFINERS)
def test_a_refiner_words_every_request(part: str, server: Any, culture: Culture) -> None:
    made = refiner(writer(part, server.address), culture)
    assert isinstance(made.identity, str)
    assert made.made_by.part and made.made_by == refiner(writer(part, server.address), culture).made_by
    answers = list(made.refine(requests(9)))
    assert sorted(answer.key for answer in answers) == [request.key for request in requests(9)]
    assert all(answer.text == answer.text.strip() and bool(answer.text) != bool(answer.error) for answer in answers)


@pytest.mark.parametrize("part", [*(f"captioner {name}" for name in CAPTIONERS), *(f"refiner {name}" for name in REFINERS)])
def test_little_is_held_back_and_nothing_is_asked_before_it_is_wanted(part: str, server: Any, culture: Culture) -> None:
    family, name = part.split()
    section, pulled, most = writer(name, server.address), 0, 0

    def counted(source: Iterator[Any]) -> Iterator[Any]:
        nonlocal pulled
        for item in source:
            pulled += 1
            yield item

    answers = captioner(section).describe(counted(seen(300))) if family == "captioner" else refiner(section, culture).refine(counted(requests(300)))
    assert pulled == 0
    for given, _ in enumerate(answers, 1):
        most = max(most, pulled - given)
    assert pulled == 300 and most <= max(section.concurrency, 8 * section.batch)


@pytest.mark.parametrize("changed", [{"model": "other/model"}, {"max_new_tokens": 7}, {"temperature": 0.5}, {"prompt": "translate_en"}])
def test_what_an_answer_depends_on_is_said(changed: dict[str, Any], server: Any, culture: Culture) -> None:
    for make in (captioner, lambda section: refiner(section, culture)):
        part = "llava" if make is captioner else "llama"
        one, other = make(writer(part, server.address)), make(writer(part, server.address, **changed))
        assert (one.made_by, one.identity) != (other.made_by, other.identity)
        same = make(writer(part, server.address, batch=5, concurrency=7, timeout_s=9, attempts=3, seed=4, key_env="OTHER"))
        assert (one.made_by, one.identity) == (same.made_by, same.identity), "what changes no answer redoes none"
        drawn = [make(writer(part, server.address, temperature=0.5, seed=seed)).identity for seed in (1, 2)]
        assert drawn[0] != drawn[1]


def test_a_server_elsewhere_is_another_model(culture: Culture) -> None:
    one, other = (refiner(writer("llama", f"http://127.0.0.1:{port}/v1"), culture).made_by for port in (8000, 8001))
    assert one.model == other.model and one.model_hash != other.model_hash


def test_the_miniatures_are_asked_what_they_were_trained_on(culture: Culture) -> None:
    assert captioner(Writer(part="llava", model="mini")).prompt.name == "mini_describe_en"
    assert refiner(Writer(part="llama", model="mini"), culture).prompt.name == "mini_refine_ko"


def test_the_slots_of_a_request(culture: Culture) -> None:
    made = Refiner(Writer(part="llama", prompt="refine_ko"), culture)
    first, last = (made.messages(next(requests(1, noun_first=order)))[-1]["content"] for order in (True, False))
    for line in ("이름: 갓김치", f"종류: {culture.category(('김치', '갓김치')).kind}", "관찰: A white plate of green leaves."):
        assert line in first and line in last
    assert culture.glossary["갓김치"].en in first and first != last and "소개" not in first and "{" not in first + last
    refused = made.messages(next(requests(1, refused=(("라면", "이름이 빠졌습니다."),), description="여수에서 난다.")))
    assert [message["role"] for message in refused] == ["system", "user", "assistant", "user"]
    assert refused[2]["content"] == "라면" and "이름이 빠졌습니다." in refused[3]["content"] and "소개: 여수에서 난다." in refused[1]["content"]
    unknown = made.messages(next(requests(1, labels=("없는 이름",), noun="없는 이름", draft_en="")))[-1]["content"]
    assert "이름: 없는 이름" in unknown and "뜻:" not in unknown and "관찰:" not in unknown


BARE = {
    "  흰 접시에 담긴 갓김치 \n": "흰 접시에 담긴 갓김치",
    '"흰 접시에 담긴 갓김치"': "흰 접시에 담긴 갓김치",
    "“흰 접시에 담긴 갓김치”": "흰 접시에 담긴 갓김치",
    "설명: “갓김치”": "갓김치",
    '"갓김치" 옆의 "라면"': '"갓김치" 옆의 "라면"',
    "'갓김치' 한 접시": "'갓김치' 한 접시",
    "『갓김치』": "『갓김치』",  # not a mark that the prompt names
    '"': '"',
    "": "",
}


@pytest.mark.parametrize("text", BARE)
def test_what_the_prompt_says_does_not_belong_is_taken_off(text: str) -> None:
    assert bare(text, load_prompt("refine_ko")) == BARE[text]


def test_a_prompt_that_says_nothing_takes_nothing_off() -> None:
    assert bare('설명: "갓김치"', load_prompt("mini_refine_ko")) == '설명: "갓김치"'


def test_an_answer_of_quotation_marks_alone_is_an_error(server: Any, culture: Culture) -> None:
    server.says = lambda messages: "설명:"
    answers = list(refiner(writer("llama", server.address, prompt="refine_ko"), culture).refine(requests(2)))
    assert all(answer.error and not answer.text for answer in answers)


def test_what_is_sent_is_the_prompt(server: Any) -> None:
    list(captioner(writer("llava", server.address, prompt="describe_en")).describe(seen(1)))
    picture, words = server.asked[0][-1]["content"]
    assert picture["type"] == "image_url" and words["text"] == load_prompt("describe_en").sections["user"]


@pytest.mark.parametrize("part", ["llava", "llama"])
def test_an_endpoint_that_is_not_there_stops_the_run(part: str, culture: Culture) -> None:
    section = writer(part, "http://127.0.0.1:9/v1")
    with pytest.raises(EndpointError, match="in a row"):
        list(captioner(section).describe(seen(20)) if part == "llava" else refiner(section, culture).refine(requests(20)))


def test_shipped_recipes_name_what_there_is() -> None:
    for name in list_recipes():
        if not name.startswith("pipelines/"):
            continue
        recipe = load_recipe(name, kind="prepare")
        assert isinstance(recipe, PrepareRecipe) and recipe.captioner.part in CAPTIONERS and recipe.refiner.part in REFINERS
        for section in (recipe.captioner, recipe.refiner):
            assert not section.prompt or load_prompt(section.prompt).sections["user"]
            assert not section.data_may_leave and not section.endpoint, "a shipped recipe sends nothing anywhere"
        assert (recipe.text_encoder == "mini-korean-clip") == (recipe.captioner.model in ("", "mini")), "counted as the encoder of that size reads"


def test_a_part_that_is_not_there_is_told(culture: Culture) -> None:
    with pytest.raises(RecipeError, match="llava"):
        captioner(Writer(part="blip"))
    with pytest.raises(RecipeError, match="llama"):
        refiner(Writer(part="gpt"), culture)
