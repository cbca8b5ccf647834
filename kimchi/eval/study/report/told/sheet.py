"""The reporting sheet, the wording, and what the numbers mean."""

# ruff: noqa: E501  (sentences are data: broken up they could not be read aloud)

from ...results import DomainResults, Named, StudyResults
from ..figures.naming import Names
from ..tables import Table
from ..words import number, percent

_SHEET = (
    ("recruitment", "모집 방법", "Recruitment"),
    ("payment", "보상", "Payment"),
    ("qualification", "참여 자격", "Qualification"),
    ("institution", "연구 기관", "Institution"),
    ("screenshots", "화면 갈무리", "Screenshots"),
)


def sheet(results: StudyResults, names: Names) -> list[tuple[str, str, bool]]:
    """Name, words, and whether the researchers left it blank."""
    audit, about, say = results.audit, results.about, names.say
    given = [(say(ko, en), about.sheet.get(key, "")) for key, ko, en in _SHEET]
    per_picture = audit.coverage
    alphas = [
        f"{names.criterion(one.criterion)} {number(one.agreement[0].alpha.value)}{_of(domain, results, names)}"
        for domain in results.domains
        if domain.analysis
        for one in domain.analysis.criteria
    ]
    minutes = audit.minutes
    facts = [
        (
            say("평가자 수", "Raters"),
            say(
                f"{audit.raters:,}명 참여, {len(results.exclusions.excluded):,}명 제외",
                f"{audit.raters:,} took part, {len(results.exclusions.excluded):,} excluded",
            ),
        ),
        (
            say("그림마다 평가자 수", "Raters a picture"),
            say(
                f"{per_picture.least:,}~{per_picture.most:,}명(중앙값 {per_picture.median:g})",
                f"{per_picture.least:,} to {per_picture.most:,} (median {per_picture.median:g})",
            ),
        ),
        (
            say("그림 수", "Pictures"),
            say(f"{per_picture.pictures:,}장 (프롬프트 {len(about.prompts):,}개)", f"{per_picture.pictures:,} ({len(about.prompts):,} prompts)"),
        ),
        (say("설계", "Design"), _design(about.mode, names)),
        (say("척도", "Scale"), " · ".join(_scale(about.criteria[0], names)) if about.criteria else ""),
        (say("걸린 시간", "Time"), "" if minutes is None else say(f"한 사람당 중앙값 {minutes[1]:.1f}분", f"median {minutes[1]:.1f} minutes a person")),
        (say("일치도 α(순서형)", "Agreement α (ordinal)"), ", ".join(alphas)),
        (say("윤리 심의", "Ethics"), about.ethics),
        (say("사전 등록", "Registration"), f"{about.locked_on} · SHA-256 {about.protocol_hash[:16]}…" if about.protocol_hash else ""),
        (say("안내 언어", "Languages"), ", ".join(about.languages)),
    ]
    blank = say("적지 않음", "not stated")
    return [(name, words or blank, not words) for name, words in (*given, *facts)]


def _of(domain: DomainResults, results: StudyResults, names: Names) -> str:
    facts = next(one for one in results.about.domains if one.id == domain.domain)
    return f" ({names.say(facts.ko, facts.en)})" if len(results.about.domains) > 1 else ""


def _design(mode: str, names: Names) -> str:
    who = {
        "complete": names.say("모든 평가자가 모든 프롬프트를 봄", "every rater sees every prompt"),
        "incomplete": names.say("평가자마다 균형 있게 나눈 일부 프롬프트를 봄", "each rater sees a balanced part of the prompts"),
    }
    rest = names.say("한 화면에 그림 하나, 순서는 라틴 방격, 조건은 가림", "one picture a screen, Latin-square order, conditions hidden")
    return f"{who.get(mode, mode)}; {rest}"


def _scale(one: Named, names: Names) -> list[str]:
    labels = one.labels_ko if names.language == "ko" else one.labels_en
    return [f"{k} {label}" for k, label in enumerate(labels, start=1)]


def wording(results: StudyResults, names: Names) -> Table:
    """Every question as raters read it."""
    rows = tuple(
        (
            names.say(one.ko, one.en),
            names.say(one.text_ko, one.text_en),
            names.say("역문항", "reversed") if one.reversed else "",
            ", ".join(names.say(d.ko, d.en) for d in results.about.domains if one.id in d.criteria),
        )
        for one in results.about.criteria
    )
    header = (names.say("기준", "Criterion"), names.say("문장", "Sentence"), names.say("방향", "Direction"), names.say("대상 프롬프트", "Asked of"))
    return Table(name="wording", caption=names.say("질문의 문구", "Wording"), header=header, rows=rows, words=(1, 2, 3))


