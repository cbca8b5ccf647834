"""`kimchi study lock`: hashes of protocol, plan, pictures and analysis. Nothing is collected before, nothing changes after."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimchi.data.files import hash_file, write_json
from kimchi.errors import StudyError

from .folder import StudyFolder
from .schema import Protocol
from .texts import blanks

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOutcome:
    """A study that collects."""

    folder: Path
    protocol_hash: str
    """SHA-256 of protocol.yaml: what a preregistration may cite."""
    pictures: int
    slots: int


def lock(path: Path, *, now: int) -> LockOutcome:
    """Seal a study. Interrupted, the same command goes on.

    Args:
        path: the study's folder.
        now: UTC milliseconds.

    Raises:
        StudyError: it is locked already, a text has an empty blank, the analysis names what is not there, or a picture is not as it was made.
        OutputError: the folder cannot be written.
    """
    folder = StudyFolder(path)
    protocol = folder.read_protocol()
    if folder.lock.is_file():
        raise StudyError(f"{path}: is locked already, and a lock is never renewed. Collect with `kimchi study serve`, or make a new study.")
    _check_texts(protocol)
    _check_analysis(protocol)
    sealed = hash_file(folder.protocol)
    with folder.store() as store:
        pictures = _check_pictures(folder, {one.id: one.sha256 for one in store.stimuli()})
        if store.protocol_hash() not in (None, sealed):
            raise StudyError(f"{folder.protocol}: was edited while the study was being locked. Bring the old file back, or make a new study.")
        content = {"protocol": sealed, "plan": store.plan_hash(), "analysis": protocol.analysis_hash(), "pictures": pictures, "locked_at": now}
        if store.protocol_hash() is None:
            store.lock(sealed, now=now)
        slots = sum(store.progress().slots.values())
    # Written last: its existence says that all of it is sealed.
    write_json(folder.lock, {**content, "version": protocol.version})
    return LockOutcome(folder=path, protocol_hash=sealed, pictures=len(pictures), slots=slots)


def check_lock(path: Path) -> Protocol:
    """The protocol of a locked study that is as it was locked. Serving and analysing begin with this.

    Raises:
        StudyError: not locked, or something was changed since; the message names what.
    """
    folder = StudyFolder(path)
    folder.check()
    sealed = _read(folder)
    with folder.store(read_only=True) as store:
        changed = [] if hash_file(folder.protocol) == sealed["protocol"] == store.protocol_hash() else ["protocol.yaml"]
        changed += [] if store.plan_hash() == sealed["plan"] else ["the plan in study.db"]
    changed += _changed(folder, sealed["pictures"])
    if changed:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        raise StudyError(f"{path}: changed since the lock: {', '.join(changed[:_NAMED])}{more}. Bring the old files back; another protocol is another study.")
    protocol = folder.read_protocol()
    if protocol.analysis_hash() != sealed["analysis"]:
        raise StudyError(f"{path}: this version of kimchi reads another analysis out of the protocol than {protocol.version}, which locked it. Use that one.")
    return protocol


def locked_at(path: Path) -> int | None:
    """When a study was locked, UTC milliseconds; None where it is not."""
    folder = StudyFolder(path)
    return int(_read(folder)["locked_at"]) if folder.lock.is_file() else None


def _read(folder: StudyFolder) -> dict[str, Any]:
    if not folder.lock.is_file():
        raise StudyError(f"{folder.path}: is not locked, and nothing is collected or analysed before. Run: kimchi study lock {folder.path}")
    try:
        found = json.loads(folder.lock.read_text(encoding="utf-8"))
        return {name: found[name] for name in ("protocol", "plan", "analysis", "pictures", "locked_at")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{folder.lock}: cannot be read ({error}). It is never edited; bring the old file back.") from error


def _check_texts(protocol: Protocol) -> None:
    held = {blank for texts in (protocol.consent, protocol.privacy) for text in texts.values() for blank in blanks(text)}
    if held:
        first = sorted(held)[0]
        raise StudyError(
            f"The consent and privacy texts have empty blanks: {', '.join(sorted(held))}. "
            f"Make the study again with them filled: consent.blanks in the instrument, or --set 'consent.blanks.{first}=...'"
        )


def _check_analysis(protocol: Protocol) -> None:
    plan = protocol.instrument.analysis
    for name in (plan.focus, *(one for pair in plan.contrasts for one in pair)):
        if name not in protocol.every_condition:
            there = ", ".join(protocol.every_condition)
            raise StudyError(
                f"analysis: {name!r} is no condition of this study ({there}). Make it again with --set analysis.focus=NAME, or its contrasts mended."
            )


def _check_pictures(folder: StudyFolder, wanted: dict[str, str]) -> dict[str, str]:
    expected = {f"{stimulus}.png": digest for stimulus, digest in wanted.items()}
    changed = _changed(folder, expected)
    if changed:
        raise StudyError(f"{folder.path}: not as `new` made it: {', '.join(changed[:_NAMED])}. Make the study again: kimchi study new.")
    return dict(sorted(expected.items()))


def _changed(folder: StudyFolder, expected: dict[str, str]) -> list[str]:
    there = {one.name for one in folder.pictures.iterdir()} if folder.pictures.is_dir() else set[str]()
    changed = [f"pictures/{name} is missing" for name in sorted(expected.keys() - there)]
    changed += [f"pictures/{name} is new" for name in sorted(there - expected.keys())]
    for name in sorted(expected.keys() & there):
        path = folder.pictures / name
        if path.is_symlink() or not path.is_file() or hash_file(path) != expected[name]:
            changed.append(f"pictures/{name}")
    return changed
