"""A locked study's folder => what the analysis reads: answers with the vault's conditions, and what was registered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from kimchi.errors import StudyError
from kimchi.eval.statistics import Plan

from .answers import KINDS, Answers
from .audit import Chain
from .compute import places
from .exclusions import Rules
from .folder import StudyFolder
from .lock import locked_at
from .results import About, Named
from .schema import Protocol
from .store import ChainReport, Store
from .vault import VaultRow, read_vault

UNBLINDED = "unblinded"
"""The event that says that the vault was opened."""
_PHOTO = ("실제 사진", "Photograph")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a folder holds, blinded no more."""

    answers: Answers
    ordinals: tuple[int, ...]
    """Rater by rater: the number of the place."""
    chain: Chain
    places: Mapping[str, int]
    asked: Mapping[str, int]
    pictures: int
    after: int
    """Answers that came after the unblinding."""
    vault: Mapping[str, VaultRow]


def read_source(folder: StudyFolder, protocol: Protocol, *, now: int) -> Source:
    """Open the vault, note it in the study's events, and read.

    Raises:
        StudyError: no vault, or it does not know a picture that was rated.
        OutputError: the event cannot be written, and an unblinding is never silent.
    """
    vault = read_vault(folder.vault)
    with folder.store() as store:
        at, chain = _unblind(store, now)
        columns, progress = store.ratings(), store.progress()
        stimuli = store.stimuli()
    kept = np.flatnonzero(np.array([kind in KINDS for kind in columns["kind"]], dtype=bool))
    columns = {name: [cells[k] for k in kept] for name, cells in columns.items()}
    ordinals = tuple(sorted(set(columns["ordinal"])))
    raters = {one.ordinal: one.asked for one in progress.raters if one.state != "withdrawn"}
    return Source(
        answers=_answers(columns, ordinals, protocol, vault),
        ordinals=ordinals,
        chain=chain,
        places=progress.slots,
        asked={called(ordinal): asked for ordinal, asked in raters.items()},
        pictures=sum(1 for one in stimuli if one.id in vault and vault[one.id].condition),
        after=sum(1 for created in columns["created_at"] if created > at),
        vault=vault,
    )


def called(ordinal: int) -> str:
    """A rater's name inside the analysis; the release has others."""
    return f"rater {ordinal + 1:04d}"


def _unblind(store: Store, now: int) -> tuple[int, Chain]:
    """When the vault was first opened, and the chain as it then was: later runs must tell the same, and the event itself is a link."""
    first = next((one for one in store.events() if one["kind"] == UNBLINDED), None)
    found = store.verify_chain()
    if first is None or not first["detail"]:
        store.event(None, UNBLINDED, now=now, detail={"links": found.links, "erased": found.erased, "head": found.head})
        return now, _chain(found, {})
    return int(first["created_at"]), _chain(found, first["detail"])


def _chain(found: ChainReport, then: Mapping[str, Any]) -> Chain:
    return Chain(links=then.get("links", found.links), erased=found.erased, head=then.get("head", found.head), broken=found.broken)


def _answers(columns: Mapping[str, list[Any]], ordinals: tuple[int, ...], protocol: Protocol, vault: Mapping[str, VaultRow]) -> Answers:
    asked = protocol.instrument
    prompts, models, criteria = tuple(p.id for p in asked.prompts), ordered_models(protocol), tuple(one.id for one in asked.criteria)
    strange = sorted({one for one in columns["stimulus"] if one not in vault})
    if strange:
        raise StudyError(
            f"vault.db: does not know picture {strange[0]} and {len(strange) - 1} more that were rated. It is another study's; bring this one's back."
        )
    rater = {ordinal: k for k, ordinal in enumerate(ordinals)}

    def whole(name: str, absent: int) -> np.ndarray:
        return np.array([absent if cell is None else cell for cell in columns[name]], dtype=np.int64)

    return Answers(
        raters=tuple(map(called, ordinals)),
        prompts=prompts,
        models=models,
        criteria=criteria,
        rater=np.array([rater[one] for one in columns["ordinal"]], dtype=np.int64),
        kind=places(KINDS, columns["kind"]),
        prompt=places(prompts, columns["prompt"]),
        model=places(models, [vault[one].condition for one in columns["stimulus"]]),
        criterion=places(criteria, columns["criterion"]),
        value=whole("value", 0),
        position=whole("position", 0),
        seq=whole("seq", 0),
        trial=whole("trial", 0),
        repeat_of=whole("repeat_of", -1),
        expected=whole("expected", 0),
        rt_ms=np.array([np.nan if cell is None else cell for cell in columns["rt_ms"]], dtype=np.float64),
    )


