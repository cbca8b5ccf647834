"""Tables of a report: written once, set three times, as HTML, CSV and LaTeX (booktabs)."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kimchi.eval.statistics import CriterionAnalysis, Inference
from kimchi.eval.statistics.cluster import Contrast
from kimchi.eval.statistics.descriptives import Score

from ..results import DomainResults, Sensitivity
from .figures.naming import Names
from .words import NONE, because, mixed_of, number, odds, percent, probability, verdict, whole

_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"} | {
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "−": "$-$",
    "×": r"$\times$",
    "δ": r"$\delta$",
    "α": r"$\alpha$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A header and rows of text; the first column names, the others are numbers."""

    name: str
    """Its files' stem."""
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: tuple[bool, ...] = ()
    """Rows that stand out; empty: none."""
    words: tuple[int, ...] = ()
    """Columns that hold words, not numbers, beside the first."""

    def as_csv(self) -> str:
        """For spreadsheets: a hyphen for minus, so that numbers are read as such, and no cell that one would run as a formula."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([_plain(cell) for cell in row] for row in (self.header, *self.rows))
        return file.getvalue()

    def as_latex(self) -> str:
        """A table environment; needs booktabs, and for Korean kotex or XeLaTeX."""
        columns = "l" + "".join("l" if k in self.words else "r" for k in range(1, len(self.header)))
        rows = [" & ".join(map(latex, row)) + r" \\" for row in self.rows]
        head = " & ".join(map(latex, self.header)) + r" \\"
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(self.caption)}}}", rf"\label{{tab:{self.name}}}", rf"\begin{{tabular}}{{{columns}}}"]
        return "\n".join([*lines, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def latex(words: str) -> str:
    """Text with what LaTeX would read as commands made harmless."""
    return "".join(_LATEX.get(sign, sign) for sign in words)


def _plain(cell: str) -> str:
    plain = cell.replace("−", "-")
    formula = plain[:1] in ("=", "@", "\t", "\r") or (plain[:1] in ("+", "-") and not re.match(r"[+-][\d.]", plain) and len(plain) > 1)
    return "'" + plain if formula else plain


def scores(rows: Sequence[Score], criterion: str, names: Names, stem: str) -> Table:
    """As the source study reports them: raw answers, nothing turned."""
    header = (names.say("모델", "Model"), names.say("평균", "Mean"), names.say("표준편차", "SD"), names.say("긍정 응답(4·5점)", "Top two"))
    return Table(
        name=f"{stem}-scores",
        caption=names.say(f"{names.criterion(criterion)}: 기술통계(원점수)", f"{names.criterion(criterion)}: descriptive scores (raw answers)"),
        header=(*header, *map(str, range(1, 6)), "n", names.say("판단 불가", "Cannot judge")),
        rows=tuple(
            (names.model(s.model), number(s.mean), number(s.sd), percent(s.top_two), *map(str, s.histogram), f"{s.n:,}", percent(s.missing, 1)) for s in rows
        ),
        strong=tuple(s.model == names.focus for s in rows),
    )


def contrasts(one: CriterionAnalysis, inference: Inference, alpha: float, names: Names, stem: str) -> Table:
    """What the study is about: each registered comparison, in points and in odds."""
    rows = [c for c in one.contrasts if c.inference == inference]
    header = (
        names.say("비교", "Comparison"),
        names.say("점수 차 [95% 신뢰구간]", "Points [95 % CI]"),
        names.say("p (평균)", "p (means)"),
        names.say("오즈비 [95% 신뢰구간]", "Odds ratio [95 % CI]"),
        names.say("p (모형)", "p (model)"),
        names.say("클리프 δ [95% 신뢰구간]", "Cliff's δ [95 % CI]"),
        names.say("최소 탐지 차이", "MDD"),
        names.say("판정", "Finding"),
    )
    return Table(
        name=f"{stem}-contrasts",
        caption=names.say(
            f"{names.criterion(one.criterion)}: 사전 등록한 비교 (p는 홀름 보정)", f"{names.criterion(one.criterion)}: registered comparisons (p after Holm)"
        ),
        header=header,
        rows=tuple(_contrast(one, row, inference, alpha, names) for row in rows),
        words=(7,),
    )


def _contrast(one: CriterionAnalysis, row: Contrast, inference: Inference, alpha: float, names: Names) -> tuple[str, ...]:
    mixed, found = mixed_of(one, row), verdict(one, row, inference, alpha, names)
    delta = next(d for d in one.deltas if (d.first, d.second, d.inference) == (row.first, row.second, inference))
    p_mixed = mixed.p_holm if mixed and inference == "prompts like these" else None
    ratio = odds(mixed) if inference == "prompts like these" else NONE
    return (
        pair(row.first, row.second, names),
        whole(row.estimate, sign=True),
        probability(row.p_holm),
        ratio,
        probability(p_mixed),
        whole(delta.estimate, sign=True),
        number(row.detectable),
        found.words,
    )


def pair(first: str, second: str, names: Names) -> str:
    """First less second."""
    return f"{names.model(first)} − {names.model(second)}"


def equivalence(one: CriterionAnalysis, inference: Inference, names: Names, stem: str) -> Table | None:
    """Against the photograph; None without one."""
    rows = [e for e in one.equivalences if e.inference == inference]
    if not rows:
        return None

    def told(equivalent: bool | None, not_worse: float | None, alpha: float = 0.05) -> str:
        if equivalent is None:
            return names.say("판단 보류", "withheld")
        if equivalent:
            return names.say("동등함", "equivalent")
        return (
            names.say("열등하지 않음", "not inferior")
            if not_worse is not None and not_worse < alpha
            else names.say("동등성을 보이지 못함", "equivalence not shown")
        )

    header = (names.say("모델", "Model"), names.say("사진과의 차이 [90% 신뢰구간]", "Difference [90 % CI]"))
    tests = (names.say("p (동등성)", "p (equivalence)"), names.say("p (비열등성)", "p (non-inferiority)"), names.say("판정", "Finding"))
    return Table(
        name=f"{stem}-equivalence",
        caption=names.say(
            f"{names.criterion(one.criterion)}: 실제 사진과의 동등성 검정(한계 ±{rows[0].margin:g}점)",
            f"{names.criterion(one.criterion)}: equivalence with the photograph (margin ±{rows[0].margin:g} points)",
        ),
        header=(*header, *tests),
        rows=tuple(
            (names.model(e.model), whole(e.difference, sign=True), probability(e.p), probability(e.p_not_worse), told(e.equivalent, e.p_not_worse))
            for e in rows
        ),
        strong=tuple(e.model == names.focus for e in rows),
        words=(4,),
    )


def choices(scores: Sequence[Score], criterion: str, names: Names, stem: str) -> Table:
    """A criterion whose answers have no order: how often each was given."""
    return Table(
        name=f"{stem}-choices",
        caption=names.say(f"{names.criterion(criterion)}: 응답별 비율", f"{names.criterion(criterion)}: shares of the answers"),
        header=(names.say("모델", "Model"), *names.answers[criterion], "n", names.say("판단 불가", "Cannot judge")),
        rows=tuple(
            (names.model(s.model), *(percent(k / max(s.n, 1)) for k in s.histogram[: len(names.answers[criterion])]), f"{s.n:,}", percent(s.missing, 1))
            for s in scores
        ),
        strong=tuple(s.model == names.focus for s in scores),
    )


def agreement(domain: DomainResults, names: Names, stem: str) -> Table | None:
    """Alpha and AC2 together, since they answer differently; and how far the mean can be trusted."""
    if domain.analysis is None:
        return None
    rows: list[tuple[str, ...]] = []
    for one in domain.analysis.criteria:
        every, trust = one.agreement[0], one.reliability
        rows.append(
            (names.criterion(one.criterion), whole(every.alpha), whole(every.ac2), whole(trust.single), whole(trust.mean), number(trust.raters_each, 1))
        )
    header = (names.say("기준", "Criterion"), names.say("크리펜도르프 α (순서형)", "Krippendorff's α (ordinal)"), names.say("그웨트 AC2", "Gwet's AC2"))
    return Table(
        name=f"{stem}-agreement",
        caption=names.say("평가자 간 일치도와 평균의 신뢰도 [95% 신뢰구간]", "Agreement of raters and reliability of their mean [95 % CI]"),
        header=(*header, "ICC(2,1)", "ICC(2,k)", "k"),
        rows=tuple(rows),
    )


def spreads(one: CriterionAnalysis, names: Names, stem: str) -> Table:
    """What the mixed model found the ratings to vary with."""
    terms = {
        "rater": names.say("평가자", "rater"),
        "prompt": names.say("프롬프트", "prompt"),
        "prompt x model": names.say("프롬프트 × 모델", "prompt × model"),
        "rater x model": names.say("평가자 × 모델", "rater × model"),
    }
    return Table(
        name=f"{stem}-spreads",
        caption=names.say(
            f"{names.criterion(one.criterion)}: 임의효과의 표준편차(로짓)", f"{names.criterion(one.criterion)}: SD of the random effects (logits)"
        ),
        header=(names.say("임의효과", "Random effect"), names.say("수준 수", "Levels"), names.say("표준편차", "SD")),
        rows=tuple((terms[s.term], f"{s.levels:,}", number(s.sd)) for s in one.mixed.spreads),
    )


def left_out(one: CriterionAnalysis, inference: Inference, names: Names, stem: str) -> Table:
    """Every contrast again without each prompt."""

    def changes(count: int | None) -> str:
        return NONE if count is None else str(count)

    rows = [r for r in one.leave_one_out if r.inference == inference]
    header = (
        names.say("비교", "Comparison"),
        names.say("가장 작은 차이", "Least"),
        names.say("가장 큰 차이", "Greatest"),
        names.say("부호가 바뀜", "Sign changes"),
    )
    return Table(
        name=f"{stem}-leave-one-out",
        caption=names.say(f"{names.criterion(one.criterion)}: 프롬프트를 하나씩 뺐을 때", f"{names.criterion(one.criterion)}: leaving each prompt out"),
        header=(*header, names.say("판정이 바뀌는 프롬프트 수", "Prompts that change the finding")),
        rows=tuple(
            (
                pair(r.first, r.second, names),
                number(r.lowest, sign=True),
                number(r.highest, sign=True),
                NONE if r.sign_changes is None else names.say("예", "yes") if r.sign_changes else names.say("아니요", "no"),
                changes(r.verdict_changes),
            )
            for r in rows
        ),
    )


VARIANTS = {
    "registered": ("사전 등록한 분석", "As registered"),
    "all_raters": ("아무도 제외하지 않음", "Nobody excluded"),
    "fixed_prompts": ("이 프롬프트에 한한 추론", "These prompts only"),
    "first_half": ("앞 절반만", "First half"),
    "second_half": ("뒤 절반만", "Second half"),
    "first_picture": ("프롬프트마다 첫 그림만", "First picture of each prompt"),
}


def sensitivity(one: CriterionAnalysis, variants: Sequence[Sensitivity], inference: Inference, names: Names, stem: str) -> Table:
    """The contrasts on other rows and under the other inference, side by side; p is uncorrected here."""
    chosen = {"registered": [c for c in one.contrasts if c.inference == inference]}
    chosen["fixed_prompts"] = [c for c in one.contrasts if c.inference == "these prompts"]
    chosen |= {v.variant: [c for c in v.contrasts if c.criterion == one.criterion] for v in variants}
    pairs = [(c.first, c.second) for c in chosen["registered"]]
    rows = [
        (names.say(*VARIANTS[key]), *(whole(next(c for c in chosen[key] if (c.first, c.second) == two).estimate, sign=True) for two in pairs))
        for key in VARIANTS
        if chosen.get(key) and (key != "fixed_prompts" or inference != "these prompts")
    ]
    return Table(
        name=f"{stem}-sensitivity",
        caption=names.say(f"{names.criterion(one.criterion)}: 민감도 분석(점수 차)", f"{names.criterion(one.criterion)}: sensitivity (points)"),
        header=(names.say("분석", "Analysis"), *(pair(*two, names) for two in pairs)),
        rows=tuple(rows),
    )


def metrics(domain: DomainResults, names: Names, stem: str) -> Table | None:
    """Automatic metrics against people; None where none was given."""
    if domain.analysis is None or not any(one.metrics for one in domain.analysis.criteria):
        return None
    rows: list[tuple[str, ...]] = []
    for one in domain.analysis.criteria:
        rows += [
            (names.criterion(one.criterion), m.metric, f"{m.n:,}", whole(m.spearman), whole(m.kendall), whole(m.pairwise), because(m.spearman.why, names))
            for m in one.metrics
        ]
        rows.append((names.criterion(one.criterion), names.say("평가자 한 명(상한)", "one rater (ceiling)"), "", number(one.ceiling.spearman), "", "", ""))
    header = (names.say("기준", "Criterion"), names.say("지표", "Metric"), "n", names.say("스피어먼 ρ", "Spearman's ρ"), names.say("켄들 τ-b", "Kendall's τ-b"))
    return Table(
        name=f"{stem}-metrics",
        caption=names.say("자동 지표와 사람 평가의 상관 [95% 신뢰구간]", "Automatic metrics against people [95 % CI]"),
        header=(*header, names.say("쌍별 일치", "Pairwise accuracy"), names.say("비고", "Note")),
        rows=tuple(rows),
        words=(6,),
    )
