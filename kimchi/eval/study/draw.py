"""`kimchi study draw`: one picture a prompt, named by the prompt's id, each with its sidecar. Run again, it draws only what is missing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from kimchi.errors import DataError, StudyError
from kimchi.generation.provenance import read_provenance

from .schema import WORDINGS, Instrument, Prompt

Report = Callable[[str, int, int], None]


class Drawing(TypedDict, total=False):
    """How to draw, where the model's own way is not wanted."""

    steps: int
    guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawOutcome:
    """A condition's pictures."""

    folder: Path
    drawn: int
    found: int
    """There already, and kept."""
    wording: str
    model: str


def draw(
    instrument: Instrument,
    out: Path,
    *,
    model: str = "mini",
    wording: str = "",
    domains: tuple[str, ...] = (),
    seed: int = 0,
    report: Report = lambda stage, done, total: None,
    **settings: Unpack[Drawing],
) -> DrawOutcome:
    """Draw an instrument's prompts.

    Args:
        instrument: from `load_instrument`.
        out: arms/CONDITION.
        model: what `Kimchi.load` takes.
        wording: noun, rich, romanised or en; empty for what raters read. Where a prompt has no romanised noun, its English is drawn.
        domains: only these; empty for all.
        seed: of the set; each prompt draws its own from it, whatever else is drawn.
        report: hears how far it is.
        settings: steps and guidance; the model's own where absent.

    Raises:
        StudyError: an unknown wording or domain, or a picture there that was drawn otherwise.
        ModelError: no such model.
        OutputError: the folder cannot be written.
    """
    chosen = wording or instrument.shown
    prompts = _prompts(instrument, chosen, domains)
    texts = {one.id: getattr(one, chosen) or one.en for one in prompts}
    missing = [one.id for one in prompts if not _there(out / f"{one.id}.png", texts[one.id], prompt_seed(seed, one.id))]
    if missing:
        _draw_all({one: texts[one] for one in missing}, out, model, seed, report, settings)
    return DrawOutcome(folder=out, drawn=len(missing), found=len(prompts) - len(missing), wording=chosen, model=model)


def prompt_seed(seed: int, prompt: str) -> int:
    """A prompt's own seed: adding a prompt to an instrument changes no other picture."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{prompt}".encode(), digest_size=4).digest())


def _prompts(instrument: Instrument, wording: str, domains: tuple[str, ...]) -> list[Prompt]:
    if wording not in WORDINGS:
        raise StudyError(f"wording {wording!r}: a prompt has {', '.join(WORDINGS)}. Name one of them.")
    unknown = [one for one in domains if one not in instrument.domains]
    if unknown:
        raise StudyError(f"domain {unknown[0]!r}: {instrument.name} has {', '.join(instrument.domains)}. Name one of them.")
    return [one for one in instrument.prompts if not domains or one.domain in domains]


def _there(path: Path, text: str, seed: int) -> bool:
    """Whether a picture is there, whole, with its sidecar; another picture of that name is never drawn over."""
    if not path.exists():
        return False
    try:
        record = read_provenance(path)
    except DataError as error:
        raise StudyError(f"{path}: is no picture that KIMCHI drew, and nothing is drawn over it. Name another --out, or remove it.") from error
    if (record["prompt_typed"], record["seed"]) != (text, seed):
        raise StudyError(f"{path}: was drawn from {record['prompt_typed']!r} with seed {record['seed']}, not from {text!r} with {seed}. Name another --out.")
    # The sidecar is written last: an interrupted run leaves a picture without it.
    return path.with_suffix(".json").is_file()


def _draw_all(texts: dict[str, str], out: Path, model: str, seed: int, report: Report, settings: Drawing) -> None:
    from kimchi.generation.generate import Kimchi

    kimchi = Kimchi.load(model)
    for number, (one, text) in enumerate(texts.items(), start=1):
        # Alone, not in a batch: a picture must not depend on which others were missing.
        kimchi.generate(text, seed=prompt_seed(seed, one), batch=1, **settings).save(out / f"{one}.png")
        report("drawing", number, len(texts))
