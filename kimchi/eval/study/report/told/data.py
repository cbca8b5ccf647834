"""What the data are: the head of the page, the audit, the exclusions."""

# ruff: noqa: E501  (sentences are data: broken up they could not be read aloud)

from typing import Any

from ...results import StudyResults
from ..figures.naming import Names
from ..tables import Table
from ..words import number, percent


def head(results: StudyResults, names: Names) -> dict[str, Any]:
    """Under the title."""
    audit, about, say = results.audit, results.about, names.say
    n = audit.raters - len(results.exclusions.excluded)
    lead = say(
        f"{audit.raters:,}명이 모델을 모르는 채 그림을 5점 척도로 평가했습니다. 프롬프트 {len(about.prompts)}개, 조건 {len(about.models)}가지, 응답 {audit.answered:,}건입니다.",
        f"{audit.raters:,} people rated pictures on five-point scales without knowing the model: {len(about.prompts)} prompts, {len(about.models)} conditions, {audit.answered:,} answers.",
    )
    cards = (
        (f"{n:,}", say("분석한 평가자", "raters analysed")),
        (f"{len(about.prompts):,}", say("프롬프트", "prompts")),
        (f"{len(about.models):,}", say("비교한 조건", "conditions")),
        (f"{audit.answered:,}", say("응답", "answers")),
        (percent(audit.unable / audit.answered if audit.answered else None, 1), say("판단 불가", "cannot judge")),
    )
    notice = ""
    if audit.raters and not n:
        notice = say(
            "제외 규칙이 모든 평가자를 제외했습니다. 아래에는 본 분석을 실을 수 없습니다.",
            "The exclusions left out every rater, so there is no main analysis below.",
        )
    return {"lead": lead, "cards": cards, "notice": notice}


def data(results: StudyResults, names: Names) -> dict[str, Any]:
    """The audit."""
    audit, say = results.audit, names.say
    chain, seen = audit.chain, audit.coverage
    places = ", ".join(f"{say(*_PLACES.get(state, (state, state)))} {count:,}" for state, count in sorted(audit.places.items()) if count)
    checks = [
        _check(
            not chain.broken,
            say("해시 사슬", "Hash chain"),
            say(
                f"기록 {chain.links:,}건이 쓰인 그대로입니다(철회로 지운 {chain.erased:,}건 포함).",
                f"{chain.links:,} records are as they were written ({chain.erased:,} erased by withdrawal).",
            )
            if not chain.broken
            else say("기록이 바뀌었습니다: ", "Records were changed: ") + "; ".join(chain.broken[:5]),
        ),
        _check(
            True,
            say("잠금", "Lock"),
            say("프로토콜, 보여 준 그림, 분석 설정이 잠근 때와 같습니다.", "Protocol, served pictures and analysis are as they were locked."),
        ),
        _check(
            bool(audit.raters),
            say("평가자", "Raters"),
            say(
                f"{audit.raters:,}명 참여, {audit.complete:,}명 완료. 자리: {places or '없음'}.",
                f"{audit.raters:,} took part, {audit.complete:,} finished. Places: {places or 'none'}.",
            ),
        ),
        _check(
            audit.given == audit.asked,
            say("응답", "Answers"),
            say(
                f"물은 {audit.asked:,}건 가운데 {audit.given:,}건에 답했습니다({percent(audit.given / audit.asked if audit.asked else None, 1)}). 분석 대상은 {audit.answered:,}건이고 그중 {audit.unable:,}건이 판단 불가입니다.",
                f"{audit.given:,} of {audit.asked:,} asked ({percent(audit.given / audit.asked if audit.asked else None, 1)}). {audit.answered:,} are analysed, {audit.unable:,} of them “cannot judge”.",
            ),
        ),
        _check(
            not seen.unseen,
            say("그림마다 평가자", "Raters a picture"),
            say(
                f"그림 {seen.pictures:,}장, 장마다 {seen.least:,}~{seen.most:,}명(중앙값 {seen.median:g}). 아무도 보지 않은 그림 {seen.unseen:,}장.",
                f"{seen.pictures:,} pictures, {seen.least:,} to {seen.most:,} raters each (median {seen.median:g}); {seen.unseen:,} seen by nobody.",
            ),
        ),
    ]
    if audit.doubled:
        checks.append(
            _check(
                False,
                say("중복", "Doubled"),
                say(f"같은 그림을 두 번 평가한 {audit.doubled:,}건을 뺐습니다.", f"{audit.doubled:,} answers to a picture rated before were left out."),
            )
        )
    if audit.after_unblinding:
        late = audit.after_unblinding
        said = say(
            f"어느 그림이 어느 모델의 것인지 확인한 뒤에 받은 응답이 {late:,}건 있습니다.",
            f"{late:,} answers came after someone had looked at which picture is whose.",
        )
        checks.append(_check(False, say("가림", "Blinding"), said))
    if audit.minutes:
        low, middle, high = audit.minutes
        checks.append(
            _check(
                True,
                say("걸린 시간", "Time"),
                say(
                    f"한 사람당 중앙값 {middle:.1f}분(사분위 {low:.1f}~{high:.1f}분, 쉰 시간 제외), 그림 한 장에 중앙값 {number(audit.median_s, 1)}초.",
                    f"Median {middle:.1f} minutes a person (quartiles {low:.1f} to {high:.1f}, breaks left out), {number(audit.median_s, 1)} s a picture.",
                ),
            )
        )
    return {"checks": checks, "balance": _balance(results, names), "balance_words": _balance_words(results, names)}


