"""Answers => results: the audit, the exclusions, and each domain analysed by itself, as registered and with the rows changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kimchi.eval.statistics import Analysis, Inference, Plan, Ratings
from kimchi.eval.statistics import analyse as analyse_ratings
from kimchi.eval.statistics.cluster import contrasts
from kimchi.eval.statistics.descriptives import Score, scores

from .answers import Answers, ratings
from .audit import Audit
from .exclusions import exclude
from .results import About, DomainResults, Sensitivity, StudyResults, Variant


def compute(answers: Answers, about: About, audited: Audit, version: str) -> StudyResults:
    """Everything but the reading and writing of files. The same answers and protocol give the same results."""
    turned = tuple(one.id for one in about.criteria if one.reversed)
    exclusions = exclude(answers, about.rules, turned)
    out = [answers.raters.index(name) for name in exclusions.excluded]
    domains = tuple(_domain(answers, out, about, domain.id) for domain in about.domains)
    return StudyResults(version=version, about=about, audit=audited, exclusions=exclusions, domains=domains)


def _domain(answers: Answers, out: list[int], about: About, domain: str) -> DomainResults:
    facts = next(one for one in about.domains if one.id == domain)
    ordered = tuple(one for one in facts.criteria if about.criterion(one).ordered)
    others = tuple(one for one in facts.criteria if one not in ordered)
    prompts = about.prompts_of(domain)
    kept = answers.without(out)
    table = ratings(kept, prompts, ordered, facts.models)
    # With one condition there is nothing to compare: its answers are described, and that is all.
    analysis = analyse_ratings(table, plan_of(about, table)) if len(table) and len(table.models) > 1 else None
    inference: Inference = _inference(analysis)
    return DomainResults(
        domain=domain,
        prompts=prompts,
        criteria=facts.criteria,
        analysis=analysis,
        choices=_described(table if analysis is None else None) + _described(ratings(kept, prompts, others, facts.models)),
        inference=inference,
        sensitivities=_sensitivities(answers, out, about, table, inference) if analysis is not None else (),
    )


def _described(table: Ratings | None) -> tuple[Score, ...]:
    return scores(table) if table is not None and len(table) else ()


def plan_of(about: About, table: Ratings) -> Plan:
    """The registered plan, with only what this domain has: its conditions, its reversed criteria, its scores."""
    plan, there = about.plan, set(table.models)
    return replace(
        plan,
        focus=plan.focus if plan.focus in there else table.models[0],
        photograph=plan.photograph if plan.photograph in there else None,
        contrasts=tuple(pair for pair in plan.contrasts if set(pair) <= there),
        reversed=tuple(one.id for one in about.criteria if one.reversed and one.id in table.criteria),
        metrics=_metrics(plan.metrics, table),
    )


def _metrics(given: Mapping[str, Mapping[tuple[str, str], float]], table: Ratings) -> dict[str, dict[tuple[str, str], float]]:
    prompts, models = set(table.prompts), set(table.models)
    found = {name: {(p, m): score for (p, m), score in known.items() if p in prompts and m in models} for name, known in given.items()}
    return {name: known for name, known in found.items() if known}


def _inference(analysis: Analysis | None) -> Inference:
    """One for the whole domain: the narrowest that any of its criteria makes."""
    made = {one.claim.inference for one in analysis.criteria} if analysis is not None else {"these prompts"}
    return "prompts like these" if made == {"prompts like these"} else "these prompts"


def _sensitivities(answers: Answers, out: list[int], about: About, table: Ratings, inference: Inference) -> tuple[Sensitivity, ...]:
    kept = answers.without(out)
    late_N = _late(kept)
    variants: list[tuple[Variant, Answers]] = [
        ("all_raters", answers),
        ("first_half", kept.where(~late_N)),
        ("second_half", kept.where(late_N)),
        ("first_picture", kept.where(kept.position == 1)),
    ]
    return tuple(_again(name, rows, about, table, inference) for name, rows in variants if name != "all_raters" or out)


def _again(variant: Variant, rows: Answers, about: About, table: Ratings, inference: Inference) -> Sensitivity:
    found = ratings(rows, table.prompts, table.criteria, table.models)
    plan = plan_of(about, table)
    turned = found.turned(plan.reversed)
    made = [one for criterion in table.criteria for one in contrasts(turned, criterion, plan)]
    return Sensitivity(
        variant=variant,
        raters=int(np.unique(found.rater).size),
        n=len(found),
        contrasts=tuple(one for one in made if one.inference == inference),
    )


def _late(answers: Answers) -> np.ndarray:
    """Whether an answer belongs to the second half of its rater's screens."""
    main = answers.of("main")
    last_R, first_R = np.zeros(max(1, len(answers.raters)), dtype=np.int64), np.full(max(1, len(answers.raters)), 1 << 40)
    np.maximum.at(last_R, main.rater, main.seq)
    np.minimum.at(first_R, main.rater, main.seq)
    return answers.seq > ((last_R + first_R) / 2)[answers.rater]


def places(names: Sequence[str], cells: Sequence[str]) -> np.ndarray:
    """Cells => where each stands among the names; -1 for none of them."""
    there = {name: k for k, name in enumerate(names)}
    codes = {cell: there.get(cell, -1) for cell in dict.fromkeys(cells)}
    return np.fromiter(map(codes.__getitem__, cells), dtype=np.int64, count=len(cells))
