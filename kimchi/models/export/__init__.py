"""A run in the formats of other programs: a file a format, class Format. The folder's listing is the register.

What comes out is a folder: the weights, README.md (the model card) and card.json, which names every file that belongs to it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kimchi.data.files import hash_file, write_json, write_text
from kimchi.errors import ModelError
from kimchi.models import model_card, tensor_files
from kimchi.parts import find

from . import _folder, _push
from ._base import CARD, Exporter, Run

FAMILY = "kimchi.models.export"
HOME = Path("exports")
"""Where exports go by default, from where one stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOutcome:
    """What an export left."""

    folder: Path
    path: Path
    """What another program opens: a file in the folder, or the folder."""
    format: str
    bytes: int
    """Size of all its files."""
    notices: list[str]
    """What a person must know before using it."""
    pushed: str = ""
    """Address on the hub, if it was uploaded."""


def export(
    source: str, format: str, *, out: Path | None = None, dtype: str = "", base: str = "", text_encoder: str = "", push: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> ExportOutcome:  # fmt: skip
    """Write a run in another format, whole or not at all; an earlier export of the same run is replaced, and nothing else.

    Args:
        source: a run folder, or mini; for the format kimchi, a .safetensors file in kohya's format.
        out: the folder; by default exports/NAME-FORMAT.
        dtype: fp16 or fp32; empty for the adapter's own, and for fp16 in a merged folder.
        base, text_encoder: for the format kimchi: what the file was trained with.
        push: OWNER/NAME on the hub, to which the folder is uploaded with the token in HF_TOKEN.
        say: hears what goes on.

    Raises:
        RecipeError: no such format. ModelError: no run, another base or encoder than it was trained with, or one no stock class reads.
        OutputError: a place that cannot be written or is taken, or an upload that may not or cannot be made.
    """
    kind: type[Exporter] = find(FAMILY, "Format", format)
    chosen = kind()
    _check_options(chosen, format, dtype, base, text_encoder)
    run = chosen.open(source, base, text_encoder)
    token = _push.check(push, run) if push else ""
    run = replace(run, shown=model_card.for_strangers(run.card) if push else run.card)
    folder = out or HOME / f"{run.name}-{format}"
    mark = {"format": format, "of": run.digest}
    with _folder.whole(folder, mark, say) as place:
        notices = chosen.notices(run)
        main = _fill(chosen, run, place, mark, dtype, notices)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    address = _push.upload(folder, push, token, say) if push else ""
    return ExportOutcome(folder=folder, path=folder / main, format=format, bytes=size, notices=notices, pushed=address)


def _check_options(chosen: Exporter, format: str, dtype: str, base: str, text_encoder: str) -> None:
    if dtype and dtype not in tensor_files.DTYPES:
        raise ModelError(f"dtype {dtype!r}: not one of {', '.join(tensor_files.DTYPES)}. Use one of these, or leave it out.")
    if (base or text_encoder) and not chosen.needs_names:
        raise ModelError(f"format {format}: a run names its base and encoder itself. Leave --base and --text-encoder out; they belong to --format kimchi.")
    if chosen.needs_names and not (base and text_encoder):
        raise ModelError(f"format {format}: the file does not say what it was trained with. Name both with --base and --text-encoder.")


def _fill(chosen: Exporter, run: Run, place: Path, mark: dict[str, str], dtype: str, notices: list[str]) -> str:
    main = chosen.write(run, place, tensor_files.DTYPES.get(dtype))
    write_text(place / "README.md", model_card.write(run.shown, run.recipe, mark["format"], main, chosen.relation, notices))
    files = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    said: dict[str, Any] = {**mark, "files": [*files, CARD], "kimchi": version("kimchi-diffusion")}
    hashes = {name: hash_file(place / name) for name in files if name.endswith(".safetensors")}
    # Last: a folder with this file is whole.
    write_json(place / CARD, {**run.shown, "export": said, "sha256": hashes})
    return main
