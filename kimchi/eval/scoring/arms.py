"""Pictures by condition and prompt, found and held against the prompts before anything is measured: one list of all that is wrong."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kimchi.data.files import sha256
from kimchi.errors import DataError
from kimchi.eval.metrics import Asked, Report, Shown

from .answers import Answers, key_of

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_NAMED = 20
"""Names in a list of what is wrong; more than a person would read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Every picture that can be measured."""

    pictures: tuple[Shown, ...]
    """By the names of their conditions, then in the order of the prompts."""
    missing: tuple[str, ...]
    """condition/prompt without a picture; empty unless that is allowed."""


def find_arms(folder: Path, prompts: Sequence[Asked], answers: Answers, report: Report, *, incomplete: bool = False) -> Arms:
    """The pictures of a folder of conditions.

    Raises:
        DataError: no conditions; or pictures that are missing (unless `incomplete`), doubled, of no prompt, or unreadable: all in one list.
    """
    try:
        conditions = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror}). It must hold a folder of pictures for each condition: kimchi/, sd21/, photo/."
        ) from error
    if not conditions:
        raise DataError(f"{folder}: holds no folder of pictures. Put each condition's into one of its own: {folder}/kimchi/PROMPT_ID.png.")
    wrong: dict[str, list[str]] = {"missing": [], "doubled": [], "of no prompt": [], "unreadable": []}
    shown = [one for condition in conditions for one in _condition(condition, prompts, wrong)]
    wrong["unreadable"] = _unreadable(shown, answers, report)
    missing = tuple(wrong["missing"])
    if incomplete:
        wrong["missing"] = []
    if any(wrong.values()):
        raise DataError(f"{folder}: {_listed(wrong)}. Each condition needs one readable picture for each prompt, named PROMPT_ID.png" + _next(wrong))
    return Arms(pictures=tuple(shown), missing=missing)


def pictures_by_prompt(folder: Path, ids: set[str]) -> dict[str, Path]:
    """The picture of each prompt in a folder; prompts without one, and with several, are left out."""
    found = _by_name(folder.iterdir() if folder.is_dir() else ())
    return {name: paths[0] for name, paths in found.items() if name in ids and len(paths) == 1}


def _condition(folder: Path, prompts: Sequence[Asked], wrong: dict[str, list[str]]) -> list[Shown]:
    found, known = _by_name(folder.iterdir()), {prompt.id for prompt in prompts}
    name = unicodedata.normalize("NFC", folder.name)
    # A general prompt may be drawn by two conditions and a cultural one by five.
    prompts = [prompt for prompt in prompts if not prompt.conditions or name in prompt.conditions]
    wrong["of no prompt"] += [f"{folder.name}/{path.name}" for name, paths in found.items() if name not in known for path in paths]
    wrong["doubled"] += [" and ".join(f"{folder.name}/{path.name}" for path in paths) for name, paths in found.items() if name in known and len(paths) > 1]
    wrong["missing"] += [f"{folder.name}/{prompt.id}" for prompt in prompts if prompt.id not in found]
    return [
        Shown(condition=name, prompt=prompt, path=path, sha256=sha256(path.read_bytes(), 64)) for prompt in prompts for path in found.get(prompt.id, [])[:1]
    ]


def _by_name(paths: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(paths):
        if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file():
            # macOS takes Hangul apart in file names; the same name would be another prompt.
            found.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
    return found


def _unreadable(shown: Sequence[Shown], answers: Answers, report: Report) -> list[str]:
    """Those that cannot be decoded; a picture that was decoded once is not decoded again."""
    wrong: list[str] = []
    for done, one in enumerate(shown, 1):
        key = key_of("decodes", one.sha256)
        if answers.get(key) is None:
            try:
                one.image()
                answers.put(key, True)
            except DataError:
                wrong.append(f"{one.condition}/{one.path.name}")
        report("looking through pictures", done, len(shown))
    return wrong


def _listed(wrong: dict[str, list[str]]) -> str:
    said = [(kind, names) for kind, names in wrong.items() if names]
    return "; ".join(f"{len(names)} {kind}: {', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''}" for kind, names in said)


def _next(wrong: dict[str, list[str]]) -> str:
    only_missing = not any(names for kind, names in wrong.items() if kind != "missing")
    return ("; set `incomplete: true` to score those that are there" if only_missing else "") + "."
