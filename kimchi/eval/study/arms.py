"""A folder of pictures, arms/CONDITION/PROMPT.png, checked as a whole: either every picture is there once and sound, or one list says what is not."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kimchi.errors import DataError, StudyError
from kimchi.generation.provenance import read_provenance

from .blind import SUFFIXES, measure, read_picture
from .schema import Instrument

LICENCE = "licence.txt"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LISTED = 20
_WIDE = 1.5
"""A picture longer than this many times its width loses much of itself in a square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A picture as it was given."""

    condition: str
    prompt: str
    path: Path
    sha256: str
    size_px: tuple[int, int]
    """Width and height when upright."""
    provenance: dict[str, str] = field(default_factory=dict[str, str])
    """generator, seed and prompt_used, where a sidecar says them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """All pictures of a study."""

    originals: tuple[Original, ...]
    """By prompt and condition."""
    conditions: dict[str, tuple[str, ...]]
    """Domain => what it compares, by name."""
    licences: dict[str, str]
    """Condition => what its licence.txt says."""
    notices: tuple[str, ...]
    """What the operator should know."""


def read_arms(instrument: Instrument, folder: Path) -> Arms:
    """Check every picture of an instrument.

    Raises:
        StudyError: anything missing, doubled, unreadable or not a plain picture; the message lists it all.
    """
    folders = _conditions(folder)
    conditions = {name: tuple(sorted(domain.conditions or folders)) for name, domain in instrument.domains.items()}
    faults = [f"{one}/: no such folder, and domain {name} compares it" for name, names in conditions.items() for one in names if one not in folders]
    wanted = [(one, p.id) for p in instrument.prompts for one in conditions[p.domain] if one in folders]
    found, notices = dict[tuple[str, str], Original](), list[str]()
    for condition, prompt in wanted:
        try:
            found[condition, prompt] = _original(folders[condition], condition, prompt, photographs=condition == instrument.analysis.photograph)
        except DataError as error:
            faults.append(str(error).rstrip("."))
    faults += _same(found)
    if faults:
        raise StudyError(_list(folder, faults))
    notices += _sizes(list(found.values())) + _extra(folders, set(wanted))
    licences = {one: _licence(path) for one, path in folders.items()}
    return Arms(originals=tuple(found.values()), conditions=conditions, licences=licences, notices=tuple(notices))


def _conditions(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder. Put each condition's pictures into a folder of it: arms/kimchi/PROMPT.png, arms/photo/PROMPT.jpg.")
    named = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    faults = [f"{one.name}/: a condition's name is 1 to 64 small letters, digits, - and _" for one in named if not _NAME.fullmatch(one.name)]
    faults += [f"{one.name}/: is a link; copy the folder itself there" for one in named if one.is_symlink()]
    if faults:
        raise StudyError(_list(folder, faults))
    if not named:
        raise StudyError(f"{folder}: holds no folder, and each condition is one: arms/kimchi/, arms/photo/. Make them: kimchi study draw.")
    return {one.name: one for one in named}


def _original(folder: Path, condition: str, prompt: str, *, photographs: bool) -> Original:
    files = [path for path in sorted(folder.glob(f"{prompt}.*")) if path.suffix.lower() in SUFFIXES and path.stem == prompt]
    if not files:
        raise DataError(f"{condition}/{prompt}: missing ({', '.join(SUFFIXES)})")
    if len(files) > 1:
        raise DataError(f"{condition}/{prompt}: doubled ({', '.join(one.name for one in files)}); keep one")
    name = f"{condition}/{files[0].name}"
    if photographs and any("aihub" in part.lower() for part in files[0].resolve().parts):
        raise DataError(f"{name}: lies in a folder named after AIHub, whose terms forbid showing its pictures to raters; use photographs of your own")
    content = read_picture(files[0], name)
    return Original(
        condition=condition, prompt=prompt, path=files[0], sha256=hashlib.sha256(content).hexdigest(),
        size_px=measure(content, name), provenance=_provenance(files[0]),
    )  # fmt: skip


def _provenance(path: Path) -> dict[str, str]:
    for source in (path.with_suffix(".json"), path):
        try:
            record = read_provenance(source)
        except DataError:
            continue
        made = record["made_by"]
        generator = " ".join(filter(None, (str(record["model"]), str(made.get("model_hash", "")), f"kimchi {made.get('version', '')}")))
        return {"generator": generator, "seed": str(record["seed"]), "prompt_used": str(record["prompt"])}
    return {}


def _same(found: dict[tuple[str, str], Original]) -> Iterator[str]:
    """The same file under two conditions of one prompt compares a model with itself."""
    first = dict[tuple[str, str], str]()
    for one in found.values():
        other = first.setdefault((one.prompt, one.sha256), one.condition)
        if other != one.condition:
            yield f"{other}/{one.prompt} and {one.condition}/{one.prompt}: one and the same file"


def _sizes(originals: list[Original]) -> list[str]:
    """Sizes that differ are told: all pictures become as small as the smallest, and square."""
    notices = list[str]()
    sizes = {one.size_px for one in originals}
    if len(sizes) > 1:
        small, large = min(originals, key=lambda o: min(o.size_px)), max(originals, key=lambda o: min(o.size_px))
        notices.append(
            f"Sizes differ, from {_size(small)} ({small.condition}/{small.path.name}) to {_size(large)} ({large.condition}/{large.path.name}): "
            "all are cut to a square from their middle and made as small as the smallest."
        )
    wide = [one for one in originals if max(one.size_px) > _WIDE * min(one.size_px)]
    if wide:
        named = ", ".join(f"{one.condition}/{one.path.name}" for one in wide[:5])
        notices.append(f"{len(wide)} are long and lose their ends in the square: {named}{', ...' if len(wide) > 5 else ''}. Cut them yourself if that matters.")
    return notices


def _size(one: Original) -> str:
    return f"{one.size_px[0]} x {one.size_px[1]} px"


def _extra(folders: dict[str, Path], wanted: set[tuple[str, str]]) -> list[str]:
    files = [(name, path) for name, folder in folders.items() for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    extra = [f"{name}/{path.name}" for name, path in files if (name, path.stem) not in wanted and not path.name.startswith(".")]
    return [f"{len(extra)} pictures are not asked for and are left out: {', '.join(extra[:5])}{', ...' if len(extra) > 5 else ''}."] if extra else []


def _licence(folder: Path) -> str:
    path = folder / LICENCE
    if not path.is_file() or path.is_symlink():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(2000).strip()


def _list(folder: Path, faults: list[str]) -> str:
    more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return f"{folder}: {len(faults)} of the pictures cannot be used, and no study was made: {'; '.join(faults[:_LISTED])}{more}. Mend these and run it again."
