"""What was found, for whom it holds, and why what is absent is absent."""

# ruff: noqa: E501  (sentences are data: broken up they could not be read aloud)

from typing import Any

from kimchi.eval.statistics import CriterionAnalysis, Plan

from ...results import DomainResults
from ..figures.naming import Names
from ..words import because, number, percent


def claim(domain: DomainResults, plan: Plan, names: Names) -> dict[str, Any]:
    """For whom the numbers speak, and why not wider."""
    say = names.say
    if domain.inference == "prompts like these":
        name = say("이 프롬프트와 비슷한 프롬프트 전반", "prompts like these")
        words = say(
            "프롬프트와 평가자를 모두 표본으로 다루었습니다. 신뢰구간과 검정은 이 연구에 쓰지 않은 비슷한 프롬프트와 비슷한 사람들에게도 적용됩니다.",
            "Prompts and raters are both treated as samples: intervals and tests hold for similar prompts and similar people that were not in the study.",
        )
        return {"wide": True, "name": name, "words": words}
    if domain.analysis is None:
        words = say(
            "신뢰구간도 검정도 없으므로, 받은 응답을 있는 그대로 보여 줄 뿐 다른 프롬프트나 사람에 대해서는 말하지 않습니다.",
            "There are no intervals and no tests: the answers are shown as they came, and nothing is claimed beyond them.",
        )
        return {"wide": False, "name": say("받은 응답", "the answers given"), "words": words}
    why = next((one.claim.why for one in domain.analysis.criteria if one.claim.inference == "these prompts"), None)
    reason = because(why, names) if why else ""
    words = say(
        f"{reason} 신뢰구간과 검정은 이 연구에 쓴 바로 그 프롬프트에만 적용됩니다. 비슷한 다른 프롬프트에도 그렇다고 말하려면 프롬프트 {plan.least_prompts}개, 평가자 {plan.least_raters}명 이상이 필요하므로, 그 주장은 싣지 않았습니다.",
        f"{reason} Intervals and tests hold for exactly the prompts of this study. A claim about similar prompts needs {plan.least_prompts} prompts and {plan.least_raters} raters or more, and is withheld.",
    )
    return {"wide": False, "name": say("이 연구에 쓴 프롬프트", "these prompts only"), "words": words.strip()}


def detectable(domain: DomainResults, plan: Plan, names: Names) -> str:
    """So that a null is readable."""
    if domain.analysis is None:
        return ""
    found = [c.detectable for one in domain.analysis.criteria for c in one.contrasts if c.inference == domain.inference and c.detectable is not None]
    if not found:
        return ""
    low, high = number(min(found)), number(max(found))
    span_ko, span_en = (low, low) if low == high else (f"{low}~{high}", f"{low} to {high}")
    return names.say(
        f"이 연구가 {percent(plan.power)}의 검정력으로 찾아낼 수 있는 가장 작은 차이는 {span_ko}점입니다. ‘차이를 확인하지 못함’은 차이가 없다는 뜻이 아니라, 그보다 작은 차이는 이 연구로 가려낼 수 없다는 뜻입니다.",
        f"The smallest true difference that this study finds with a power of {percent(plan.power)} is {span_en} points. “No difference shown” does not mean that there is none: smaller ones are beyond this study.",
    )


def no_verdicts(domain: DomainResults, names: Names) -> str:
    """Why there is no table of findings."""
    if len({one.model for one in domain.choices}) == 1:
        return names.say(
            "조건이 하나뿐이어서 비교할 것이 없습니다. 응답 분포만 보고합니다.",
            "There is one condition only and nothing to compare; the answers are described.",
        )
    return names.say("순서가 있는 척도의 응답이 없어 비율만 보고합니다.", "There are no answers on an ordered scale; only shares are reported.")


def domain_lead(domain: DomainResults, names: Names) -> str:
    """The first sentence of a domain."""
    if domain.analysis is None:
        return names.say(f"프롬프트 {len(domain.prompts)}개.", f"{len(domain.prompts)} prompts.")
    found = domain.analysis
    return names.say(
        f"프롬프트 {found.prompts:,}개, 평가자 {found.raters:,}명, 응답 {found.n:,}건(판단 불가 {found.missing:,}건).",
        f"{found.prompts:,} prompts, {found.raters:,} raters, {found.n:,} answers ({found.missing:,} “cannot judge”).",
    )


