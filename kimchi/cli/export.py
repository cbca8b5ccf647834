"""`kimchi export`: a run in the formats of other programs, and their files as runs."""

from pathlib import Path
from typing import Annotated

import typer

from .show import finish, say

Source = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or mini; for --format kimchi, a .safetensors file.")]
FormatOption = Annotated[str, typer.Option("--format", help="diffusers, kohya (ComfyUI, A1111), merged (pipeline), backendai (service), or kimchi (import).")]
OutOption = Annotated[Path | None, typer.Option(help="Folder to write; exports/NAME-FORMAT if absent.")]
DtypeOption = Annotated[str, typer.Option(help="fp16 or fp32; the adapter's own if absent, fp16 for a pipeline.")]
BaseOption = Annotated[str, typer.Option(help="For --format kimchi: the base the file was trained on.")]
EncoderOption = Annotated[str, typer.Option(help="For --format kimchi: its text encoder.")]
PushOption = Annotated[str, typer.Option(metavar="OWNER/NAME", help="Upload it to the hub as well, with the token in HF_TOKEN.")]


def export(
    run: Source,
    format: FormatOption,
    out: OutOption = None,
    dtype: DtypeOption = "",
    base: BaseOption = "",
    text_encoder: EncoderOption = "",
    push: PushOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON: the outcome.")] = False,
) -> None:
    """A run => a folder that other programs open.

    An earlier export of the same run is replaced, and nothing else is.

    \b
    kimchi export runs/x --format kohya
    kimchi export x.safetensors --format kimchi --base mini-base
        --text-encoder mini-aligned-clip --out runs/x
    """
    from kimchi.models.export import export as write

    outcome = write(run, format, out=out, dtype=dtype, base=base, text_encoder=text_encoder, push=push, say=say)
    for notice in outcome.notices:
        say(notice)
    finish(outcome, [str(outcome.path)], next_step(format, outcome.folder), as_json=as_json)


def next_step(format: str, folder: Path) -> str:
    """What a person does with an export."""
    if format == "kohya":
        return f"read {folder / 'README.md'}, and put the file into models/loras of ComfyUI or models/Lora of A1111"
    if format == "backendai":
        return f"read {folder / 'SERVING.md'}, or serve it here: kimchi serve --model {folder}"
    return f"read {folder / 'README.md'}, then: kimchi generate --model {folder} '한국의 라면을 그려줘'"
