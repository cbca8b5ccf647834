"""Does one prompt make the result? Every contrast again without each prompt. On means only: the mixed model is fitted once."""

from dataclasses import dataclass, replace

import numpy as np

from .cluster import Contrast, clustered, differences, withheld
from .estimates import Estimate, Inference, Why
from .plan import Plan
from .ratings import Ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveOneOut:
    """One contrast without each prompt in turn."""

    first: str
    second: str
    criterion: str
    inference: Inference
    lowest: float | None = None
    """The least difference in points, and the prompt whose absence gives it."""
    lowest_without: str | None = None
    highest: float | None = None
    highest_without: str | None = None
    sign_changes: bool | None = None
    """With some prompt left out, the other model is ahead."""
    verdict_changes: int | None = None
    """How many prompts turn a significant difference into none, or none into one (uncorrected p)."""
    why: Why = Why.GIVEN


def leave_one_prompt_out(ratings: Ratings, contrast: Contrast, plan: Plan) -> LeaveOneOut:
    """A paired contrast's stability; of an unpaired one, or of one with fewer than two prompts, nothing is said."""
    sample, paired = differences(ratings, contrast.criterion, (contrast.first, contrast.second))
    prompts = np.unique(sample.prompt)
    made = LeaveOneOut(first=contrast.first, second=contrast.second, criterion=contrast.criterion, inference=contrast.inference)
    if not paired or prompts.size < 2:
        return replace(made, why=Why.ONE_PROMPT if paired else Why.NO_PAIRS)
    left = [sample.without(int(prompt)) for prompt in prompts]
    found = [withheld(clustered(one, contrast.inference, plan.alpha), one, contrast.inference, plan) for one in left]
    values = np.array([one.value for one in found], dtype=float)
    whole = contrast.estimate.value or 0.0
    return replace(
        made,
        lowest=float(values.min()),
        lowest_without=ratings.prompts[prompts[values.argmin()]],
        highest=float(values.max()),
        highest_without=ratings.prompts[prompts[values.argmax()]],
        sign_changes=bool((np.sign(values) == -np.sign(whole)).any()) if whole else None,
        verdict_changes=_changes(contrast.estimate, found, plan.alpha),
    )


def _changes(whole: Estimate, found: list[Estimate], alpha: float) -> int | None:
    if whole.p is None or any(one.p is None for one in found):
        return None
    return sum(((one.p or 0.0) < alpha) != (whole.p < alpha) for one in found)
