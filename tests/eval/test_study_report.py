"""What the report shows, in a real browser and on a machine without fonts; its tables; and how quickly a large study is described."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import resvg_py
from PIL import Image

from kimchi.eval.statistics import Design, Plan, simulate
from kimchi.eval.statistics.descriptives import Score, scores
from kimchi.eval.study.answers import COLUMNS, KINDS, Answers, ratings
from kimchi.eval.study.audit import Chain, audit
from kimchi.eval.study.compute import compute
from kimchi.eval.study.exclusions import Rules, exclude
from kimchi.eval.study.release import band, ids, safe
from kimchi.eval.study.report import write_report
from kimchi.eval.study.report.figures import bars
from kimchi.eval.study.report.figures.drawing import inline, shortened, standalone
from kimchi.eval.study.report.figures.naming import Axis, Names
from kimchi.eval.study.report.frames import names_of
from kimchi.eval.study.report.glyphs import font_face, lacking, width
from kimchi.eval.study.report.tables import Table, latex
from kimchi.eval.study.report.words import number, probability
from kimchi.eval.study.results import About, Named

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MODELS = ("kimchi", "sd21", "photo")
KO = ("매우 그렇지 않다", "그렇지 않다", "보통이다", "그렇다", "매우 그렇다")
EN = ("strongly disagree", "disagree", "neither", "agree", "strongly agree")
HOSTILE = "SD 2.1 <b onmouseover=x>&</b> \"\" '' {{ 7 * 7 }}"


def answers_of(design: Design, seed: int = 1) -> Answers:
    """A simulated study as the store would tell it, main trials only."""
    table = simulate(design, seed)
    seat = (table.rater * len(table.prompts) + table.prompt) * len(table.models) + table.model
    n = len(table)
    return Answers(
        raters=table.raters, prompts=table.prompts, models=table.models, criteria=table.criteria, rater=table.rater, kind=np.zeros(n, dtype=np.int64),
        prompt=table.prompt, model=table.model, criterion=table.criterion, value=table.value, position=table.position, seq=seat % 997, trial=seat,
        repeat_of=np.full(n, -1), expected=np.zeros(n, dtype=np.int64), rt_ms=table.seconds * 1000,
    )  # fmt: skip


def about(design: Design, domain: str = "culture", **more: object) -> About:
    criteria = tuple(
        Named(id=c, ko=f"기준 {c}", en=c, text_ko="그림이 문장과 일치한다.", text_en="It matches.", labels_ko=KO, labels_en=EN) for c in design.criteria
    )
    prompts = tuple(Named(id=p, ko=f"겨울 한강의 붕어빵 수레 {p}", en=f"A cart {p}", domain=domain) for p in simulate(design, 1).prompts)
    made = About(
        name="small", title_ko="사람 평가", title_en="People", protocol_hash="ab" * 32, locked_on="2027-01-15", criteria=criteria, prompts=prompts,
        models=tuple(Named(id=m, ko=HOSTILE if m == "sd21" else m, en=m) for m in design.models), rules=Rules(),
        domains=(Named(id=domain, ko="한국 문화", en="Culture", criteria=design.criteria, models=design.models),),
        plan=Plan(focus="kimchi", photograph="photo", draws=200),
    )  # fmt: skip
    return replace(made, **more)


DESIGN = Design(raters=12, prompts=11, per_rater=11, models=MODELS, criteria=("alignment", "reality"), effects={"kimchi": 1.5, "photo": 2}, missing=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a small study."""
    made = tmp_path_factory.mktemp("report")
    answers, chain = answers_of(DESIGN), Chain(links=9, erased=0, head="cd" * 32, broken=())
    write_report(compute(answers, about(DESIGN), audit(answers, {"done": 12}, dict.fromkeys(answers.raters, 66), 33, chain), "0"), made)
    return made


@pytest.fixture
def names() -> Names:
    return names_of(about(DESIGN), "ko")


SCORE = Score(model="kimchi", criterion="alignment", mean=3.0, sd=1.0, top_two=0.5, n=10, missing=0.0, histogram=(1, 2, 2, 3, 2))


def ink(svg: str) -> np.ndarray:
    """Drawn where there is no font at all."""
    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))))
    return np.asarray(image.convert("L")) < 200


def test_figures_show_korean_where_there_are_no_fonts(names: Names) -> None:
    figure = bars.full([SCORE], names, 720, "x")
    outlined, text = standalone(figure, "ko"), standalone(figure, "ko").replace("<use ", "<none ")
    assert "<text" not in outlined and "매우 그렇지 않다" in outlined
    # Without its outlines only the bars are left: the words are shapes, not text that a font must draw.
    assert ink(outlined)[:22, 20:300].sum() > ink(text)[:22, 20:300].sum() + 500


