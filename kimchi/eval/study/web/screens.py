"""A rater's trials => what the page needs to show them, and nothing that tells one kind of screen or model from another."""

from collections.abc import Mapping, Sequence
from typing import Any

from kimchi.eval.study.store import MAX_COMMENT, Session, Trial

from .desk import Desk
from .served import BREAK_EVERY
from .texts import fill, texts

_IDLE_S, _GRACE_S = 90, 30
_SAID = (
    "break", "of", "left", "left_last", "last", "next", "unanswered", "comment_saved", "comment_long", "offline", "rejected", "waiting_end", "unstored", "idle",
    "practice_short", "error_400",
)  # fmt: skip
"""Texts that the script fills in; the others stand in the page."""


def plan(desk: Desk, session: Session, trials: Sequence[Trial]) -> dict[str, Any]:
    """The answer to GET /api/plan."""
    language = desk.language_of(session)
    said = texts(language)
    return {
        "seat": session.id,
        "screens": [_screen(desk, trial, language, said) for trial in trials],
        "criteria": desk.served.criteria(language),
        "started": any(trial.answers for trial in trials if trial.kind != "practice"),
        "break_every": BREAK_EVERY,
        "seconds_a_screen": desk.served.seconds_a_screen,
        "comment_chars": MAX_COMMENT,
        "idle_seconds": _IDLE_S,
        "grace_seconds": _GRACE_S,
        "texts": {name: said[name] for name in _SAID} | ({"break": said["break_kiosk"]} if desk.kiosk else {}),
    }


def _screen(desk: Desk, trial: Trial, language: str, said: Mapping[str, str]) -> dict[str, Any]:
    lang, prompt = _prompt(desk, trial, language, said)
    return {
        "trial": trial.id,
        "picture_url": f"/picture/{trial.picture}",
        "prompt": prompt,
        "lang": lang,
        "practice": trial.kind == "practice",
        "criteria": list(trial.criteria),
        "answers": {name: {"value": answer.value, "rev": answer.rev} for name, answer in trial.answers.items()},
    }


def _prompt(desk: Desk, trial: Trial, language: str, said: Mapping[str, str]) -> tuple[str, str]:
    """The sentence above a picture, and its language."""
    if trial.kind == "trap" and trial.expected is not None:
        return language, fill(said["trap"], answer=desk.served.answer_text(trial.criteria[0], trial.expected, language))
    if not desk.served.shows_text(trial.criteria):
        return language, said["look"]
    tag = language if language in trial.texts else next(iter(trial.texts))
    return tag, trial.texts[tag]
