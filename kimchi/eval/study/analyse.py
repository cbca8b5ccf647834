"""`kimchi study analyse`: a locked study => results.json, a report in two languages, figures, tables, and a bundle for release."""

import csv
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimchi import __version__
from kimchi.data.files import hash_file, write_text
from kimchi.errors import OutputError, StudyError

from .audit import audit
from .automatic import read_automatic
from .compute import compute
from .folder import StudyFolder
from .lock import check_lock
from .release import ids, release_key, to_csv, write_release
from .report import write_report
from .results import StudyResults
from .source import Source, about_of, called, read_source

RESULTS, REVIEW, REVIEWED = "results.json", "comments.review.csv", "comments.reviewed.csv"
_REVIEW = ("rater", "prompt", "condition", "text", "release")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyseOutcome:
    """What was made."""

    folder: Path
    """analysis/ of the study."""
    reports: tuple[Path, ...]
    """Korean, English."""
    results: Path
    release: Path
    raters: int
    excluded: int
    answers: int
    inference: dict[str, str]
    """Domain => for whom its results hold."""
    chain_ok: bool
    seconds: float


def analyse(
    path: Path,
    *,
    now: int | None = None,
    scores: Path | None = None,
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> AnalyseOutcome:
    """Analyse a study. Opening the vault is noted in the study's events; everything else leaves the study as it is.

    Args:
        path: the study's folder.
        now: UTC milliseconds, for that note; the clock's if absent.
        scores: a folder that `kimchi score` wrote about the same pictures; its metrics are held against people.
        report: told a stage, how much of it is done, and how much there is.

    Raises:
        StudyError: not locked, changed since the lock, or without its vault.
        DataError: scores that cannot be read.
        OutputError: the folder cannot be written.
    """
    started, folder = time.monotonic(), StudyFolder(path)
    protocol = check_lock(path)
    metrics = read_automatic(scores) if scores is not None else {}
    # Everything that could be refused was; from here on the study is unblinded.
    source = read_source(folder, protocol, now=int(time.time() * 1000) if now is None else now)
    about = about_of(folder, protocol, hash_file(folder.protocol), metrics)
    report("analyse", 0, 1)
    audited = audit(source.answers, source.places, source.asked, source.pictures, source.chain, source.after)
    results = compute(source.answers, about, audited, __version__)
    report("analyse", 1, 1)
    part = folder.path / ".analysis.part"
    shutil.rmtree(part, ignore_errors=True)
    write_report(results, part, report)
    _release(folder, part, source, results)
    # The last file: its existence says that the analysis is whole.
    write_text(part / RESULTS, results.as_json())
    _swap(part, folder.analysis)
    return _outcome(folder, results, time.monotonic() - started)


def _release(folder: StudyFolder, part: Path, source: Source, results: StudyResults) -> None:
    key = release_key(folder.vault.parent / "release.key")
    with folder.store(read_only=True) as store:
        agreed = {called(one["ordinal"]) for one in store.sessions() if one["release_consent"] and one["state"] != "withdrawn"}
        remarks = [one for one in store.comments() if called(one["ordinal"]) in agreed]
    named = ids(agreed, key)
    rows = sorted((named[called(one["ordinal"])], one["prompt"], source.vault[one["stimulus"]].condition, one["text"], "") for one in remarks)
    if rows:
        write_text(part / REVIEW, to_csv(_REVIEW, rows))
    reviewed = _reviewed(folder.vault.parent / REVIEWED, {tuple(row[:4]) for row in rows})
    protocol = folder.protocol.read_text(encoding="utf-8")
    write_release(part / "release", source.answers, results.about, results.exclusions, agreed, key, protocol, reviewed)


def _reviewed(path: Path, known: set[tuple[Any, ...]]) -> str:
    """Comments that a person has marked with yes; those of a rater who has since withdrawn are in nobody's comments any more."""
    if not path.is_file():
        return ""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = [row for row in csv.DictReader(file) if (row.get("release") or "").strip().lower() == "yes"]
        # A reviewer may black out words, so only whose and where must agree.
        places = {row[:3] for row in known}
        kept = [tuple(row[name] for name in _REVIEW[:4]) for row in found if tuple(row[name] for name in _REVIEW[:3]) in places]
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path}: cannot be read as reviewed comments ({error}). Copy analysis/{REVIEW} there and write yes into its last column.") from error
    return to_csv(_REVIEW[:4], sorted(kept)) if kept else ""


def _swap(part: Path, final: Path) -> None:
    """The new analysis in the place of the old one: nothing of an earlier run stays among its files."""
    old = final.with_name(".analysis.old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        part.rename(final)
    except OSError as error:
        raise OutputError(f"{final}: cannot be replaced ({error.strerror or error}). Close what has it open and run it again.") from error
    shutil.rmtree(old, ignore_errors=True)


def _outcome(folder: StudyFolder, results: StudyResults, seconds: float) -> AnalyseOutcome:
    made = folder.analysis
    return AnalyseOutcome(
        folder=made,
        reports=tuple(made / f"report.{language}.html" for language in ("ko", "en")),
        results=made / RESULTS,
        release=made / "release",
        raters=results.audit.raters,
        excluded=len(results.exclusions.excluded),
        answers=results.audit.answered,
        inference={one.domain: one.inference for one in results.domains},
        chain_ok=not results.audit.chain.broken,
        seconds=round(seconds, 1),
    )