_PLACES = {
    "free": ("빈자리", "free"),
    "claimed": ("진행 중", "in progress"),
    "done": ("완료", "finished"),
    "expired": ("중단", "abandoned"),
    "withdrawn": ("철회", "withdrawn"),
}


def _check(good: bool, name: str, words: str) -> dict[str, Any]:
    return {"good": good, "name": name, "words": words}


def _balance(results: StudyResults, names: Names) -> Table:
    found = results.audit.balance
    places = max((len(row) for row in found.counts), default=0)
    return Table(
        name="balance",
        caption=names.say("모델이 제시된 순서(횟수)", "How often each model stood at each position"),
        header=(names.say("모델", "Model"), *(names.say(f"{k + 1}번째", f"{k + 1}") for k in range(places))),
        rows=tuple((names.model(model), *(f"{n:,}" for n in row)) for model, row in zip(found.models, found.counts, strict=True) if sum(row)),
    )


def _balance_words(results: StudyResults, names: Names) -> str:
    worst = results.audit.balance.worst
    return names.say(
        f"모델마다 각 순서에 나온 횟수입니다. 평균에서 가장 멀리 벗어난 칸의 차이는 {percent(worst, 1)}입니다.",
        f"How often each model stood at each position. The cell farthest from its position’s mean is off by {percent(worst, 1)}.",
    )


def excluded(results: StudyResults, names: Names) -> dict[str, Any]:
    """What the rules did."""
    found, say = results.exclusions, names.say
    rules = found.rules
    said = {
        "gold": (
            say("오답 문장", "Wrong text"),
            say(
                f"다른 문장을 붙인 그림에 {rules.gold_tolerance}점보다 높게 답한 일이 {rules.gold_failures}번 이상",
                f"agrees above {rules.gold_tolerance} with a text that is not the picture’s, {rules.gold_failures} or more times",
            ),
            rules.gold_tolerance,
        ),
        "trap": (
            say("지시 문항", "Instructed answer"),
            say(f"지시와 다른 답이 {rules.trap_failures}번 이상", f"another answer than the instructed one, {rules.trap_failures} or more times"),
            rules.trap_failures,
        ),
        "repeat": (
            say("반복 문항", "Repeats"),
            say(
                f"같은 그림에 두 번 답한 값의 차이가 평균 {rules.repeat_distance}점 초과",
                f"two answers to the same picture differ by more than {rules.repeat_distance} on average",
            ),
            rules.repeat_distance,
        ),
        "speed": (
            say("응답 시간", "Response time"),
            say(
                f"{(rules.floor_ms or 0) / 1000:g}초보다 빠른 응답이 {percent(rules.floor_share)} 초과",
                f"more than {percent(rules.floor_share)} of answers faster than {(rules.floor_ms or 0) / 1000:g} s",
            ),
            rules.floor_ms,
        ),
        "line": (
            say("한 줄 응답", "Straight-lining"),
            say(f"응답의 분산이 {rules.least_variance} 미만", f"variance of all answers below {rules.least_variance}"),
            rules.least_variance,
        ),
    }
    off = say("사용하지 않음", "not used")
    rows = tuple(
        (said[one.rule][0], said[one.rule][1] if said[one.rule][2] is not None else off, f"{one.checked:,}", f"{len(one.failed):,}") for one in found.outcomes
    )
    count, everyone = len(found.excluded), results.audit.raters
    return {
        "exclusions": Table(
            name="exclusions",
            caption=say("사전 등록한 제외 규칙", "Exclusions, as registered"),
            header=(say("규칙", "Rule"), say("내용", "What it says"), say("확인한 평가자", "Raters checked"), say("어긋난 평가자", "Raters failing")),
            rows=rows,
            words=(1,),
        ),
        "excluded_words": say(
            f"평가자 {everyone:,}명 가운데 {count:,}명을 본 분석에서 제외했습니다.", f"{count:,} of {everyone:,} raters are left out of the main analysis."
        ),
        "repeat_words": say("같은 그림에 두 번 답한 기록이 없습니다.", "No picture was rated twice by one person.")
        if not found.repeat_pairs
        else say(
            f"같은 사람이 같은 그림에 두 번 답한 {found.repeat_pairs:,}건 가운데 {percent(found.repeat_same)}는 두 답이 같았고, {percent(found.repeat_near)}는 1점 이내로 달랐습니다.",
            f"Of {found.repeat_pairs:,} answers given twice by one person, {percent(found.repeat_same)} were the same and {percent(found.repeat_near)} within one point.",
        ),
    }
