"""What an analysis answers with: a number with its interval, or the reason why there is none."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Literal

Inference = Literal["these prompts", "prompts like these"]
"""For whom a claim holds: for the prompts of the study, taken as fixed, or for all prompts of which they are a sample."""
INFERENCES: tuple[Inference, ...] = ("these prompts", "prompts like these")


class Why(StrEnum):
    """Why a number is not given. The value is the code in results.json; the sentences are for the report."""

    GIVEN = ""
    NO_RATINGS = "no_ratings"
    ONE_RATER = "one_rater"
    ONE_PROMPT = "one_prompt"
    ONE_MODEL = "one_model"
    FEW_PROMPTS = "few_prompts"
    FEW_RATERS = "few_raters"
    NO_VARIATION = "no_variation"
    NO_PAIRS = "no_pairs"
    SEEN_ONCE = "seen_once"
    SEPARATED = "separated"
    NO_OPTIMUM = "no_optimum"
    TOO_LARGE = "too_large"
    UNSTABLE = "unstable"

    @property
    def english(self) -> str:
        """A sentence for the report."""
        return _SENTENCES[self][0]

    @property
    def korean(self) -> str:
        """The same in Korean."""
        return _SENTENCES[self][1]


_SENTENCES: dict[Why, tuple[str, str]] = {
    Why.GIVEN: ("", ""),
    Why.NO_RATINGS: ("There are no ratings.", "평가가 없습니다."),
    Why.ONE_RATER: ("One rater alone says nothing about other raters.", "평가자가 한 명뿐이어서 다른 평가자에 대해 알 수 없습니다."),
    Why.ONE_PROMPT: ("One prompt alone says nothing about other prompts.", "프롬프트가 하나뿐이어서 다른 프롬프트에 대해 알 수 없습니다."),
    Why.ONE_MODEL: ("There is nothing to compare with.", "비교할 대상이 없습니다."),
    Why.FEW_PROMPTS: ("Too few prompts for a claim about prompts like these.", "프롬프트가 너무 적어 비슷한 다른 프롬프트로 일반화하지 않습니다."),
    Why.FEW_RATERS: ("Too few raters for a claim about people like these.", "평가자가 너무 적어 다른 사람들로 일반화하지 않습니다."),
    Why.NO_VARIATION: ("All values are the same, so their spread cannot be estimated.", "값이 모두 같아 흩어진 정도를 추정할 수 없습니다."),
    Why.NO_PAIRS: ("No rater saw both for the same prompt.", "같은 프롬프트에서 두 모델을 모두 본 평가자가 없습니다."),
    Why.SEEN_ONCE: ("No picture was rated by two raters.", "두 명 이상이 평가한 그림이 없습니다."),
    Why.SEPARATED: ("The ratings do not overlap, so the estimate runs off to infinity.", "평가가 전혀 겹치지 않아 추정값이 무한대로 발산합니다."),
    Why.NO_OPTIMUM: ("The search for the best fit did not end.", "최적값을 찾는 계산이 끝나지 않았습니다."),
    Why.TOO_LARGE: ("Too many raters and prompts for this model on one machine.", "평가자와 프롬프트가 너무 많아 이 모형을 한 컴퓨터에서 맞출 수 없습니다."),
    Why.UNSTABLE: ("The ratings leave the spread of the estimate undetermined.", "주어진 평가로는 추정값의 정밀도를 정할 수 없습니다."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, its interval and its test. None is "not given", and `why` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    """low to high holds the truth in 95 of 100 studies, unless the field says otherwise."""
    se: float | None = None
    df: float | None = None
    """Degrees of freedom of the t that made the interval."""
    p: float | None = None
    """Two-sided, of no difference."""
    why: Why = Why.GIVEN

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "se", "df", "p"):
            number = getattr(self, name)
            if number is not None and not isfinite(number):
                raise ValueError(f"{name} is {number}: what cannot be estimated is None, with a reason in `why`")


def nothing(why: Why, value: float | None = None) -> Estimate:
    """No interval, and why; perhaps a value."""
    return Estimate(value=value, why=why)
