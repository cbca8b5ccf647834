"""A real study, from pictures to the report: made, locked, answered in its own database, analysed; and everything that must refuse or stay honest."""

import csv
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from kimchi.errors import DataError, OutputError, StudyError
from kimchi.eval.study.analyse import REVIEWED, analyse
from kimchi.eval.study.folder import StudyFolder
from kimchi.eval.study.lock import lock
from kimchi.eval.study.new import new
from kimchi.eval.study.schema import load_instrument
from kimchi.eval.study.source import UNBLINDED
from kimchi.eval.study.store import reads, taps

NOW = 1_800_000_000_000
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)> =HYPERLINK(1) 잘 그렸어요"
LABELS = {
    "ko": ["매우 그렇지 않다", "그렇지 않다", "보통이다", "그렇다", "매우 그렇다"],
    "en": ["strongly disagree", "disagree", "neither", "agree", "strongly agree"],
}
Answer = Callable[[int, str, str, str, np.random.Generator], int]
"""Rater, kind, condition, criterion => 0 to 5."""


def instrument(folder: Path, prompts: int, raters: int, **more: Any) -> Path:
    """A small instrument with its own consent texts; one criterion reversed, one without order."""
    texts = folder / "texts"
    texts.mkdir(parents=True)
    for kind in ("consent", "privacy"):
        for language in ("ko", "en"):
            (texts / f"{kind}.{language}.md").write_text("동의합니다.", encoding="utf-8")
    agree = {"labels": LABELS, "unable": {"ko": "판단 불가", "en": "cannot judge"}}
    country = {
        "labels": {"ko": ["한국", "일본", "중국"], "en": ["Korea", "Japan", "China"]},
        "unable": {"ko": "모르겠다", "en": "do not know"},
        "ordered": False,
    }
    names = (
        ("alignment", "문장 일치", "Alignment", "agree", True),
        ("errors", "오류", "Errors", "agree", False),
        ("country", "나라", "Country", "country", True),
    )
    criteria = [
        {"id": id, "name": {"ko": ko, "en": en}, "text": {"ko": f"{ko}?", "en": f"{en}?"}, "scale": scale, "agreeing_is_good": good}
        for id, ko, en, scale, good in names
    ]
    made: dict[str, Any] = {
        "kind": "study", "name": "small", "title": {"ko": "작은 <연구>", "en": "A small <study>"}, "mode": "complete", "shown": "noun", "criteria": criteria,
        "scales": {"agree": agree, "country": country}, "size_px": 64,
        "domains": {"culture": {"name": {"ko": "한국 문화", "en": "Culture"}, "criteria": [one[0] for one in names], "per_rater": prompts}},
        "prompts": [{"id": f"p{k}", "domain": "culture", "noun": f"라면 {k}", "rich": f"라면 {k}", "en": f"ramyeon {k}"} for k in range(prompts)],
        "assignment": {"raters": raters, "spare": 0, "repeats": 1, "gold": 1, "traps": 1, "gap": 2}, "analysis": {"focus": "kimchi", "draws": 200},
        "consent": {"texts": str(texts)}, "quality": {"gold_failures": 1},
    }  # fmt: skip
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**made, **more}, allow_unicode=True), encoding="utf-8")
    return path


def arms(folder: Path, conditions: tuple[str, ...], prompts: int) -> Path:
    """Pictures that differ."""
    rng = np.random.default_rng(0)
    for condition in conditions:
        (folder / condition).mkdir(parents=True)
        for k in range(prompts):
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / condition / f"p{k}.png")
    return folder


def likely(rater: int, kind: str, condition: str, criterion: str, rng: np.random.Generator) -> int:
    """Photographs please, KIMCHI pleases more than sd21; rater 2 agrees with everything."""
    if criterion == "country":
        return int(rng.choice([1, 1, 2, 3]))
    if rater == 2:
        return 5
    if kind == "gold":
        return 1
    best = {"kimchi": 4, "sd21": 2, "photo": 5}.get(condition, 3)
    value = int(np.clip(best + rng.choice([-1, 0, 0, 1]), 1, 5))
    return 6 - value if criterion == "errors" else value


