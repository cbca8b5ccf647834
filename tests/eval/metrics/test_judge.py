"""A judge that is asked in words: how questions are put, how answers are read, and that nothing is asked twice."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kimchi.errors import ModelError, RecipeError
from kimchi.eval.metrics._judge import choice, turned, yes_or_no
from kimchi.eval.scoring.run import ScoreOutcome, score
from kimchi.eval.scoring.tables import read_scores
from kimchi.recipes import ScoreRecipe

Make = Callable[..., ScoreRecipe]


def means(outcome: ScoreOutcome) -> dict[tuple[str, str], float | None]:
    return {(one.metric, one.condition): one.estimate.value for one in outcome.summaries}


class TestReading:
    @pytest.mark.parametrize(
        "text", ["예", "예.", "네, 있습니다.", "예, 이 그림에는 라면이 있습니다.", "Yes", "yes, there is", "예입니다", '"예"', "- Yes.", "라면이 있습니다."]
    )
    def test_yes(self, text: str) -> None:
        assert yes_or_no(text) is True

    @pytest.mark.parametrize("text", ["아니요", "아니오.", "아뇨, 라멘이 있습니다.", "No.", "no noodles, but yes rice", "라면은 없습니다.", "There is not."])
    def test_no(self, text: str) -> None:
        assert yes_or_no(text) is False

    @pytest.mark.parametrize("text", ["", "noodles in a bowl", "예술 작품", "A bowl of soup at night.", "라면이 있습니다. 아니, 없습니다."])
    def test_neither(self, text: str) -> None:
        assert yes_or_no(text) is None

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("한국입니다.", "한국"), ("이 그림은 일본으로 보입니다", "일본"), ("그 밖의 나라", "그 밖의 나라"), ("한국이 아니라 일본입니다", ""),
            ("모르겠습니다", ""), ("남한국밥", ""), ("", ""),
        ],
    )  # fmt: skip
    def test_one_of_several(self, text: str, said: str) -> None:
        assert choice(text, ("한국", "일본", "중국", "그 밖의 나라")) == said

    def test_the_longest_of_names_within_each_other_counts(self) -> None:
        assert choice("a rice cake", ("rice", "rice cake")) == "rice cake"
        assert choice("Riceland", ("rice", "rice cake")) == ""
        assert choice("떡볶이입니다", ("떡", "떡볶이")) == "떡볶이"

    def test_every_choice_comes_first_somewhere(self) -> None:
        first = Counter(turned(("a", "b", "c"), f"prompt {i}")[0] for i in range(300))
        assert min(first.values()) > 60 and turned(("a", "b", "c"), "x") == turned(("a", "b", "c"), "x")


class TestByEndpoint:
    def test_vqa(self, make: Make, server: Any, tmp_path: Path) -> None:
        server.says = lambda question: ("아니요" if "한옥이" in question else "예, 있습니다") if "있습니까" in question else "한국입니다"
        outcome = score(make({"part": "vqa", "model": "judge", "endpoint": server.address}))
        assert means(outcome)["vqa.thing", "kimchi"] == pytest.approx(11 / 12) and means(outcome)["vqa.country", "photo"] == 1.0
        assert "이 그림에 라면이 있습니까? '예' 또는 '아니요' 가운데 하나로만 답하십시오." in server.asked
        assert len(server.asked) == 72
        assert read_scores(outcome.folder / "scores.csv")["vqa.thing"]["hanok", "base"] == 0.0

    def test_run_again_nothing_is_asked_twice(self, make: Make, server: Any) -> None:
        recipe = make({"part": "vqa", "model": "judge", "endpoint": server.address, "ask": ["thing"]})
        score(recipe)
        asked = len(server.asked)
        score(recipe)
        assert len(server.asked) == asked == 36

    def test_what_is_neither_is_unclear_and_counted(self, make: Make, server: Any) -> None:
        server.says = lambda question: "글쎄요" if "라면이" in question else "예"
        outcome = score(make({"part": "vqa", "model": "judge", "endpoint": server.address, "ask": ["thing"]}))
        one = outcome.summaries[0]
        assert (one.n, one.unclear, one.estimate.value) == (11, 1, 1.0)

    def test_the_confusion_matrix_of_look_alikes(self, make: Make, server: Any) -> None:
        server.says = lambda question: "라멘입니다" if "라멘" in question else "이 가운데 없음"
        outcome = score(make({"part": "confusion", "model": "judge", "endpoint": server.address}))
        assert means(outcome)["confusion.look_alike", "kimchi"] == pytest.approx(1 / 12) and means(outcome)["confusion.right", "kimchi"] == 0
        assert any(
            question.startswith("이 그림에 있는 것은 무엇입니까?") and "라면, 라멘" in question.replace("라멘, 이 가운데 없음, 라면", "라면, 라멘")
            for question in server.asked
        )

    def test_english(self, make: Make, server: Any) -> None:
        server.says = lambda question: "Yes." if question.startswith("Is there") else "Korea"
        metric = {"part": "vqa", "model": "j", "endpoint": server.address, "language": "en", "countries": ["Korea", "Japan"], "country": "Korea"}
        outcome = score(make(metric))
        assert set(means(outcome).values()) == {1.0} and "another country" in "".join(server.asked)

    def test_a_server_that_is_not_there_is_skipped_aloud(self, make: Make) -> None:
        outcome = score(make("recogniser", {"part": "vqa", "model": "j", "endpoint": "http://127.0.0.1:9/v1", "attempts": 1}))
        assert "in a row" in outcome.skipped["vqa"]

    def test_half_answered_is_skipped_and_goes_on(self, make: Make, server: Any) -> None:
        server.says = lambda question: "" if "라면이" in question else "예"
        recipe = make("recogniser", {"part": "vqa", "model": "j", "endpoint": server.address, "ask": ["thing"], "attempts": 1, "concurrency": 1})
        assert "3 of 36 questions got no answer" in score(recipe).skipped["vqa"]
        server.says = lambda question: "예"
        server.asked.clear()
        assert not score(recipe).skipped and len(server.asked) == 3

    def test_pictures_do_not_leave_unless_told(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: [(0, 0, 0, "", ("8.8.8.8", 443))])
        with pytest.raises(RecipeError, match="outside the private network"):
            score(make({"part": "vqa", "model": "j", "endpoint": "https://example.org/v1"}))


class TestHere:
    def test_mini_llava_is_asked_and_says_what_it_was_taught_to(self, make: Make) -> None:
        # It knows one question only, and describes: the answers are unclear, and are counted as that.
        outcome = score(make({"part": "vqa", "model": "mini", "device": "cpu", "ask": ["thing"], "max_new_tokens": 4}, images=self.few(make)))
        assert all(one.unclear == 12 and one.n == 0 and one.estimate.value is None for one in outcome.summaries)

    def few(self, make: Make) -> str:
        import shutil

        folder = Path(make("recogniser").images)
        shutil.rmtree(folder / "base")
        shutil.rmtree(folder / "photo")
        return str(folder)

    def test_weights_that_are_missing(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(ModelError, match=r"holds no \.safetensors"):
            score(make({"part": "vqa", "model": str(tmp_path / "empty")}))


class TestRefused:
    def test_no_model(self, make: Make) -> None:
        with pytest.raises(RecipeError, match=r"metrics\.vqa: names no `model`"):
            score(make("vqa"))

    def test_a_country_that_cannot_be_chosen(self, make: Make) -> None:
        with pytest.raises(RecipeError, match="대한민국 is the right answer"):
            score(make({"part": "vqa", "model": "mini", "country": "대한민국"}))

    @pytest.mark.parametrize(("part", "said"), [("vqa", "no prompt says which thing"), ("confusion", "no prompt names a thing and its look-alikes")])
    def test_prompts_that_name_nothing(self, make: Make, world: Path, part: str, said: str) -> None:
        (world / "prompts.jsonl").write_text('{"id": "ramyeon", "text_ko": "라면"}\n', encoding="utf-8")
        for condition in ("base", "photo", "kimchi"):
            for path in (world / "arms" / condition).iterdir():
                if path.stem != "ramyeon":
                    path.unlink()
        with pytest.raises(RecipeError, match=said):
            score(make({"part": part, "model": "mini", "ask": ["thing"]}))
