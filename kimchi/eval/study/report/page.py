"""The page: everything a study came to, in one language, in one file that needs no network."""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ..results import DomainResults, StudyResults
from .figures.drawing import STYLE, inline
from .figures.naming import Names
from .frames import PHONE, WIDE, CriterionFrames, DomainFrames, Drawn
from .glyphs import font_face
from .told import data, findings, sheet
from .words import probability, verdict, whole

_FONT = "/* the font */"
_MARKS = {"ahead": "▲", "behind": "▼", "open": "○", "withheld": "–"}


def page(results: StudyResults, names: Names, found: tuple[DomainFrames, ...]) -> str:
    """HTML; the same results give the same bytes."""
    environment = Environment(
        loader=PackageLoader("kimchi.eval.study.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["unbroken"] = unbroken
    values = _values(results, names, found)
    template = environment.get_template("report.html")
    # Set once with a mark where the font goes: only then is it known which signs it must hold.
    text = template.render(values | {"font_face": _FONT})
    return text.replace(_FONT, font_face(_shown(text)))


def unbroken(words: str) -> Markup:
    """An interval never breaks across lines: "0.35 [0.01, 0.69]" breaks before the bracket only."""
    return Markup(re.sub(r"\[[^\]]*\]", lambda m: f'<span style="white-space:nowrap">{m[0]}</span>', str(escape(words))))


def _shown(text: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]*>", "", text, flags=re.S)


def _draw(drawn: Drawn, wide: bool) -> Markup:
    return inline(drawn(WIDE if wide else PHONE))


def _values(results: StudyResults, names: Names, found: tuple[DomainFrames, ...]) -> dict[str, Any]:
    domains = [_domain(one, results, names) for one in found]
    title = names.say(results.about.title_ko, results.about.title_en)
    contents = [
        ("summary", names.say("한눈에 보기", "At a glance")),
        ("audit", names.say("자료 점검", "Data")),
        ("exclusions", names.say("제외 규칙", "Exclusions")),
    ]
    contents += [(one["id"], one["title"]) for one in domains]
    contents += [("sheet", names.say("보고 양식", "Reporting sheet")), ("methods", names.say("읽는 법과 방법", "Methods"))]
    return {
        "language": names.language,
        "say": names.say,
        "draw": _draw,
        "mark": _MARKS.__getitem__,
        "title": title,
        "results": results,
        "contents": contents,
        "domains": domains,
        "figure_style": f".figure {{ {STYLE} }}",
        **data.head(results, names),
        **data.data(results, names),
        **data.excluded(results, names),
        "sheet": sheet.sheet(results, names),
        "wording": sheet.wording(results, names),
        "terms": sheet.terms(results, names),
    }


def _domain(one: DomainFrames, results: StudyResults, names: Names) -> dict[str, Any]:
    domain, about = one.results, results.about
    facts = next(d for d in about.domains if d.id == domain.domain)
    criteria = [_criterion(c, domain, results, names) for c in one.criteria]
    rows = _verdicts(one, results, names)
    decided = [cell["verdict"].by for row in rows for cell in row["cells"] if cell["verdict"].p is not None]
    return {
        "id": f"domain-{about.domains.index(facts) + 1}",
        "title": names.say(facts.ko, facts.en),
        "claim": findings.claim(domain, about.plan, names),
        "criteria": criteria,
        "verdicts": rows,
        "any_by_means": "means" in decided,
        "any_by_model": "mixed model" in decided,
        "detectable": findings.detectable(domain, about.plan, names),
        "no_verdicts": findings.no_verdicts(domain, names),
        "lead": findings.domain_lead(domain, names),
        "interval_words": findings.interval_words(domain, names),
        "rank_words": findings.rank_words(domain, names),
        "tables": {"agreement": None, "metrics": None} | one.tables,
        "positions": one.positions,
        "choices": [_choice(c, results, names) | {"drawn": drawn, "table": table} for c, drawn, table in one.choices],
    }


def _choice(criterion: str, results: StudyResults, names: Names) -> dict[str, Any]:
    facts = results.about.criterion(criterion)
    return {"name": names.say(facts.ko, facts.en), "text": names.say(facts.text_ko, facts.text_en), "ordered": facts.ordered}


def _criterion(one: CriterionFrames, domain: DomainResults, results: StudyResults, names: Names) -> dict[str, Any]:
    analysis, plan = one.analysis, results.about.plan
    blank = {name: None for name in ("scores", "contrasts", "spreads", "equivalence", "left_out", "sensitivity")}
    frames: Mapping[str, Any] = {name: getattr(one, name) for name in ("diverging", "full", "means", "contrasts", "wins", "ranks", "heat")}
    return _choice(analysis.criterion, results, names) | {
        "reversed": analysis.reversed,
        "frames": {**frames, "tables": blank | one.tables},
        "why": findings.criterion_why(analysis, domain, names),
        "contrast_title": names.say(f"{names.model(plan.focus)} 대 나머지", f"{names.model(plan.focus)} against the others"),
        "contrast_caption": findings.contrast_caption(plan, domain, names),
        "mixed_words": findings.mixed_words(analysis, domain, names),
        "fitted": analysis.mixed.log_likelihood is not None,
        "rank_why": findings.rank_why(analysis, domain, names),
        "heat_caption": findings.heat_caption(analysis, names),
    }


def _verdicts(one: DomainFrames, results: StudyResults, names: Names) -> list[dict[str, Any]]:
    domain, plan = one.results, results.about.plan
    by_criterion = [[c for c in frame.analysis.contrasts if c.inference == domain.inference] for frame in one.criteria]
    rows: list[dict[str, Any]] = []
    for k, first in enumerate(by_criterion[0] if by_criterion else []):
        cells = []
        for frame, contrasts in zip(one.criteria, by_criterion, strict=True):
            found = verdict(frame.analysis, contrasts[k], domain.inference, plan.alpha, names)
            cells.append({"verdict": found, "gap": whole(contrasts[k].estimate, sign=True), "p": probability(found.p)})
        rows.append({"name": f"{names.model(first.first)} − {names.model(first.second)}", "cells": cells})
    return rows