def make(
    folder: Path, *, raters: int = 7, prompts: int = 10, conditions: tuple[str, ...] = ("kimchi", "photo", "sd21"), answer: Answer = likely, **more: Any
) -> Path:
    """A locked study in which so many raters have answered everything; every second one agrees to the release."""
    chosen = load_instrument(str(instrument(folder, prompts, max(raters, 1), **more)))
    study = folder / "study"
    new(chosen, arms(folder / "arms", conditions, prompts), study)
    lock(study, now=NOW)
    collect(study, raters, answer)
    return study


def collect(study: Path, raters: int, answer: Answer, since: int = NOW) -> None:
    """People tap."""
    with sqlite3.connect(StudyFolder(study).vault) as vault:
        condition = dict(vault.execute("SELECT stimulus, condition FROM vault"))
    rng = np.random.default_rng(5)
    with StudyFolder(study).store() as store:
        for rater in range(raters):
            session = store.claim(now=since)
            store.consent(session.id, "hash", "phone", now=since, release=rater % 2 == 0)
            # One transaction a rater, not one a tap: the test waits for no disk.
            with store._database.write() as connection:
                for trial in reads.trials(connection, session.slot):
                    for criterion in trial.criteria:
                        value = trial.expected or answer(rater, trial.kind, condition[trial.stimulus], criterion, rng)
                        tap = taps.Tap(
                            trial=trial.id, criterion=criterion, value=value, client_uuid=f"{rater}-{trial.id}-{criterion}-{since}",
                            rt_ms=int(rng.integers(1500, 9000)), shown_ms=None, rev=None,
                        )  # fmt: skip
                        taps.rate(connection, session.id, tap, since + 1)
            store.comment(session.id, store.trials(session.slot)[1].id, HOSTILE, f"c{rater}-{since}", now=since + 2)
            store.finish(session.id, now=since + 3)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven raters, ten prompts, three conditions; analysed once."""
    made = make(tmp_path_factory.mktemp("study"))
    analyse(made, now=NOW + 10)
    return made


@pytest.fixture
def own(study: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(study, tmp_path / "study"))


def results(study: Path) -> dict[str, Any]:
    return json.loads((study / "analysis" / "results.json").read_text(encoding="utf-8"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_everything_is_written(study: Path) -> None:
    there = set(files(study / "analysis"))
    wanted = {"report.ko.html", "report.en.html", "results.json", "release/ratings.csv", "release/codebook.csv", "release/README.md", "release/protocol.yaml"}
    assert wanted <= there
    assert {"figures/culture-alignment-diverging.ko.svg", "tables/culture-alignment-contrasts.ko.tex", "tables/culture-agreement.en.csv"} <= there
    assert not list(study.glob(".analysis*"))


def test_the_results_are_those_of_the_answers(study: Path) -> None:
    read = results(study)
    audit, domain = read["audit"], read["domains"][0]
    assert audit["raters"] == audit["complete"] == 7 and audit["asked"] == audit["given"] and audit["chain"]["broken"] == []
    assert audit["answered"] == 7 * 10 * 3 * 3 and audit["balance"]["worst"] < 0.2
    assert domain["inference"] == "prompts like these"
    one = next(c for c in domain["analysis"]["criteria"] if c["criterion"] == "alignment")
    gap = next(c for c in one["contrasts"] if c["second"] == "sd21" and c["inference"] == "prompts like these")
    assert gap["estimate"]["value"] > 1 and gap["p_holm"] < 0.01
    # Fewer errors is better, after turning.
    errors = next(c for c in domain["analysis"]["criteria"] if c["criterion"] == "errors")
    assert errors["reversed"] and next(c for c in errors["contrasts"] if c["second"] == "sd21")["estimate"]["value"] > 1
    # A choice among countries has shares and nothing else.
    assert [c["criterion"] for c in domain["analysis"]["criteria"]] == ["alignment", "errors"]
    assert {c["criterion"] for c in domain["choices"]} == {"country"}


def test_exclusions_are_shown_with_and_without(study: Path) -> None:
    read = results(study)
    # Rater 2 agrees with a wrong text, and always gives the same answer.
    assert read["exclusions"]["excluded"] == ["rater 0003"]
    assert {one["rule"]: one["failed"] for one in read["exclusions"]["outcomes"]}["gold"] == ["rater 0003"]
    assert read["domains"][0]["analysis"]["raters"] == 6
    variants = {one["variant"]: one["raters"] for one in read["domains"][0]["sensitivities"]}
    assert variants == {"all_raters": 7, "first_half": 6, "second_half": 6, "first_picture": 6}


def test_the_same_study_gives_the_same_bytes(own: Path) -> None:
    before = files(own / "analysis")
    analyse(own, now=NOW + 99)
    assert files(own / "analysis") == before


def test_the_unblinding_is_noted_once_and_late_answers_are_pointed_out(tmp_path: Path) -> None:
    made = make(tmp_path, raters=2, prompts=2, assignment={"raters": 3, "spare": 0, "repeats": 0, "gold": 0, "traps": 0})
    analyse(made, now=NOW + 10)
    collect(made, 1, likely, since=NOW + 20)
    analyse(made, now=NOW + 30)
    with StudyFolder(made).store() as store:
        assert [one["created_at"] for one in store.events() if one["kind"] == UNBLINDED] == [NOW + 10]
    assert results(made)["audit"]["after_unblinding"] == 2 * 3 * 3
    assert "확인한 뒤에 받은 응답" in (made / "analysis" / "report.ko.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("spoil", ["protocol", "picture", "unlocked", "vault"])
def test_what_was_changed_after_the_lock_is_refused(own: Path, spoil: str) -> None:
    folder = StudyFolder(own)
    before = files(own / "analysis")
    if spoil == "protocol":
        folder.protocol.write_text(folder.protocol.read_text(encoding="utf-8").replace("margin: 0.3", "margin: 0.9"), encoding="utf-8")
    elif spoil == "picture":
        next(folder.pictures.iterdir()).write_bytes(b"another")
    else:
        (folder.lock if spoil == "unlocked" else folder.vault).unlink()
    with pytest.raises((StudyError, OutputError)):
        analyse(own, now=NOW)
    assert files(own / "analysis") == before


def test_a_tampered_answer_is_reported_not_hidden(own: Path) -> None:
    with sqlite3.connect(StudyFolder(own).database) as raw:
        raw.execute("DROP TRIGGER rating_kept")
        raw.execute("UPDATE rating SET value = 5 WHERE id = 40 AND value < 5 OR id = 41")
    assert not analyse(own, now=NOW).chain_ok
    assert "기록이 바뀌었습니다" in (own / "analysis" / "report.ko.html").read_text(encoding="utf-8")


def test_the_release_holds_nobody_who_did_not_agree(study: Path) -> None:
    release = study / "analysis" / "release"
    with (release / "ratings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["rater"] for row in rows}) == 4 and all(len(row["rater"]) >= 6 for row in rows)
    assert rows == sorted(rows, key=lambda row: tuple(row.values()))
    assert {row["condition"] for row in rows} == {"kimchi", "photo", "sd21"} and {row["excluded"] for row in rows} == {"yes", "no"}
    # Neither places, times, names of pictures nor words of raters.
    whole = "".join(content.decode() for content in files(release).values())
    assert "rater 0" not in whole and str(NOW)[:6] not in whole and "owned" not in whole
    assert not (release / "comments.csv").exists()


def test_comments_are_released_only_when_reviewed(own: Path) -> None:
    review = own / "analysis" / "comments.review.csv"
    text = review.read_text(encoding="utf-8")
    assert text.count("owned") == 4
    (own / "vault" / REVIEWED).write_text(text.replace('잘 그렸어요",', '잘 그렸어요",yes', 1).replace("잘 그렸어요,", "잘 그렸어요,yes", 1), encoding="utf-8")
    analyse(own, now=NOW)
    with (own / "analysis" / "release" / "comments.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_no_page_runs_or_shows_what_raters_wrote(study: Path) -> None:
    for page in (study / "analysis").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "owned" not in text and "<script" not in text and "작은 <연구>" not in text and "http" not in text.replace("http://www.w3.org", "")


def unable(rater: int, kind: str, condition: str, criterion: str, rng: np.random.Generator) -> int:
    return 0


def same(rater: int, kind: str, condition: str, criterion: str, rng: np.random.Generator) -> int:
    return 3


@pytest.mark.parametrize(
    ("raters", "prompts", "conditions", "answer"),
    [
        pytest.param(0, 2, ("kimchi", "sd21"), likely, id="no ratings"),
        pytest.param(1, 3, ("kimchi", "sd21", "photo"), likely, id="one rater"),
        pytest.param(3, 1, ("kimchi", "sd21"), likely, id="one prompt"),
        pytest.param(3, 3, ("kimchi",), likely, id="one model"),
        pytest.param(3, 3, ("kimchi", "sd21", "photo"), unable, id="nobody could judge"),
        pytest.param(5, 10, ("kimchi", "sd21"), same, id="everybody excluded"),
    ],
)
def test_an_honest_report_of_little(tmp_path: Path, raters: int, prompts: int, conditions: tuple[str, ...], answer: Answer) -> None:
    checks = {"raters": max(raters, 1), "spare": 0, "repeats": 0, "gold": 0, "traps": 0}
    made = make(tmp_path, raters=raters, prompts=prompts, conditions=conditions, answer=answer, assignment=checks)
    outcome = analyse(made, now=NOW + 10)
    assert outcome.raters == raters and outcome.inference == {"culture": "these prompts"}
    for page in outcome.reports:
        words = re.sub(r"<style>.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"\b(None|nan|inf|Traceback)\b", words)
    korean = outcome.reports[0].read_text(encoding="utf-8")
    if raters == 0:
        assert "아직 분석할 평가가 없습니다" in korean
    elif len(conditions) == 1:
        assert "비교할 것이 없습니다" in korean
    elif answer is unable:
        assert "모든 응답이 ‘판단 불가’여서" in korean
    elif answer is same:
        assert "제외 규칙이 모든 평가자를 제외했습니다" in korean
    else:
        assert "그 주장은 싣지 않았습니다" in korean


def test_automatic_metrics_are_held_against_people(own: Path, tmp_path: Path) -> None:
    rows = [("clip", c, f"p{k}", rank + k / 100) for k in range(10) for rank, c in enumerate(("sd21", "kimchi", "photo"))]
    rows += [("distance", c, p, -score) for _, c, p, score in rows]
    (tmp_path / "scores.csv").write_text("metric,condition,prompt,value,answer\n" + "".join(f"{m},{c},{p},{v},\n" for m, c, p, v in rows), encoding="utf-8")
    with pytest.raises(DataError, match="better when lower"):
        analyse(own, now=NOW, scores=tmp_path)
    summaries = [{"metric": "clip", "higher_is_better": True}, {"metric": "distance", "higher_is_better": False}]
    (tmp_path / "results.json").write_text(json.dumps({"metrics": [{"summaries": [one]} for one in summaries]}), encoding="utf-8")
    analyse(own, now=NOW, scores=tmp_path)
    found = {one["metric"]: one["spearman"]["value"] for one in results(own)["domains"][0]["analysis"]["criteria"][0]["metrics"]}
    assert found["clip"] == found["−distance"] > 0.5
    assert "−distance" in (own / "analysis" / "report.ko.html").read_text(encoding="utf-8")
