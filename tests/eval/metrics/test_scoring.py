"""`kimchi score` as a whole: arms, prompts, tables, going on after an interruption, and what is wrong told in one list."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kimchi import parts
from kimchi.cli import main
from kimchi.errors import DataError, ModelError, OutputError, RecipeError
from kimchi.eval.metrics import Asked, metric, recogniser
from kimchi.eval.metrics._summaries import bootstrap
from kimchi.eval.scoring.answers import Answers
from kimchi.eval.scoring.prompts import read_prompts
from kimchi.eval.scoring.run import score
from kimchi.eval.scoring.tables import read_scores
from kimchi.models.recogniser import Recogniser
from kimchi.recipes import Metric, ScoreRecipe

FAMILY = "kimchi.eval.metrics"
Make = Callable[..., ScoreRecipe]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


class TestParts:
    def test_listing_the_folder_is_the_register(self) -> None:
        assert parts.names(FAMILY) == ["clip_score", "confusion", "dreamsim", "kid", "recogniser", "vqa"]

    @pytest.mark.parametrize("name", parts.names(FAMILY))
    def test_each_is_what_a_metric_is(self, name: str) -> None:
        made = metric(Metric(part=name, model="mini" if name in ("vqa", "confusion") else ""))
        assert callable(made.check) and callable(made.measure)

    def test_an_unknown_one_lists_the_known(self) -> None:
        with pytest.raises(RecipeError, match="'fid' is not one of clip_score, confusion"):
            metric(Metric(part="fid"))


class TestRecogniser:
    def test_sees_what_was_drawn_and_what_was_mistaken(self, make: Make) -> None:
        outcome = score(make("recogniser"))
        of = {(one.metric, one.condition): one for one in outcome.summaries}
        right, mistaken = of["recogniser.right", "kimchi"].estimate, of["recogniser.look_alike", "base"].estimate
        assert right.value is not None and right.value > 0.8 and right.low is not None and right.low > 0.5
        assert mistaken.value is not None and mistaken.value > 0.8 and of["recogniser.look_alike", "base"].higher_is_better is False
        told = results(outcome.folder)["metrics"][0]
        assert told["confusion"]["base"]["ramyeon"] == {"ramen": 1}
        assert len(told["model_hash"]) == 16 and told["model"] == "mini-recogniser"

    def test_below_ten_prompts_no_interval(self, make: Make) -> None:
        outcome = score(make("recogniser", least_prompts=20))
        assert all(one.estimate.low is None and one.estimate.why == "few_prompts" for one in outcome.summaries)

    def test_scores_come_back_as_the_analysis_takes_them(self, make: Make) -> None:
        outcome = score(make("recogniser"))
        scores = read_scores(outcome.folder / "scores.csv")
        assert scores["recogniser.right"]["ramyeon", "kimchi"] == 1.0 and scores["recogniser.look_alike"]["ramyeon", "base"] == 1.0

    def test_the_same_pictures_give_the_same_bytes(self, make: Make, tmp_path: Path) -> None:
        first, second = (score(make("recogniser", out=str(tmp_path / name))).folder for name in ("a", "b"))
        for name in ("scores.csv", "results.json"):
            assert (first / name).read_bytes() == (second / name).read_bytes()

    def test_run_again_nothing_is_seen_twice(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        score(make("recogniser"))

        def fail(*_: Any) -> None:
            raise AssertionError("loaded again")

        monkeypatch.setattr(Recogniser, "load", fail)
        assert score(make("recogniser")).pictures == 36

    def test_a_new_picture_alone_is_looked_at(self, make: Make, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        score(make("recogniser"))
        (world / "arms/kimchi/gat.png").write_bytes((world / "arms/base/gat.png").read_bytes() + b"\0")
        seen = list[int]()
        see = Recogniser.see
        monkeypatch.setattr(Recogniser, "see", lambda self, images: seen.append(len(images)) or see(self, images))
        score(make("recogniser"))
        assert seen == [1]

    def test_prompts_of_another_world_are_refused(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "p.jsonl").write_text('{"id": "ramyeon", "text_ko": "피자", "concept": "pizza"}\n')
        with pytest.raises(DataError):
            score(make("recogniser", prompts=str(tmp_path / "p.jsonl")))
        part = recogniser.Metric(Metric(part="recogniser"))
        scene: Any = type("Scene", (), {"prompts": (Asked(id="a", text_ko="피자", concept="pizza"),)})()
        with pytest.raises(RecipeError, match="pizza is no concept"):
            part.check(scene)
        scene.prompts = (Asked(id="a", text_ko="피자"),)
        with pytest.raises(RecipeError, match="knows nothing else"):
            part.check(scene)


class TestBadInput:
    def test_all_that_is_wrong_in_one_list(self, make: Make, world: Path) -> None:
        arms = world / "arms"
        (arms / "kimchi/ramyeon.png").unlink()
        (arms / "base/extra.png").write_bytes((arms / "base/gat.png").read_bytes())
        (arms / "base/gat.jpg").write_bytes((arms / "base/gat.png").read_bytes())
        (arms / "photo/hanok.png").write_bytes(b"no picture")
        (arms / "photo/hanok.json").write_text("{}")
        with pytest.raises(DataError) as caught:
            score(make("recogniser"))
        said = str(caught.value)
        assert "1 missing: kimchi/ramyeon;" in said
        assert "1 doubled: base/gat.jpg and base/gat.png;" in said
        assert "1 of no prompt: base/extra.png;" in said
        assert "1 unreadable: photo/hanok.png." in said
        assert "\n" not in said and not (world.parent / "out/results.json").exists()

    def test_missing_ones_may_be_allowed(self, make: Make, world: Path) -> None:
        (world / "arms/kimchi/ramyeon.png").unlink()
        with pytest.raises(DataError, match="incomplete: true"):
            score(make("recogniser"))
        outcome = score(make("recogniser", incomplete=True))
        assert outcome.missing == ("kimchi/ramyeon",) and outcome.pictures == 35
        assert results(outcome.folder)["missing"] == ["kimchi/ramyeon"]

    def test_a_long_list_is_cut(self, make: Make, world: Path) -> None:
        for n in range(30):
            (world / f"arms/base/x{n:02d}.png").write_bytes(b"")
        with pytest.raises(DataError, match=r"30 of no prompt: .*base/x19\.png \.\.\.\."):
            score(make("recogniser"))

    def test_a_domain_may_be_drawn_by_some_conditions(self, make: Make, world: Path) -> None:
        lines = [json.loads(line) for line in (world / "prompts.jsonl").read_text(encoding="utf-8").splitlines()]
        text = "".join(json.dumps(one | ({"conditions": ["kimchi", "base"]} if one["id"] == "gat" else {})) + "\n" for one in lines)
        (world / "prompts.jsonl").write_text(text)
        (world / "arms/photo/gat.png").unlink()
        assert score(make("recogniser")).pictures == 35

    @pytest.mark.parametrize("name", ["nowhere", "empty"])
    def test_no_conditions(self, make: Make, tmp_path: Path, name: str) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="condition"):
            score(make("recogniser", images=str(tmp_path / name)))

    def test_hangul_in_parts_is_the_same_name(self, tmp_path: Path, make: Make, world: Path) -> None:
        (tmp_path / "p.jsonl").write_text('{"id": "한복", "text_ko": "한복", "thing_ko": "한복"}\n', encoding="utf-8")
        (tmp_path / "arms/a").mkdir(parents=True)
        (tmp_path / "arms/a" / f"{unicodedata.normalize('NFD', '한복')}.PNG").write_bytes((world / "arms/kimchi/hanbok.png").read_bytes())
        assert score(make("recogniser", prompts=str(tmp_path / "p.jsonl"), images=str(tmp_path / "arms"))).pictures == 1

    @pytest.mark.parametrize(("text", "said"), [("", "holds no prompts"), ('{"id":"a","text_ko":"x"}\n' * 2, "a stands twice"), ('{"id":"a"}\n', "text_ko")])
    def test_prompts_that_are_none(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "p.jsonl").write_text(text)
        with pytest.raises(DataError, match=said):
            read_prompts(str(tmp_path / "p.jsonl"))

    def test_two_metrics_of_one_name(self, make: Make) -> None:
        with pytest.raises(ValueError, match="recogniser stands twice"):
            make("recogniser", "recogniser")
        assert [one.name for one in make("recogniser", {"part": "recogniser", "label": "again"}).metrics] == ["recogniser", "again"]

    def test_a_damaged_store_of_answers(self, tmp_path: Path) -> None:
        (tmp_path / "answers.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 40)
        with pytest.raises(OutputError, match="delete it"):
            Answers(tmp_path / "answers.sqlite")

    def test_scores_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
        with pytest.raises(DataError, match="kimchi score"):
            read_scores(tmp_path / "scores.csv")


class TestSkipped:
    def test_aloud_and_the_others_go_on(self, make: Make) -> None:
        outcome = score(make("recogniser", {"part": "dreamsim", "reference": "photo"}))
        assert list(outcome.skipped) == ["dreamsim"] and "`weights` is empty" in outcome.skipped["dreamsim"]
        told = {one["metric"]: one for one in results(outcome.folder)["metrics"]}
        assert told["dreamsim"]["status"] == "skipped" and told["dreamsim"]["why"] == outcome.skipped["dreamsim"]
        assert "summaries" not in told["dreamsim"] and told["recogniser"]["status"] == "measured"

    def test_nothing_measured_at_all_is_an_error(self, make: Make, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no metric could be measured"):
            score(make({"part": "dreamsim", "reference": "photo"}))
        assert results(tmp_path / "out")["metrics"][0]["status"] == "skipped"


class TestCommand:
    @pytest.fixture
    def recipe(self, make: Make, tmp_path: Path) -> str:
        from kimchi.recipes import to_yaml

        (tmp_path / "r.yaml").write_text(to_yaml(make("recogniser", {"part": "dreamsim", "reference": "photo"})), encoding="utf-8")
        return str(tmp_path / "r.yaml")

    def test_table_json_and_what_was_skipped(self, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["score", recipe, "--json"]) == 0
        captured = capsys.readouterr()
        *table, line = captured.out.splitlines()
        assert len(table) == 6 and table[0].startswith("recogniser.right ↑       base") and "n 12" in table[0]
        assert "SKIPPED dreamsim: dreamsim" in captured.err and captured.err.splitlines()[-1].startswith("Next: read ")
        assert json.loads(line)["skipped"].keys() == {"dreamsim"} and json.loads(line)["pictures"] == 36

    def test_dry_run_writes_nothing(self, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["score", recipe, "--dry-run", "--set", "metrics.0.label=mini"]) == 0
        assert "label: mini" in capsys.readouterr().out and not (tmp_path / "out").exists()

    def test_a_key_that_is_none(self, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["score", recipe, "--set", "metrics.1.referense=x"]) == 1
        assert "did you mean `reference`" in capsys.readouterr().err

    def test_a_plan_is_no_score(self, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plan", recipe]) == 1
        assert "this command runs prepare or align or lora or mini" in capsys.readouterr().err


class TestBootstrap:
    def test_wordings_of_one_thing_are_drawn_together(self) -> None:
        rng = np.random.default_rng(1)
        things = np.repeat(rng.normal(size=12), 4)
        apart, together = (bootstrap([f"{i // size}" for i in range(48)], things.tolist(), 2000, 0) for size in (1, 4))
        assert (together[1] - together[0]) > 1.6 * (apart[1] - apart[0])

    def test_covers(self) -> None:
        rng, held = np.random.default_rng(2), 0
        for _ in range(300):
            low, high = bootstrap([str(i) for i in range(40)], rng.normal(size=40).tolist(), 400, 0)
            held += low <= 0 <= high
        assert held / 300 >= 0.9