def ordered_models(protocol: Protocol) -> tuple[str, ...]:
    """The focus first, the photograph last, the others by name."""
    plan = protocol.instrument.analysis
    return tuple(sorted(protocol.every_condition, key=lambda one: (one != plan.focus, one == plan.photograph, one)))


def about_of(folder: StudyFolder, protocol: Protocol, protocol_hash: str, metrics: Mapping[str, Mapping[tuple[str, str], float]]) -> About:
    """What was registered, as the report tells it."""
    asked, models = protocol.instrument, ordered_models(protocol)
    at = locked_at(folder.path)
    return About(
        name=asked.name,
        title_ko=_in(asked.title, "ko"),
        title_en=_in(asked.title, "en"),
        protocol_hash=protocol_hash,
        locked_on="" if at is None else f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}",
        models=tuple(_model(one, asked.analysis.photograph) for one in models),
        criteria=tuple(_criterion(protocol, one.id) for one in asked.criteria),
        domains=tuple(
            Named(
                id=name,
                ko=_in(one.name, "ko"),
                en=_in(one.name, "en"),
                criteria=one.criteria,
                models=tuple(m for m in models if m in protocol.conditions[name]),
            )
            for name, one in asked.domains.items()
        ),
        prompts=tuple(Named(id=one.id, ko=asked.text(one, asked.language), en=one.en, domain=one.domain) for one in asked.prompts),
        plan=_plan(protocol, metrics),
        rules=Rules(**asked.quality.model_dump()),
        languages=asked.languages,
        mode=asked.mode,
        ethics=asked.ethics,
        sheet=dict(asked.consent.blanks),
    )


def _in(texts: Mapping[str, str], language: str) -> str:
    """A text in a language of the report; where the study has it in none of them, in its own."""
    return texts.get(language) or texts.get("en") or next(iter(texts.values()), "")


def _model(id: str, photograph: str | None) -> Named:
    ko, en = _PHOTO if id == photograph else (_NAMES.get(id, id),) * 2
    return Named(id=id, ko=ko, en=en)


_NAMES = {"kimchi": "KIMCHI", "dalle3": "DALL·E 3", "gpt4o": "ChatGPT-4o", "chatgpt4o": "ChatGPT-4o", "sd21": "SD 2.1", "sd15": "SD 1.5", "sdxl": "SDXL"}
"""How the world writes the names of folders."""


def _criterion(protocol: Protocol, id: str) -> Named:
    one = protocol.instrument.criterion(id)
    scale = protocol.instrument.scales[one.scale]
    labels = {language: scale.labels.get(language) or next(iter(scale.labels.values())) for language in ("ko", "en")}
    return Named(
        id=id,
        ko=_in(one.name, "ko"),
        en=_in(one.name, "en"),
        text_ko=_in(one.text, "ko"),
        text_en=_in(one.text, "en"),
        reversed=not one.agreeing_is_good and scale.ordered,
        ordered=scale.ordered,
        labels_ko=labels["ko"],
        labels_en=labels["en"],
    )


def _plan(protocol: Protocol, metrics: Mapping[str, Mapping[tuple[str, str], float]]) -> Plan:
    asked = protocol.instrument.analysis
    given = asked.model_dump()
    there = protocol.every_condition
    given["photograph"] = asked.photograph if asked.photograph in there else None
    given["contrasts"] = asked.contrasts
    return Plan(**given, seed=protocol.instrument.seed, metrics=metrics)
