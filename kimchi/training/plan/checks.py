"""What a recipe cannot do, found before anything is loaded: from the recipe, the configurations, and what lies in the folders it names."""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimchi.data.cultures import load_culture
from kimchi.errors import DataError, KimchiError, ModelError, RecipeError
from kimchi.recipes import LoraRecipe, Source
from kimchi.recipes.strict import Strict

from .parts import CLIP_TYPES, Parts, is_folder_name, read_parts
from .words import Words, read_words


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that stands in the way."""

    error: KimchiError
    here: bool = False
    """Whether it is this machine that lacks something: the recipe may run elsewhere."""


def check(recipe: LoraRecipe) -> None:
    """Refuse a recipe that cannot work on this machine, before any weights load.

    Raises:
        RecipeError, ModelError, DataError: the first thing that stands in the way; value, rule and next step.
    """
    for problem in problems(recipe, read_parts(recipe)):
        raise problem.error


def refuse_anywhere(recipe: LoraRecipe) -> None:
    """Refuse what would not work on any machine; does not need torch.

    Raises:
        RecipeError, ModelError, DataError: as for check.
    """
    for problem in _anywhere(recipe, read_parts(recipe)):
        if not problem.here:
            raise problem.error


def problems(recipe: LoraRecipe, parts: Parts) -> Iterator[Problem]:
    """Everything that stands in the way, the cheapest to find first."""
    yield from _anywhere(recipe, parts)
    yield from _machine(recipe)


def _anywhere(recipe: LoraRecipe, parts: Parts) -> Iterator[Problem]:
    for said in _numbers(recipe, parts):
        yield Problem(RecipeError(f"{recipe.name}: {said}"))
    for said in _ignored(recipe):
        yield Problem(RecipeError(f"{recipe.name}: {said}"))
    yield from _encoder(recipe, parts)
    yield from _start(recipe)
    yield from _sources(recipe)


def _numbers(recipe: LoraRecipe, parts: Parts) -> Iterator[str]:
    side, aspect, device = parts.side_px, recipe.aspect, recipe.machine.device
    if recipe.machine.micro_batch > recipe.batch:
        yield f"machine.micro_batch is {recipe.machine.micro_batch}, and a batch has {recipe.batch}. Use 0, or at most the batch."
    if recipe.batch < len(recipe.sources):
        yield f"batch is {recipe.batch} and there are {len(recipe.sources)} sources; each fills at least one place. Use a larger batch."
    if recipe.resolution_px % side:
        near = max(side, round(recipe.resolution_px / side) * side)
        yield f"resolution_px is {recipe.resolution_px}, and this base halves pictures down to a {side}th: use a multiple of {side}, such as {near}."
    if aspect.fit == "buckets" and aspect.step_px % side:
        yield f"aspect.step_px is {aspect.step_px}, and this base halves pictures down to a {side}th: use a multiple of {side}."
    if recipe.optimiser.name == "adamw8bit" and device.startswith("cpu"):
        yield "optimiser.name is 'adamw8bit', and bitsandbytes trains on CUDA alone; device is 'cpu'. Use adamw."
    if recipe.loss.noise_offset and parts.scheduler.get("rescale_betas_zero_snr"):
        yield "loss.noise_offset shifts the noise, and this base's schedule ends in pure noise, which must not be shifted. Set it to 0."


def _ignored(recipe: LoraRecipe) -> Iterator[str]:
    """Options that are set and would do nothing: whoever set them believes otherwise."""
    optimiser, loss, held_out, samples = recipe.optimiser, recipe.loss, recipe.held_out, recipe.samples
    rules: list[tuple[bool, Strict, str, tuple[str, ...], str]] = [
        (recipe.aspect.fit == "buckets", recipe.aspect, "aspect.", ("step_px", "largest"), "with aspect.fit: square there are no buckets. Set fit to buckets"),
        (recipe.text_lora is not None, recipe, "", ("text_rate",), "without text_lora nothing has that rate. Add text_lora"),
        (optimiser.schedule == "cosine", optimiser, "optimiser.", ("last_rate",), "only the schedule cosine has a last rate. Use cosine"),
        (optimiser.schedule == "cosine_with_restarts", optimiser, "optimiser.", ("restarts",), "only cosine_with_restarts restarts. Use it"),
        (any(s.learn == "base" for s in recipe.sources), loss, "loss.", ("features",), "no source learns from the base. Give one learn: base"),
        (loss.contrast > 0, loss, "loss.", ("contrast_margin",), "loss.contrast is 0. Raise it"),
        (recipe.timesteps.density == "logit_normal", recipe.timesteps, "timesteps.", ("mean", "spread"), "only logit_normal has it. Use that density"),
        (held_out.every > 0, held_out, "held_out.", _names(held_out), "held_out.every is 0, so nothing is measured. Set it"),
        (samples.every > 0, samples, "samples.", _names(samples), "samples.every is 0, so nothing is drawn. Set it"),
    ]
    for used, section, prefix, names, why in rules:
        for name in () if used else names:
            if _changed(section, name):
                yield f"{prefix}{name} is {getattr(section, name)!r} and would be ignored: {why}, or leave {name} out."
    if any(recipe.share_of(s, "origin_share") for s in recipe.sources if not recipe.share_of(s, "noun_share")):
        yield "origin_share would be ignored by a source whose noun_share is 0: it is a share of the nouns. Raise noun_share, or leave origin_share out."
    for i, source in enumerate(recipe.sources):
        name = "split" if source.captions.startswith("sample-world:") else "per_concept"
        if _changed(source, name):
            yield f"sources.{i}.{name} is {getattr(source, name)!r} and would be ignored by {source.captions}. Leave it out."


def _names(section: Strict) -> tuple[str, ...]:
    return tuple(name for name in type(section).model_fields if name != "every")


def _changed(section: Strict, name: str) -> bool:
    # Not by whether it was given: a recipe printed with every default is the same recipe.
    return getattr(section, name) != type(section).model_fields[name].get_default(call_default_factory=True)


def _encoder(recipe: LoraRecipe, parts: Parts) -> Iterator[Problem]:
    gone = [name for name in (recipe.base, recipe.text_encoder) if is_folder_name(name) and not Path(name).expanduser().exists()]
    for field, name in (("base", recipe.base), ("text_encoder", recipe.text_encoder)):
        if name in gone:
            make = "`kimchi align` makes such folders" if field == "text_encoder" else "Download it there"
            yield Problem(ModelError(f"{recipe.name}: {field} is {name}, and nothing is there. {make}; or name another with --set {field}=..."), here=True)
    wanted, given = int(parts.unet["cross_attention_dim"]), parts.text_width
    if recipe.base not in gone and parts.text_read and given and given != wanted:
        yield Problem(
            RecipeError(
                f"{recipe.name}: text_encoder {recipe.text_encoder!r} gives {given}-wide states; {recipe.base} reads {wanted}. "
                "Choose an encoder of that width, or give it an adapter with `kimchi align`."
            )
        )
    kind = str(parts.text.get("model_type", "clip_text_model"))
    if recipe.text_lora and kind not in CLIP_TYPES:
        said = f"{recipe.name}: text_lora is set, and {recipe.text_encoder} is a {kind}: only a CLIP text tower takes one. Leave text_lora out."
        yield Problem(RecipeError(said))


def _start(recipe: LoraRecipe) -> Iterator[Problem]:
    if not recipe.start_from:
        return
    folder = Path(recipe.start_from).expanduser()
    if not (folder / "adapter.safetensors").is_file():
        said = f"{recipe.name}: start_from is {folder}, and no adapter.safetensors is there. Train that run first, or leave start_from empty."
        yield Problem(ModelError(said), here=True)
        return
    try:
        made: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8")).get("lora", {})
    except (OSError, ValueError):
        made = {}
    for name in ("rank", "targets"):
        if name in made and made[name] != getattr(recipe.lora, name):
            yield Problem(
                RecipeError(f"{recipe.name}: lora.{name} is {getattr(recipe.lora, name)!r}, and {folder} was made with {made[name]!r}. Use the same.")
            )


def _sources(recipe: LoraRecipe) -> Iterator[Problem]:
    try:
        load_culture(recipe.culture)
    except KimchiError as error:
        yield Problem(error)
        return
    read = [(source, read_words(source, recipe.held_out.split)) for source in recipe.sources]
    for source, words in read:
        yield from _source(recipe, source, words)
    if recipe.held_out.every and all(words.there for _, words in read) and not any(words.held_out for _, words in read):
        said = f"{recipe.name}: held_out.every is {recipe.held_out.every}, and no source has pictures of the split {recipe.held_out.split!r}."
        yield Problem(DataError(f"{said} Name a split that they have, or set held_out.every to 0."))
    if recipe.loss.contrast and all(words.there for _, words in read) and not _mistaken(recipe, read):
        said = f"{recipe.name}: loss.contrast is {recipe.loss.contrast:g}, and nothing that is learned from pictures has a look-alike in the culture"
        yield Problem(RecipeError(f"{said} {recipe.culture}. Set it to 0."))


def _source(recipe: LoraRecipe, source: Source, words: Words) -> Iterator[Problem]:
    if words.fault:
        yield Problem(words.fault, here=not words.there)
    elif not words.pictures:
        said = f"{source.captions}: no pictures of the split {source.split!r}. Prepare more pictures, or name another split."
        yield Problem(DataError(said))
    elif source.learn != "pictures" and not words.english:
        said = f"{source.captions}: learn is {source.learn!r}, which asks the base about English, and no caption there has an English twin."
        yield Problem(DataError(f"{said} Prepare it with a captioner, or use learn: pictures."))


def _mistaken(recipe: LoraRecipe, read: list[tuple[Source, Words]]) -> bool:
    from kimchi.training.objectives.look_alikes import LookAlikes

    known = LookAlikes(load_culture(recipe.culture))
    return any(known.of(noun) for source, words in read if source.learn == "pictures" for noun in words.nouns)


def _machine(recipe: LoraRecipe) -> Iterator[Problem]:
    """What only this machine can say; torch is imported last, since that alone takes longer than everything above."""
    wanted: dict[str, str] = {f"machine.trackers names {one}": one for one in recipe.machine.trackers}
    if recipe.optimiser.name == "adamw8bit":
        wanted["optimiser.name is 'adamw8bit'"] = "bitsandbytes"
    for said, package in wanted.items():
        if importlib.util.find_spec(package) is None:
            yield Problem(RecipeError(f"{recipe.name}: {said}, and the package {package} is not installed. Run pip install {package}."), here=True)
    yield from _device(recipe)


def _device(recipe: LoraRecipe) -> Iterator[Problem]:
    import torch

    from kimchi.models.devices import find_device

    try:
        device = find_device(recipe.machine.device)
    except RecipeError as error:
        yield Problem(RecipeError(f"{recipe.name}: {error}"), here=True)
        return
    if recipe.optimiser.name == "adamw8bit" and device.type != "cuda":
        yield Problem(RecipeError(f"{recipe.name}: optimiser.name is 'adamw8bit', and this machine has no CUDA device. Use adamw here."), here=True)
    if recipe.precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        yield Problem(RecipeError(f"{recipe.name}: precision is bf16, which {name} does not compute. Use precision: fp32 on it."), here=True)
    if recipe.machine.compile and device.type == "cuda" and importlib.util.find_spec("triton") is None:
        yield Problem(RecipeError(f"{recipe.name}: machine.compile needs the package triton on a GPU. Install it, or leave compile out."), here=True)
    if recipe.machine.compile and device.type == "cpu" and not _compiler():
        said = f"{recipe.name}: machine.compile needs a C++ compiler on a CPU, and none is on the PATH. Install g++, or leave compile out."
        yield Problem(RecipeError(said), here=True)


def _compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++"))