def terms(results: StudyResults, names: Names) -> list[tuple[str, str]]:
    """What the numbers mean, for readers who do not compute them every day."""
    plan, say = results.about.plan, names.say
    return [
        (
            say("95% 신뢰구간", "95 % interval"),
            say(
                "같은 연구를 여러 번 되풀이하면 100번 가운데 95번쯤은 참값을 담는 구간입니다. 좁을수록 정밀합니다.",
                "In 95 of 100 repetitions of the study such an interval holds the truth. Narrower is more precise.",
            ),
        ),
        (
            say("이원 군집 표준오차", "Two-way clustering"),
            say(
                "한 사람의 응답끼리, 한 프롬프트의 응답끼리는 서로 닮습니다. 이를 무시하고 응답을 모두 독립으로 보면 차이가 없어도 절반 가까이 ‘유의하다’고 나옵니다(캐머런·겔바흐·밀러 2011).",
                "Answers of one person are alike, and so are answers about one prompt. Treated as independent, they make a null come out “significant” about half the time (Cameron, Gelbach and Miller 2011).",
            ),
        ),
        (
            say("순서형 로짓 혼합모형", "Ordinal mixed model"),
            say(
                "5점 척도를 거리가 아니라 순서로 다루는 주 분석입니다. 라플라스 근사 최대가능도로 적합하고, 자유도는 평가자 수와 프롬프트 수 가운데 작은 쪽에서 1을 뺀 값입니다.",
                "The primary analysis: the five points are an order, not distances. Maximum likelihood by Laplace’s approximation; degrees of freedom are the fewer of raters and prompts, less one.",
            ),
        ),
        (
            say("다중비교 보정(홀름)", "Holm’s correction"),
            say(
                "여러 비교를 한꺼번에 하면 우연히 유의해지기 쉽습니다. 기준마다 사전 등록한 비교들의 p값을 홀름 방법으로 보정했습니다.",
                "Many comparisons make chance findings likely. p values are corrected within each criterion, over the registered comparisons.",
            ),
        ),
        (
            say("클리프 δ", "Cliff’s δ"),
            say(
                "한쪽의 점수가 다른 쪽보다 높을 확률에서 낮을 확률을 뺀 값입니다. −1에서 1 사이이며 0이면 비깁니다.",
                "The chance that one score exceeds the other less the chance of the reverse; from −1 to 1, 0 is even.",
            ),
        ),
        (
            say("동등성 검정(TOST)", "Equivalence (TOST)"),
            say(
                f"차이가 ±{plan.margin:g}점 안에 든다는 것을 두 개의 단측 검정으로 보입니다. 90% 신뢰구간이 이 한계 안에 들어오는 것과 같습니다. 한계는 사전에 등록했습니다.",
                f"Two one-sided tests show that the difference lies within ±{plan.margin:g} points; the same as a 90 % interval inside the margin, which was registered.",
            ),
        ),
        (
            say("최소 탐지 차이(MDD)", "Minimum detectable difference"),
            say(
                f"이 연구의 정밀도로 {percent(plan.power)}의 확률로 찾아낼 수 있는 가장 작은 차이입니다.",
                f"The smallest true difference that this precision finds with a chance of {percent(plan.power)}.",
            ),
        ),
        (
            say("부트스트랩", "Bootstrap"),
            say(
                f"평가자와 프롬프트를 각각 복원 추출하는 교차 부트스트랩 {plan.draws:,}회(시드 {plan.seed})입니다.",
                f"Crossed bootstrap of raters and prompts, {plan.draws:,} draws, seed {plan.seed}.",
            ),
        ),
        (
            say("민감도 분석", "Sensitivity"),
            say(
                "제외 규칙을 쓰지 않은 결과, 응답의 앞 절반과 뒤 절반, 순서의 영향을 받지 않는 첫 그림만의 결과를 평균 비교로 다시 계산했습니다. 혼합모형은 한 번만 적합합니다.",
                "The comparison of means again with nobody excluded, on the first and second half of each session, and on first pictures only, which no order touches. The mixed model is fitted once.",
            ),
        ),
        (
            say("남은 단서", "What may still unblind"),
            say(
                "그림에는 모델 이름도 부가 정보도 없고 크기와 형식이 같습니다. 그러나 화풍이나 워터마크처럼 그림 자체에 보이는 단서는 없앨 수 없습니다.",
                "Pictures carry no names and no metadata and are alike in size and format. What is visible in them, a style or a watermark, cannot be removed.",
            ),
        ),
    ]
