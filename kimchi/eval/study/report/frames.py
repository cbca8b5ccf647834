"""All figures and tables of a study, by name: the page shows them, the folders hold them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from kimchi.eval.statistics import CriterionAnalysis, Inference
from kimchi.eval.statistics.descriptives import Cell

from ..results import About, DomainResults, Named, StudyResults
from . import tables
from .figures import bars, matrices, positions, ranks
from .figures.drawing import Figure
from .figures.forest import Row, forest
from .figures.naming import Language, Names
from .tables import Table
from .words import whole

WIDE, PHONE = 720.0, 344.0
"""Widths in px of the two settings of each figure."""
Drawn = Callable[[float], Figure]
"""A figure, to be set in a width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionFrames:
    """One criterion of one domain, as it is shown."""

    analysis: CriterionAnalysis
    diverging: Drawn
    full: Drawn
    means: Drawn
    contrasts: Drawn | None
    wins: Drawn | None
    ranks: Drawn | None
    heat: Drawn
    tables: dict[str, Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFrames:
    """One domain, as it is shown."""

    results: DomainResults
    criteria: tuple[CriterionFrames, ...]
    positions: Drawn | None
    choices: tuple[tuple[str, Drawn, Table], ...]
    """Criteria without an order: id, bars, counts."""
    tables: dict[str, Table]


def names_of(about: About, language: Language) -> Names:
    """The names of a study in one language."""

    def called(of: Iterable[Named]) -> dict[str, str]:
        return {one.id: one.ko if language == "ko" else one.en for one in of}

    return Names(
        language=language,
        models=called(about.models),
        criteria=called(about.criteria),
        prompts=called(about.prompts),
        focus=about.plan.focus,
        photograph=about.plan.photograph,
        answers={one.id: one.labels_ko if language == "ko" else one.labels_en for one in about.criteria},
    )


def frames(results: StudyResults, names: Names) -> tuple[DomainFrames, ...]:
    """Every domain with answers."""
    return tuple(_domain(one, results, names) for one in results.domains if one.analysis is not None or one.choices)


def _domain(domain: DomainResults, results: StudyResults, names: Names) -> DomainFrames:
    analysis, stem = domain.analysis, domain.domain
    made = {"agreement": tables.agreement(domain, names, stem), "metrics": tables.metrics(domain, names, stem)}
    shown = analysis.positions if analysis else ()
    return DomainFrames(
        results=domain,
        criteria=tuple(_criterion(one, domain, results, names) for one in (analysis.criteria if analysis else ())),
        positions=(
            lambda wide: positions.position_lines(shown, [c for c in domain.criteria if any(p.criterion == c for p in shown)], names, wide, f"{stem}-positions")
        )
        if shown
        else None,
        choices=tuple(_choice(domain, results.about.criterion(criterion), names) for criterion in dict.fromkeys(one.criterion for one in domain.choices)),
        tables={key: table for key, table in made.items() if table is not None},
    )


def _choice(domain: DomainResults, criterion: Named, names: Names) -> tuple[str, Drawn, Table]:
    scores = [one for one in domain.choices if one.criterion == criterion.id]
    stem, made = f"{domain.domain}-{criterion.id}", tables.scores if criterion.ordered else tables.choices
    return criterion.id, lambda wide: bars.full(scores, names, wide, f"{stem}-full", ordered=criterion.ordered), made(scores, criterion.id, names, stem)


def _criterion(one: CriterionAnalysis, domain: DomainResults, results: StudyResults, names: Names) -> CriterionFrames:
    assert domain.analysis is not None
    analysis, inference, plan = domain.analysis, domain.inference, results.about.plan
    stem = f"{domain.domain}-{one.criterion}"
    scores = [s for s in analysis.scores if s.criterion == one.criterion]
    cells = [c for c in analysis.cells if c.criterion == one.criterion]
    models = analysis.models
    rows = [
        Row(model=m.model, words="", value=m.estimate.value, low=m.estimate.low, high=m.estimate.high, written=whole(m.estimate))
        for m in one.means
        if m.inference == inference
    ]
    gaps = _gaps(one, inference, names)
    ranked = [r for r in one.ranks if r.inference == inference and r.shares]
    duels = [d for d in one.duels if d.inference == inference]
    made = {
        "scores": tables.scores(scores, one.criterion, names, stem),
        "contrasts": tables.contrasts(one, inference, plan.alpha, names, stem),
        "spreads": tables.spreads(one, names, stem),
        "equivalence": tables.equivalence(one, inference, names, stem),
        "left_out": tables.left_out(one, inference, names, stem),
        "sensitivity": tables.sensitivity(one, domain.sensitivities, inference, names, stem),
    }
    band = plan.margin if plan.photograph is not None else 0.0
    means = names.say("평균 점수와 95% 신뢰구간", "Mean score with 95 % intervals")
    gap = names.say("점수 차와 95% 신뢰구간", "Difference in points with 95 % intervals")
    return CriterionFrames(
        analysis=one,
        diverging=lambda wide: bars.diverging(scores, names, wide, f"{stem}-diverging"),
        full=lambda wide: bars.full(scores, names, wide, f"{stem}-full"),
        means=lambda wide: forest(rows, names, wide, f"{stem}-means", means, ends=(1, 5)),
        contrasts=(lambda wide: forest(gaps, names, wide, f"{stem}-contrasts", gap, band=band)) if gaps else None,
        wins=(lambda wide: matrices.win_matrix(duels, models, names, wide, f"{stem}-wins")) if any(d.n for d in duels) else None,
        ranks=(lambda wide: ranks.rank_bars(ranked, names, wide, f"{stem}-ranks")) if len(ranked) > 1 else None,
        heat=lambda wide: matrices.heat_map(cells, _seen(domain.prompts, cells), models, names, wide, f"{stem}-prompts", one.reversed),
        tables={key: table for key, table in made.items() if table is not None and table.rows},
    )


def _seen(prompts: tuple[str, ...], cells: list[Cell]) -> list[str]:
    there = {one.prompt for one in cells}
    return [one for one in prompts if one in there]


def _gaps(one: CriterionAnalysis, inference: Inference, names: Names) -> list[Row]:
    focus = names.focus
    return [
        Row(
            model=c.second if c.first == focus else c.first,
            words="" if c.first == focus else f"{names.model(c.first)} − {names.model(c.second)}",
            value=c.estimate.value,
            low=c.estimate.low,
            high=c.estimate.high,
            written=whole(c.estimate, sign=True),
        )
        for c in one.contrasts
        if c.inference == inference
    ]


def every_figure(found: tuple[DomainFrames, ...]) -> Iterator[Drawn]:
    """For the folder of figures."""
    for domain in found:
        for one in domain.criteria:
            yield from (drawn for drawn in (one.diverging, one.full, one.means, one.contrasts, one.wins, one.ranks, one.heat) if drawn is not None)
        if domain.positions is not None:
            yield domain.positions
        yield from (drawn for _, drawn, _ in domain.choices)


def every_table(found: tuple[DomainFrames, ...]) -> Iterator[Table]:
    """For the folder of tables."""
    for domain in found:
        yield from domain.tables.values()
        yield from (table for _, _, table in domain.choices)
        for one in domain.criteria:
            yield from one.tables.values()
