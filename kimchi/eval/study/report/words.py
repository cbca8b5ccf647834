"""Numbers and verdicts as a report says them, in both languages."""

from dataclasses import dataclass
from typing import Literal

from kimchi.eval.statistics import CriterionAnalysis, Estimate, Inference, Why
from kimchi.eval.statistics.cluster import Contrast
from kimchi.eval.statistics.mixed import MixedContrast

from .figures.naming import Names

Finding = Literal["ahead", "behind", "open", "withheld"]
NONE = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a contrast comes to."""

    finding: Finding
    words: str
    p: float | None
    """Corrected, of the test that decided."""
    by: Literal["mixed model", "means"]
    """Which test that was."""


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """With a true minus; a dash where there is none."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def interval(estimate: Estimate, digits: int = 2) -> str:
    """[low, high], or nothing."""
    return "" if estimate.low is None or estimate.high is None else f"[{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def whole(estimate: Estimate, digits: int = 2, sign: bool = False) -> str:
    """Value and interval."""
    return f"{number(estimate.value, digits, sign)} {interval(estimate, digits)}".strip()


def percent(share: float | None, digits: int = 0) -> str:
    """0 to 1 => percents."""
    return NONE if share is None else f"{share:.{digits}%}"


def probability(p: float | None) -> str:
    """A p value as journals print it."""
    return NONE if p is None else "<\u00a00.001" if p < 0.001 else f"{p:.3f}"


def because(why: Why, names: Names) -> str:
    """Why there is no number."""
    return names.say(why.korean, why.english)


def verdict(criterion: CriterionAnalysis, contrast: Contrast, inference: Inference, alpha: float, names: Names) -> Verdict:
    """The registered test: the mixed model's, corrected; where it gives none, or for these prompts alone, that of the means."""
    mixed = next((one for one in criterion.mixed.contrasts if (one.first, one.second) == (contrast.first, contrast.second)), None)
    by_model = inference == "prompts like these" and mixed is not None and mixed.p_holm is not None
    p, value = (mixed.p_holm, mixed.estimate.value) if by_model and mixed else (contrast.p_holm, contrast.estimate.value)
    finding: Finding = "withheld" if p is None else "open" if p >= alpha else "ahead" if (value or 0) > 0 else "behind"
    said = {
        # Of a reversed item "higher" would be read as more errors.
        "ahead": names.say("더 좋음", "better") if criterion.reversed else names.say("높음", "higher"),
        "behind": names.say("더 나쁨", "worse") if criterion.reversed else names.say("낮음", "lower"),
        "open": names.say("차이를 확인하지 못함", "no difference shown"),
        "withheld": names.say("판단 보류", "withheld"),
    }
    return Verdict(finding=finding, words=said[finding], p=p, by="mixed model" if by_model else "means")


def mixed_of(criterion: CriterionAnalysis, contrast: Contrast) -> MixedContrast | None:
    """The mixed model's contrast of the same two."""
    return next((one for one in criterion.mixed.contrasts if (one.first, one.second) == (contrast.first, contrast.second)), None)


def odds(one: MixedContrast | None) -> str:
    """The odds ratio with its interval."""
    from math import exp

    if one is None or one.odds_ratio is None:
        return NONE
    if one.estimate.low is None or one.estimate.high is None or max(abs(one.estimate.low), abs(one.estimate.high)) > 30:
        return number(one.odds_ratio)
    return f"{number(one.odds_ratio)} [{number(exp(one.estimate.low))}, {number(exp(one.estimate.high))}]"
