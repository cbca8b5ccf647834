"""Folders that are whole or absent, and that take the place of their own earlier selves only."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kimchi.errors import OutputError

from ._base import CARD


@contextmanager
def whole(folder: Path, mark: dict[str, str], say: Callable[[str], None]) -> Generator[Path]:
    """A fresh folder beside `folder`, put in its place when the block ends well and removed when it does not.

    Args:
        mark: format and source of the export; what lies at `folder` is replaced only if its card.json bears the same.

    Raises:
        OutputError: something else is there, or the place cannot be written, or the disk is full.
    """
    final = folder.absolute()
    _check(folder, final, mark, say)
    fresh = _beside(folder, final)
    try:
        yield fresh
        _settle(fresh)
        _replace(fresh, final)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}). Choose a folder that is yours and has room.") from error
    except OutputError as error:
        # The person knows nothing of the fresh folder, which is gone by now.
        raise OutputError(str(error).replace(str(fresh), str(folder))) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check(folder: Path, final: Path, mark: dict[str, str], say: Callable[[str], None]) -> None:
    if not os.path.lexists(final):
        return
    if not final.is_dir() or final.is_symlink():
        raise OutputError(f"{folder}: is a file or a link, and an export is a folder. Name another one with --out.")
    there = {path.relative_to(final).as_posix() for path in final.rglob("*") if not path.is_dir()}
    if not there:
        return
    earlier = _mark_of(final)
    if not earlier:
        raise OutputError(f"{folder}: holds {min(there)} and is no earlier export; nothing is overwritten. Name another folder with --out.")
    if any(earlier.get(key) != value for key, value in mark.items()):
        was = f"{earlier.get('format')} of the adapter {str(earlier.get('of'))[:16]}"
        raise OutputError(f"{folder}: holds another export ({was}; this one is {mark['format']} of {mark['of'][:16]}). Remove it, or name another with --out.")
    strange = there - set(earlier.get("files", []))
    if strange:
        raise OutputError(f"{folder}: holds {min(strange)}, which its earlier export did not write. Move it away, or name another folder with --out.")
    say(f"{folder}: an earlier export of the same adapter is replaced.")


def _mark_of(final: Path) -> dict[str, Any]:
    try:
        said = json.loads((final / CARD).read_text(encoding="utf-8"))["export"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return said if isinstance(said, dict) else {}


def _beside(folder: Path, final: Path) -> Path:
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".part"))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}). Name another folder with --out.") from error
    return fresh


def _settle(fresh: Path) -> None:
    """On the disk, with the rights any new file of this user has: mkdtemp, transformers and diffusers keep theirs to the owner."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (fresh, *fresh.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _replace(fresh: Path, final: Path) -> None:
    """In place of what is there, which stays until the new one stands."""
    if not final.exists():
        return os.rename(fresh, final)
    aside = fresh.with_suffix(".old")
    os.rename(final, aside)
    try:
        os.rename(fresh, final)
    except OSError:
        os.rename(aside, final)
        raise
    shutil.rmtree(aside, ignore_errors=True)