def test_a_sign_that_the_font_lacks_stays_text(names: Names) -> None:
    strange = replace(names, models={"kimchi": "KIMCHI 龜"})
    assert lacking("KIMCHI 龜") == {"龜"} and "<text" in standalone(bars.full([SCORE], strange, 720, "x"), "ko")


def test_the_font_has_what_the_project_says(root: Path) -> None:
    from kimchi.eval.study import report

    texts = [*(root / "data" / "cultures").glob("ko*.yaml"), *(root / "eval").rglob("*.yaml"), *Path(report.__file__).parent.rglob("*.py")]
    words = "".join(path.read_text(encoding="utf-8") for path in [*texts, *Path(report.__file__).parent.rglob("*.html")])
    assert {sign for sign in lacking(words) if "가" <= sign <= "힣"} == set()
    assert "SIL OPEN FONT LICENSE" in (Path(report.__file__).parent / "font" / "OFL.txt").read_text(encoding="utf-8")
    assert font_face("김치 abc") == font_face("abc 김치") and len(font_face("김치")) < 20_000


def test_names_are_escaped_everywhere(folder: Path, names: Names) -> None:
    drawn = str(inline(bars.full([replace(SCORE, model="sd21")], names, 720, "x"))) + standalone(
        bars.full([replace(SCORE, model="sd21")], names, 720, "x"), "ko"
    )
    for text in (drawn, (folder / "report.ko.html").read_text(encoding="utf-8")):
        assert "<b onmouseover" not in text and "49" not in re.findall(r"SD 2\.1[^<]*", text)[0]


def test_bars_add_up(names: Names) -> None:
    rects = [shape for shape in bars.full([SCORE], names, 720, "x").marks if getattr(shape, "tag", "") == "rect" and "%" in getattr(shape, "said", "")]
    at = [dict(shape.at) for shape in rects]
    assert len(at) == 5 and float(at[-1]["x"]) + float(at[-1]["width"]) == pytest.approx(720 - 62)
    assert Axis(0, 1, 10, 20)(5) == 20


def test_shortened_lines_fit() -> None:
    cut = shortened("고추장진미채볶음을 담은 접시", 12, 80)
    assert width(cut, 12) <= 80 and cut.endswith("…") and shortened("김치", 12, 80) == "김치"


def test_tables_for_spreadsheets_and_for_papers() -> None:
    table = Table(name="t", caption="50 % of α_1 & more", header=("a", "b"), rows=(("=1+1", "−0.25 [−0.5, 0]"), ("@x", "< 0.001")))
    read = list(csv.reader(io.StringIO(table.as_csv())))
    assert read[1] == ["'=1+1", "-0.25 [-0.5, 0]"] and read[2][0] == "'@x"
    assert r"50 \% of $\alpha$\_1 \& more" in table.as_latex() and r"\toprule" in table.as_latex() and "$-$0.25" in table.as_latex()
    assert latex("\\{}~^#$") == r"\textbackslash{}\{\}\textasciitilde{}\textasciicircum{}\#\$"


def test_numbers_are_set_as_journals_set_them() -> None:
    assert [number(-0.254), number(0.254, sign=True), number(-0.001), number(None)] == ["−0.25", "+0.25", "0.00", "–"]
    assert [probability(0.0004), probability(0.0314), probability(None)] == ["<\u00a00.001", "0.031", "–"]


