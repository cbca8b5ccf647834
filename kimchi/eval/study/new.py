"""`kimchi study new`: instrument and pictures => a study's folder, whole or not at all."""

import os
import secrets
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from kimchi import __version__
from kimchi.data.files import sha256, write_bytes, write_text
from kimchi.data.sample_world import CONCEPTS, Attributes, Picture
from kimchi.errors import OutputError, StudyError
from kimchi.recipes import to_yaml

from . import blind
from .arms import Arms, Original, read_arms
from .assign import PRACTICE, Design, Screen, Stratum, plan
from .folder import StudyFolder
from .schema import Instrument, Protocol, instrument_hash
from .store import PromptRow, SlotRow, StimulusRow, TrialRow, create_store
from .texts import KINDS, fill
from .vault import VaultRow, write_vault

AIHUB = (
    "Photographs shown to raters must be your own or openly licensed; say which in arms/photo/licence.txt. AIHub's terms forbid showing its pictures to raters."
)
_PRACTICE = {"ko": "나무 탁자 위에 놓인 빨간 사과", "en": "a red apple on a wooden table"}
"""What the first screen shows; a drawing of no condition."""
_MADE_S = 946_684_800
"""What every picture's file says of when it was made: 1 January 2000."""
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOutcome:
    """A study that was made."""

    folder: Path
    prompts: int
    conditions: tuple[str, ...]
    pictures: int
    size_px: int
    """Side of every picture shown."""
    slots: int
    """Places, spare ones included."""
    taps: int
    """Answers asked of one rater."""
    minutes: int
    """What the instrument expects one rater to take."""
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A blinded picture, on the disk."""

    row: StimulusRow
    source: VaultRow


def new(instrument: Instrument, images: Path, out: Path, *, report: Report = lambda stage, done, total: None) -> NewOutcome:
    """Make a study.

    Args:
        instrument: from `load_instrument`.
        images: arms/CONDITION/PROMPT.(png|jpg|webp).
        out: the study's folder; it must not exist.
        report: hears how far it is.

    Raises:
        StudyError: a picture that cannot be used, a text that is missing, or a folder that exists.
        OutputError: the place cannot be written.
    """
    if out.exists():
        raise StudyError(f"{out}: is there already, and a study is never written over. Name another folder with --out.")
    arms = read_arms(instrument, images)
    size_px = min(instrument.size_px, *(min(one.size_px) for one in arms.originals))
    protocol = _protocol(instrument, arms, size_px)
    with _whole(out) as building:
        shown = _blind_all(StudyFolder(building), arms, size_px, report)
        _write(StudyFolder(building), protocol, shown)
    return _outcome(out, protocol, arms, len(shown))


@contextmanager
def _whole(final: Path) -> Generator[Path]:
    """A folder beside the final one, renamed onto it when the block ends well and removed when it does not."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".part"))
    except OSError as error:
        raise OutputError(f"{final}: cannot be made ({error.strerror}). Name a folder that is yours with --out.") from error
    try:
        yield building
        # A rename never replaces a folder that holds something: of two that make one study, one is told.
        os.rename(building, final)
    except OSError as error:
        raise OutputError(f"{final}: cannot be made ({error.strerror or error}). Name another folder with --out, or make room.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _protocol(instrument: Instrument, arms: Arms, size_px: int) -> Protocol:
    known = _known(instrument, arms.conditions)
    texts = {kind: {language: fill(instrument, kind, language, known) for language in instrument.languages} for kind in KINDS}
    return Protocol(
        instrument=instrument,
        instrument_hash=instrument_hash(instrument),
        conditions=arms.conditions,
        size_px=size_px,
        consent=texts["consent"],
        privacy=texts["privacy"],
        version=__version__,
    )


def _known(instrument: Instrument, conditions: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Blanks of the consent texts that the instrument fills."""
    pictures = sum(instrument.per_rater(name) * len(names) for name, names in conditions.items())
    minutes = ceil(pictures * instrument.seconds_a_picture / 60)
    values = {"minutes": minutes, "pictures": pictures, "raters": instrument.assignment.raters, "years": f"{instrument.retention_years:g}"}
    return {name: str(value) for name, value in values.items()} | {"ethics": instrument.ethics}


def _blind_all(folder: StudyFolder, arms: Arms, size_px: int, report: Report) -> dict[tuple[str, str], _Shown]:
    """(condition, prompt) => its blinded picture."""
    made = dict[tuple[str, str], _Shown]()
    for number, one in enumerate(arms.originals):
        content = blind.read_picture(one.path, f"{one.condition}/{one.path.name}")
        if sha256(content, 64) != one.sha256:
            raise StudyError(f"{one.path}: changed while the study was made. Let nothing write there, and run it again.")
        blinded = blind.blind(content, f"{one.condition}/{one.path.name}", size_px)
        made[one.condition, one.prompt] = _store(folder, blinded, _source(one, arms.licences[one.condition]))
        report("blinding", number + 1, len(arms.originals))
    made["", PRACTICE] = _practice(folder, size_px)
    return _padded(made)


def _store(folder: StudyFolder, blinded: blind.Blinded, source: VaultRow) -> _Shown:
    write_bytes(folder.picture(source.stimulus), blinded.png)
    # Conditions are blinded one after the other, and the times of the files would tell in which order.
    os.utime(folder.picture(source.stimulus), (_MADE_S, _MADE_S))
    row = StimulusRow(
        id=source.stimulus, prompt_id=source.prompt, sha256=sha256(blinded.png, 64), width=blinded.width, height=blinded.height, padded_bytes=len(blinded.png)
    )
    return _Shown(row, source)


def _source(one: Original, licence: str) -> VaultRow:
    width, height = one.size_px
    return VaultRow(
        stimulus=secrets.token_hex(16), condition=one.condition, prompt=one.prompt, path=str(one.path), sha256=one.sha256, width=width, height=height,
        licence=licence, **one.provenance,
    )  # fmt: skip


def _practice(folder: StudyFolder, size_px: int) -> _Shown:
    apple = Attributes(colour="red", place="wooden_table", time="day", number=1, side="centre")
    image = Picture(concept=CONCEPTS["apple"], attributes=apple, seed=0).render(size_px)
    source = VaultRow(stimulus=secrets.token_hex(16), condition="", prompt=PRACTICE, path="", sha256="", width=size_px, height=size_px)
    return _store(folder, blind.of_image(image), source)


def _padded(made: dict[tuple[str, str], _Shown]) -> dict[tuple[str, str], _Shown]:
    """With what each prompt's pictures are padded to, in place of their own lengths."""
    lengths = defaultdict[str, list[int]](list)
    for one in made.values():
        lengths[one.row.prompt_id].append(one.row.padded_bytes)
    # A gold screen shows a picture under another prompt's text; its length is that of its own prompt's pictures, which tells no condition.
    return {key: _Shown(_with(one.row, blind.padded_bytes(lengths[one.row.prompt_id])), one.source) for key, one in made.items()}


def _with(row: StimulusRow, padded: int) -> StimulusRow:
    return StimulusRow(id=row.id, prompt_id=row.prompt_id, sha256=row.sha256, width=row.width, height=row.height, padded_bytes=padded)


def design(instrument: Instrument, conditions: dict[str, tuple[str, ...]]) -> Design:
    """An instrument and its conditions => what the plan is made from."""
    strata = dict[str, Stratum]()
    for name, names in conditions.items():
        topics = {one.id: one.topic for one in instrument.prompts_in(name)}
        # By lot: in the order of their names a reader of the plan could guess who is who.
        order = sorted(names, key=lambda one: sha256(f"{instrument.seed}/{name}/{one}".encode()))
        strata[name] = Stratum(prompts=topics, per_rater=instrument.per_rater(name), conditions=tuple(order))
    points = min(_points(instrument, name) for name in conditions)
    given = instrument.assignment
    slots = given.raters + ceil(given.raters * given.spare)
    return Design(strata=strata, slots=slots, repeats=given.repeats, gold=given.gold, traps=given.traps, gap=given.gap, points=points, seed=instrument.seed)


def _points(instrument: Instrument, domain: str) -> int:
    """Of the first criterion, by which a trap asks."""
    return instrument.scales[instrument.criterion(instrument.domains[domain].criteria[0]).scale].points


def _write(folder: StudyFolder, protocol: Protocol, shown: dict[tuple[str, str], _Shown]) -> None:
    instrument = protocol.instrument
    folder.vault.parent.mkdir()
    folder.vault.parent.chmod(0o700)
    slots = [_slot(number, screens, shown, instrument.assignment.raters) for number, screens in enumerate(plan(design(instrument, protocol.conditions)))]
    rows = sorted((one.row for one in shown.values()), key=lambda row: row.id)
    write_vault(folder.vault, sorted((one.source for one in shown.values()), key=lambda row: row.stimulus))
    per_slot = sum(instrument.per_rater(name) for name in instrument.domains)
    with create_store(
        folder.database, name=instrument.name, prompts=_prompts(instrument), stimuli=rows, slots=slots, prompts_a_slot=per_slot,
        by_invitation=instrument.assignment.invitation, abandoned_ms=round(instrument.assignment.abandoned_hours * 3_600_000),
    ) as store:  # fmt: skip
        if instrument.assignment.invitation:
            write_text(folder.invitations, "\n".join(store.invite(len(slots), now=0)) + "\n")
            folder.invitations.chmod(0o600)
    write_text(folder.protocol, to_yaml(protocol))


def _prompts(instrument: Instrument) -> list[PromptRow]:
    domains = instrument.domains
    rows = [
        PromptRow(
            id=one.id,
            domain=one.domain,
            texts={language: instrument.text(one, language) for language in instrument.languages},
            criteria=domains[one.domain].criteria,
        )
        for one in instrument.prompts
    ]
    first = next(iter(domains))
    practice = {language: _PRACTICE.get(language, _PRACTICE["en"]) for language in instrument.languages}
    return [*rows, PromptRow(id=PRACTICE, domain=first, texts=practice, criteria=domains[first].criteria)]


def _slot(number: int, screens: tuple[Screen, ...], shown: dict[tuple[str, str], _Shown], target: int) -> SlotRow:
    trials = tuple(
        TrialRow(
            seq=seq,
            kind=one.kind,
            prompt_id=one.prompt,
            stimulus_id=shown[one.condition, one.picture_of].row.id,
            picture=secrets.token_hex(16),
            position=one.position,
            repeat_of=one.repeat_of,
            expected=one.expected,
        )
        for seq, one in enumerate(screens)
    )
    return SlotRow(ordinal=number, kind="main" if number < target else "spare", trials=trials)


def _outcome(out: Path, protocol: Protocol, arms: Arms, pictures: int) -> NewOutcome:
    instrument, known = protocol.instrument, _known(protocol.instrument, protocol.conditions)
    taps = sum(instrument.per_rater(name) * len(names) * len(instrument.domains[name].criteria) for name, names in protocol.conditions.items())
    notices = [*arms.notices, *([AIHUB] if instrument.analysis.photograph in protocol.every_condition else [])]
    if instrument.analysis.focus not in protocol.every_condition:
        there = ", ".join(protocol.every_condition)
        notices.append(f"analysis.focus is {instrument.analysis.focus!r}, which is no condition here ({there}); lock refuses that. --set analysis.focus=NAME")
    return NewOutcome(
        folder=out,
        prompts=len(instrument.prompts),
        conditions=protocol.every_condition,
        pictures=pictures - 1,
        size_px=protocol.size_px,
        slots=instrument.assignment.raters + ceil(instrument.assignment.raters * instrument.assignment.spare),
        taps=taps,
        minutes=int(known["minutes"]),
        notices=tuple(notices),
    )