def interval_words(domain: DomainResults, names: Names) -> str:
    """Under the means."""
    if domain.inference == "prompts like these":
        return names.say("선은 평가자와 프롬프트를 함께 고려한(이원 군집) 95% 신뢰구간입니다.", "Lines are 95 % intervals, clustered by rater and by prompt.")
    return names.say("선은 이 프롬프트에 한해 평가자 군집을 고려한 95% 신뢰구간입니다.", "Lines are 95 % intervals for these prompts, clustered by rater.")


def rank_words(domain: DomainResults, names: Names) -> str:
    """Under the ranks."""
    who = names.say("평가자와 프롬프트를", "raters and prompts") if domain.inference == "prompts like these" else names.say("평가자를", "raters")
    return names.say(
        f"{who} 다시 뽑기를 되풀이했을 때 평균 점수로 그 순위에 오른 비율입니다.",
        f"Shares of bootstrap draws of {who} in which a model took each place by mean score.",
    )


def criterion_why(one: CriterionAnalysis, domain: DomainResults, names: Names) -> str:
    """What this criterion cannot tell."""
    if all(mean.estimate.value is None for mean in one.means):
        return names.say("모든 응답이 ‘판단 불가’여서 점수를 낼 수 없습니다.", "Every answer is “cannot judge”, so there are no scores.")
    whys = [mean.estimate.why for mean in one.means if mean.inference == domain.inference and mean.estimate.low is None and mean.estimate.why]
    if not whys:
        return ""
    return names.say("신뢰구간을 싣지 않은 까닭: ", "Why intervals are absent: ") + " ".join(because(why, names) for why in dict.fromkeys(whys))


def contrast_caption(plan: Plan, domain: DomainResults, names: Names) -> str:
    """Under the forest of differences."""
    focus = names.model(plan.focus)
    words = names.say(
        f"오른쪽일수록 {focus}의 점수가 높습니다. 같은 평가자가 같은 프롬프트에서 매긴 점수의 차이입니다.",
        f"Further right, {focus} scores higher. Differences are within rater and prompt.",
    )
    band = names.say(f" 옅은 띠는 동등성 한계(±{plan.margin:g}점)입니다.", f" The pale band is the equivalence margin (±{plan.margin:g} points).")
    return words + (band if plan.photograph is not None else "")


def mixed_words(one: CriterionAnalysis, domain: DomainResults, names: Names) -> str:
    """What the primary model is, or why it is absent."""
    say = names.say
    if domain.inference == "these prompts":
        return say(
            "순서형 로짓 혼합모형은 프롬프트를 표본으로 보는 모형이므로, 이 범위의 추론에는 쓰지 않았습니다.",
            "The ordinal mixed model treats prompts as a sample, so it is not used for this inference.",
        )
    if one.mixed.log_likelihood is None:
        return say("순서형 로짓 혼합모형을 적합하지 못했습니다. ", "The ordinal mixed model could not be fitted. ") + because(one.mixed.why, names)
    words = say(
        "오즈비는 순서형(누적) 로짓 혼합모형에서 나온 것으로, 평가자·프롬프트·프롬프트×모델·평가자×모델을 임의효과로 두었습니다. 1보다 크면 더 높은 점수를 받을 오즈가 그만큼 크다는 뜻입니다.",
        "Odds ratios come from a cumulative logit mixed model with random effects of rater, prompt, prompt × model and rater × model. Above 1, higher answers are that much more likely in odds.",
    )
    left = ", ".join(names.model(name) for name in one.mixed.left_out)
    gone = (
        say(f" 응답이 한쪽 끝에만 몰려 오즈비를 추정할 수 없는 조건: {left}.", f" Left out, since all of their answers lie at one end: {left}.") if left else ""
    )
    return words + gone + (" " + because(one.mixed.why, names) if one.mixed.why else "")


def rank_why(one: CriterionAnalysis, domain: DomainResults, names: Names) -> str:
    """Why there are no ranks."""
    why = next((rank.why for rank in one.ranks if rank.inference == domain.inference and rank.why), None)
    return because(why, names) if why and len(one.ranks) > 1 else ""


def heat_caption(one: CriterionAnalysis, names: Names) -> str:
    """Under the heat map."""
    words = names.say(
        "짙을수록 높은 평균입니다. 칸 위에 포인터를 올리면 프롬프트 전체와 응답 수가 보입니다.",
        "Darker is higher. Rest a pointer on a cell for the whole prompt and the number of answers.",
    )
    return words + (names.say(" 역문항이므로 방향을 맞춘 값입니다.", " Reversed item: values are turned.") if one.reversed else "")
