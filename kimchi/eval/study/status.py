"""`kimchi study status`: how a study is going. It never opens the vault: nobody who collects may see who is ahead."""

from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median

from .folder import StudyFolder
from .schema import Instrument
from .store import ChainReport, Progress, Store

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often the pictures have been rated, over pictures and criteria."""

    pictures: int
    """Pictures of the study, practice left out."""
    rated: int
    """Those that anybody has rated on anything."""
    fewest: int
    """Answers of the picture and criterion with the fewest."""
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Signs of careless answering, over all raters. Who is left out is decided by the registered rules when the study is analysed."""

    unable: float | None
    """Share of "cannot judge"."""
    quick: float | None
    """Share of answers below the response-time floor."""
    trap_failures: int
    """Instructed screens answered otherwise."""
    median_rt_ms: float | None
    """From the picture's appearance to the tap."""
    rejected: int
    """Answers that the server refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a study is going."""

    locked: bool
    target: int
    """Raters that must finish."""
    done: int
    active: int
    """Claimed a place and not finished."""
    withdrawn: int
    expired: int
    free: int
    """Places left, spare ones and refills included."""
    answered: float
    """Share of the target's answers that are there."""
    coverage: Coverage
    watch: Watch
    chain: ChainReport
    minutes_a_rater: float | None
    """Median from claiming a place to the last answer, of those who have finished."""
    hours_left: float | None
    """At the pace of the last day; None while nobody finishes."""


def status(path: Path, *, now: int) -> Status:
    """Look at a study, served or not.

    Args:
        path: the study's folder.
        now: UTC milliseconds.

    Raises:
        StudyError: no study lies there.
    """
    folder = StudyFolder(path)
    instrument = folder.read_protocol().instrument
    with folder.store() as store:
        progress, chain = store.progress(), store.verify_chain()
        coverage, watch = _coverage(store, instrument), _watch(store, instrument, progress)
    states = progress.slots
    done, target = states.get("done", 0), instrument.assignment.raters
    times = [one.last_at - one.claimed_at for one in progress.raters if one.state == "done" and one.last_at and one.claimed_at]
    return Status(
        locked=progress.locked,
        target=target,
        done=done,
        active=states.get("claimed", 0),
        withdrawn=states.get("withdrawn", 0),
        expired=states.get("expired", 0),
        free=states.get("free", 0),
        answered=_share(progress, target),
        coverage=coverage,
        watch=watch,
        chain=chain,
        minutes_a_rater=median(times) / 60_000 if times else None,
        hours_left=_hours_left(progress, target - done, now),
    )


def _share(progress: Progress, target: int) -> float:
    """Of what the target's raters are asked; a typical rater's plan stands for those who have not come."""
    plans = [one.asked for one in progress.raters if one.kind == "main"]
    whole = median(plans) * target if plans else 0
    return min(1.0, sum(one.answered for one in progress.raters if one.state != "withdrawn") / whole) if whole else 0.0


def _coverage(store: Store, instrument: Instrument) -> Coverage:
    columns = store.ratings()
    counts = Counter[tuple[str, str]]()
    for kind, stimulus, criterion, value in zip(columns["kind"], columns["stimulus"], columns["criterion"], columns["value"], strict=True):
        counts[stimulus, criterion] += kind == "main" and value > 0
    domains = {prompt.id: prompt.domain for prompt in instrument.prompts}
    cells = [(one.id, c) for one in store.stimuli() if one.prompt_id in domains for c in instrument.domains[domains[one.prompt_id]].criteria]
    held = [counts[cell] for cell in cells]
    rated = {stimulus for (stimulus, _), n in counts.items() if n}
    return Coverage(pictures=len({one for one, _ in cells}), rated=len(rated), fewest=min(held, default=0), mean=sum(held) / max(len(held), 1))


def _watch(store: Store, instrument: Instrument, progress: Progress) -> Watch:
    columns = store.ratings()
    main = [k for k, kind in enumerate(columns["kind"]) if kind == "main"]
    times = [columns["rt_ms"][k] for k in main if columns["rt_ms"][k] is not None]
    floor = instrument.quality.floor_ms or 0
    traps = [k for k, kind in enumerate(columns["kind"]) if kind == "trap"]
    return Watch(
        unable=sum(columns["value"][k] == 0 for k in main) / len(main) if main else None,
        quick=sum(one < floor for one in times) / len(times) if times else None,
        trap_failures=sum(columns["value"][k] != columns["expected"][k] for k in traps),
        median_rt_ms=median(times) if times else None,
        rejected=progress.rejected,
    )


def _hours_left(progress: Progress, missing: int, now: int) -> float | None:
    if missing <= 0:
        return 0.0
    ended = [one.last_at for one in progress.raters if one.state == "done" and one.last_at and now - one.last_at <= 24 * _HOUR_MS]
    if not ended:
        return None
    pace = len(ended) / max((now - min(ended)) / _HOUR_MS, 1)
    return missing / pace


def describe(found: Status) -> list[str]:
    """Status => lines for a person."""
    lines = [
        f"raters      {found.done} of {found.target} done, {found.active} under way, {found.expired} passed on, {found.withdrawn} withdrawn, {found.free} free",
        f"answers     {found.answered:.0%} of the plan; a picture and criterion has {found.coverage.mean:.1f}, the rarest {found.coverage.fewest}",
        f"pictures    {found.coverage.rated} of {found.coverage.pictures} rated",
        "quality     " + _quality(found.watch),
        "chain       " + (f"{found.chain.links} links hold" if found.chain.ok else f"BROKEN: {'; '.join(found.chain.broken)}"),
    ]
    took = f"{found.minutes_a_rater:.0f} min a rater" if found.minutes_a_rater is not None else "nobody has finished yet"
    left = f", about {ceil(found.hours_left)} h left at this pace" if found.hours_left else ""
    return [*lines, f"time        {took}{left}"]


def _quality(watch: Watch) -> str:
    if watch.unable is None:
        return "no answers yet"
    quick = f", {watch.quick:.0%} too quick" if watch.quick is not None else ""
    typical = f", typically {watch.median_rt_ms / 1000:.1f} s" if watch.median_rt_ms is not None else ""
    return f"{watch.unable:.0%} cannot judge{quick}{typical}; {watch.trap_failures} instructed taps missed, {watch.rejected} answers rejected"
