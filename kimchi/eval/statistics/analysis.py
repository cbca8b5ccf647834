"""The whole analysis of a study in one call: the same ratings, plan and seed give the same answer."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

from kimchi.errors import DataError

from .agreement import Agreement, agreement
from .bootstrap import Draws, draw
from .cluster import Contrast, Mean, contrasts, means
from .descriptives import Cell, PositionScore, Score, cells, position_scores, scores
from .dominance import Delta, Duel, deltas, duels
from .equivalence import Equivalence, equivalences
from .estimates import INFERENCES, Inference, Why
from .metrics import Ceiling, MetricAgreement, ceiling, metric_agreements
from .mixed import MixedModel, mixed_model
from .plan import Plan
from .power import detected
from .ranks import Rank, ranks
from .ratings import MISSING, Ratings
from .reliability import Reliability, reliability
from .sensitivity import LeaveOneOut, leave_one_prompt_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """For whom the study may speak."""

    inference: Inference
    """The widest that the numbers of raters and prompts allow; everything wider is withheld."""
    why: Why
    """Why not wider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionAnalysis:
    """Everything about one criterion."""

    criterion: str
    reversed: bool
    """Its values were turned, 1 for 5, before anything below."""
    claim: Claim
    agreement: tuple[Agreement, ...]
    """All models together, then each."""
    reliability: Reliability
    means: tuple[Mean, ...]
    contrasts: tuple[Contrast, ...]
    mixed: MixedModel
    deltas: tuple[Delta, ...]
    duels: tuple[Duel, ...]
    ranks: tuple[Rank, ...]
    equivalences: tuple[Equivalence, ...]
    leave_one_out: tuple[LeaveOneOut, ...]
    metrics: tuple[MetricAgreement, ...]
    ceiling: Ceiling


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A study's results, ready for results.json and for the report."""

    raters: int
    prompts: int
    models: tuple[str, ...]
    n: int
    """Answers, "판단 불가" included."""
    missing: int
    plan: dict[str, Any]
    """As it was given; of the metrics only the names."""
    scores: tuple[Score, ...]
    """Of raw values, nothing turned: as the source study reports them."""
    cells: tuple[Cell, ...]
    positions: tuple[PositionScore, ...]
    criteria: tuple[CriterionAnalysis, ...]

    def as_json(self) -> str:
        """UTF-8 text with sorted keys and seven significant digits, so that the last bits of another machine's arithmetic do not show."""
        return json.dumps(_plain(asdict(self)), ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)


def analyse(ratings: Ratings, plan: Plan) -> Analysis:
    """Run everything on every criterion.

    What the ratings cannot tell is given as such, with the reason; nothing is raised for it.

    Raises:
        DataError: there is not one answer, or the plan names a model, criterion, prompt or number that does not fit the ratings.
    """
    plan.pairs(ratings)
    _check_metrics(ratings, plan)
    if not len(ratings):
        raise DataError("There are 0 ratings to analyse, and an analysis needs at least one. Collect some, or look whether the exclusions took them all.")
    turned = ratings.turned(plan.reversed)
    return Analysis(
        raters=len({*ratings.rater.tolist()}),
        prompts=len({*ratings.prompt.tolist()}),
        models=ratings.models,
        n=len(ratings),
        missing=int((ratings.value == MISSING).sum()),
        plan={name: value for name, value in asdict(replace(plan, metrics={})).items() if name != "metrics"} | {"metrics": sorted(plan.metrics)},
        scores=scores(ratings),
        cells=cells(ratings),
        positions=position_scores(ratings),
        criteria=tuple(_criterion(turned, criterion, plan) for criterion in ratings.criteria),
    )


def _criterion(ratings: Ratings, criterion: str, plan: Plan) -> CriterionAnalysis:
    drawn: list[tuple[Inference, Draws]] = [(inference, draw(ratings, criterion, inference, plan.draws, plan.seed)) for inference in INFERENCES]
    found = tuple(replace(one, detectable=detected(one.estimate, plan)) for one in contrasts(ratings, criterion, plan))
    return CriterionAnalysis(
        criterion=criterion,
        reversed=criterion in plan.reversed,
        claim=claim(ratings, criterion, plan),
        agreement=tuple(agreement(ratings, criterion, model, alpha=plan.alpha, seed=plan.seed) for model in (None, *ratings.models)),
        reliability=reliability(ratings, criterion, alpha=plan.alpha),
        means=means(ratings, criterion, plan),
        contrasts=found,
        mixed=mixed_model(ratings, criterion, plan),
        deltas=tuple(one for inference, draws in drawn for one in deltas(ratings, plan, inference, draws)),
        duels=tuple(one for inference, draws in drawn for one in duels(ratings, plan, inference, draws)),
        ranks=tuple(one for inference, draws in drawn for one in ranks(ratings, plan, inference, draws)),
        equivalences=equivalences(ratings, criterion, plan),
        leave_one_out=tuple(leave_one_prompt_out(ratings, one, plan) for one in found),
        metrics=metric_agreements(ratings, criterion, plan),
        ceiling=ceiling(ratings, criterion),
    )


def claim(ratings: Ratings, criterion: str, plan: Plan) -> Claim:
    """The widest inference that the plan's least numbers allow on this criterion."""
    known = ratings.of(criterion).known
    if len({*known.prompt.tolist()}) < plan.least_prompts:
        return Claim(inference="these prompts", why=Why.FEW_PROMPTS if len(known) else Why.NO_RATINGS)
    few = len({*known.rater.tolist()}) < plan.least_raters
    return Claim(inference="these prompts" if few else "prompts like these", why=Why.FEW_RATERS if few else Why.GIVEN)


def _check_metrics(ratings: Ratings, plan: Plan) -> None:
    for name, known in plan.metrics.items():
        stray = next(((prompt, model) for prompt, model in known if prompt not in ratings.prompts or model not in ratings.models), None)
        if stray:
            raise DataError(f"Metric '{name}' scores {stray[0]} / {stray[1]}, which is no picture of this study. Score its pictures, by its names.")
        if not all(map(isfinite, known.values())):
            raise DataError(f"Metric '{name}' has a score that is not a number. Leave such pictures out of its table.")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