def test_both_languages_have_every_number(folder: Path) -> None:
    korean, english = ((folder / f"report.{language}.html").read_text(encoding="utf-8") for language in ("ko", "en"))
    for text, heads in (
        (korean, ("한눈에 보기", "자료 점검", "보고 양식", "민감도 분석", "맞대결")),
        (english, ("At a glance", "Reporting sheet", "Sensitivity", "Head to head")),
    ):
        assert all(head in text for head in heads)
    tables = [re.findall(r"<td[^>]*>([^<]*)", text) for text in (korean, english)]
    assert len(tables[0]) == len(tables[1])
    english_words = re.sub(r"<style>.*?</style>|겨울[^<]*", "", english, flags=re.DOTALL)
    assert not re.search("[가-힣]", re.sub(re.escape("그림이 문장과 일치한다."), "", english_words))
    assert len(list((folder / "figures").glob("*.ko.svg"))) == len(list((folder / "figures").glob("*.en.svg"))) > 10
    assert "prompts like these" in english and "이 프롬프트와 비슷한 프롬프트 전반" in korean


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize(("wide", "high"), [(1280, 800), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(browser: "Browser", folder: Path, language: str, wide: int, high: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": wide, "height": high}, color_scheme=scheme)  # pyright: ignore[reportArgumentType]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / f"report.{language}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ("rgb(251, 248, 243)" if scheme == "light" else "rgb(23, 21, 19)")
    # No text of a figure is set smaller than can be read.
    sizes = page.evaluate("[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height).filter(h => h)")
    assert sizes and min(sizes) > 10
    assert page.evaluate("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.getAttribute('href')))")
    page.close()


def test_rules_catch_whom_they_should() -> None:
    answers = answers_of(replace(DESIGN, criteria=("alignment",), effects={}))
    quick, line = answers.rater == 3, answers.rater == 4
    spoiled = replace(answers, rt_ms=np.where(quick, 300.0, answers.rt_ms), value=np.where(line, 4, answers.value))
    found = {one.rule: one.failed for one in exclude(spoiled, Rules()).outcomes}
    assert found["speed"] == ("r04",) and found["line"] == ("r05",) and found["gold"] == found["trap"] == found["repeat"] == ()
    off = Rules(floor_ms=None, least_variance=None, gold_tolerance=None, trap_failures=None, repeat_distance=None)
    assert exclude(spoiled, off).excluded == ()


def _trial(answers: Answers, kind: str, values: list[int], **more: int) -> Answers:
    """One more trial of rater 0: a value for each criterion."""
    rows = np.flatnonzero((answers.rater == 0) & (answers.trial == answers.trial[0]))[: len(values)]
    added = answers.where(np.isin(np.arange(len(answers)), rows))
    n = len(values)
    fields = {"kind": KINDS.index(kind), "trial": int(answers.trial.max()) + 1, "position": 0} | more  # pyright: ignore[reportArgumentType]
    added = replace(added, value=np.array(values), **{name: np.full(n, value) for name, value in fields.items()})
    return replace(answers, **{name: np.concatenate([getattr(answers, name), getattr(added, name)]) for name in COLUMNS})


def test_gold_trap_and_repeat() -> None:
    one = replace(DESIGN, criteria=("alignment",), missing=0.0)
    answers = answers_of(one)
    first, value = int(answers.trial[0]), int(answers.value[0])
    far = 1 if value > 3 else 5
    assert exclude(_trial(answers, "gold", [5]), Rules(gold_failures=1)).outcomes[0].failed == ("r01",)
    assert exclude(_trial(answers, "gold", [5]), Rules(gold_failures=2)).outcomes[0].failed == ()
    assert exclude(_trial(answers, "gold", [0]), Rules(gold_failures=1)).outcomes[0].failed == ()
    assert exclude(_trial(answers, "trap", [2], expected=4), Rules()).outcomes[1].failed == ("r01",)
    assert exclude(_trial(answers, "trap", [4], expected=4), Rules()).outcomes[1].failed == ()
    found = exclude(_trial(answers, "repeat", [far], repeat_of=first), Rules())
    assert found.outcomes[2].failed == ("r01",) and found.repeat_pairs == 1 and found.repeat_same == 0
    # What is no main trial never reaches the analysis.
    assert len(ratings(_trial(answers, "gold", [5]), answers.prompts, answers.criteria, MODELS)) == len(answers)


def test_release_ids_and_bands() -> None:
    made = ids([f"rater {k}" for k in range(3000)], b"k" * 32)
    assert len(set(made.values())) == 3000 and made == ids([f"rater {k}" for k in range(3000)], b"k" * 32) != ids(made, b"l" * 32)
    assert [band(ms) for ms in (0, 1999, 2000, 59_999, 60_000, float("nan"))] == ["0-2", "0-2", "2-5", "20-60", "60+", ""]
    assert safe("=1") == "'=1" and safe("김치") == "김치"


def test_a_million_answers_are_described_quickly() -> None:
    design = Design(raters=2000, prompts=100, per_rater=34, models=("kimchi", "a", "b", "c", "photo"), criteria=("alignment", "reality", "suitability"))
    answers, began = answers_of(design), process_time()
    found = audit(answers, {"done": 2000}, {}, 500, Chain(links=0, erased=0, head="", broken=()))
    excluded = exclude(answers, Rules())
    described = scores(ratings(answers, answers.prompts, answers.criteria, answers.models))
    assert len(answers) > 1_000_000 and found.coverage.unseen == 0 and not excluded.repeat_pairs and len(described) == 15
    assert process_time() - began < 10
