"""`kimchi study purge`: a rater's withdrawal by code, and the end of a study when its time is over."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kimchi.data.files import hash_file, write_json
from kimchi.errors import OutputError, StudyError

from .folder import StudyFolder
from .lock import locked_at
from .store import Erased

_YEAR_MS = 365.25 * 24 * 60 * 60 * 1000
_BLOCK = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeOutcome:
    """What was destroyed."""

    folder: Path
    files: tuple[str, ...]
    """By their places in the folder."""
    kept: tuple[str, ...]
    """What remains: protocol, lock, and what was published."""


def withdraw(path: Path, code: str, *, now: int) -> Erased:
    """Erase one rater by the personal code.

    Raises:
        StudyError: no study lies there, or no place has the code.
        OutputError: the disk is full.
    """
    with StudyFolder(path).store() as store:
        return store.withdraw(code, now=now)


def due(path: Path) -> int | None:
    """When the answers must be destroyed, UTC milliseconds; None for a study that never collected.

    Raises:
        StudyError: no study lies there.
    """
    years, began = StudyFolder(path).read_protocol().instrument.retention_years, locked_at(path)
    return None if began is None else int(began + years * _YEAR_MS)


def purge(path: Path, *, now: int, early: str = "") -> PurgeOutcome:
    """Destroy answers, vault and pictures. Protocol, lock and the analysis stay, and purged.json says what is gone.

    Args:
        path: the study's folder.
        now: UTC milliseconds.
        early: why before its time; it is written into purged.json.

    Raises:
        StudyError: no study lies there, or its time is not over and no reason is given.
        OutputError: a file cannot be removed.
    """
    folder = StudyFolder(path)
    end = due(path)
    if end is not None and now < end and not early.strip():
        day = datetime.fromtimestamp(end / 1000, UTC).date().isoformat()
        raise StudyError(f"{path}: its answers are kept until {day}, as its raters were told. Run it again then, or give the reason: --early REASON")
    # First: closing the database folds its log into it, and the log's file goes.
    chain = _chain(folder)
    doomed = _doomed(folder)
    files = {one.relative_to(folder.path).as_posix(): hash_file(one) for one in doomed}
    record = {"purged_at": now, "due": end, "early": early.strip(), "files": files, **chain}
    for one in doomed:
        _destroy(one)
    write_json(folder.purged, record)
    for empty in (folder.pictures, folder.vault.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()
    kept = sorted(one.name for one in path.iterdir())
    return PurgeOutcome(folder=path, files=tuple(files), kept=tuple(kept))


def _doomed(folder: StudyFolder) -> list[Path]:
    base = folder.database.name
    named = [one for one in folder.path.iterdir() if one.name.startswith(base) and one.is_file()]
    below = [one for place in (folder.vault.parent, folder.pictures) if place.is_dir() for one in place.iterdir() if one.is_file()]
    return sorted([*named, *below])


def _chain(folder: StudyFolder) -> dict[str, object]:
    """The chain's end, so that a copy published before can be told from a forged one."""
    if not folder.database.is_file():
        return {}
    with folder.store() as store:
        found = store.verify_chain()
    return {"chain_head": found.head, "chain_links": found.links, "chain_held": found.ok}


def _destroy(path: Path) -> None:
    """Overwrite, then remove: a plain removal leaves the bytes on the disk. (A disk that copies on write may keep some all the same.)"""
    try:
        if not path.is_symlink():
            with path.open("rb+") as file:
                for _ in range(-(-path.stat().st_size // _BLOCK)):
                    file.write(b"\0" * _BLOCK)
                file.flush()
                os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be destroyed ({error.strerror}). Make it yours to write, and run it again.") from error
