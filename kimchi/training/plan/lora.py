"""The plan of a LoRA recipe."""

from dataclasses import replace

from kimchi.errors import ModelError, RecipeError
from kimchi.recipes import LoraRecipe, Source
from kimchi.training.batches import batch_sizes
from kimchi.training.loop import Report

from . import memory, speed
from .checks import problems
from .found import Card, Disk, LoraPlan, SourcePlan
from .memory import Choice, Memory
from .parts import Parts, read_parts
from .pictures import fitted
from .words import Cut, count_cut, read_words

_HALF = 2
"""Bytes of a number in the cache, which is float16."""


def plan_lora(recipe: LoraRecipe, *, measure: bool = False, report: Report | None = None) -> LoraPlan:
    """Everything that can be known of a run before it begins. Loads no weights.

    Args:
        measure: also train a network of this shape for a few steps here, with random weights.

    Raises:
        RecipeError, ModelError, DataError: the recipe cannot work anywhere. What only this machine lacks is told in the plan.
    """
    parts = read_parts(recipe)
    lacking: list[str] = []
    for problem in problems(recipe, parts):
        if not problem.here:
            raise problem.error
        lacking.append(str(problem.error))
    lacking = [*lacking, *(one for one in parts.lacking if " is not there" not in one)]
    notes = _notes(recipe, parts)
    gib, here, used = _chosen(recipe, parts, notes)
    choice = Choice(micro_batch=used.micro_batch, checkpointing=used.checkpointing)
    sizes = [count / recipe.share_batches for count in batch_sizes(recipe)]
    sources = tuple(_source(recipe, source, count, parts, notes, report) for source, count in zip(recipe.sources, sizes, strict=True))
    prior = sum(own.pictures or 0 for own in sources if own.learn == "prior")
    work = speed.work_of(recipe, parts, choice, prior)
    paces = speed.paces(recipe, work)
    if measure:
        paces += (speed.measured(recipe, parts, choice, work),)
    known = [own.pictures for own in sources if own.pictures is not None]
    return LoraPlan(
        kind="lora", name=recipe.name, steps=recipe.steps, batch=recipe.batch, samples=recipe.steps * recipe.batch,
        pictures=sum(known) if len(known) == len(sources) else None, trained=used.adapter // 4, precision=recipe.precision,
        resolution_px=recipe.resolution_px, sources=sources, memory=used, memory_gib=gib, memory_here=here,
        cards=tuple(_card(recipe, parts, size) for size in memory.CARDS_GIB),
        tflop_a_picture=work.a_picture / 1e12, paces=paces, disk=_disk(recipe, parts, used, known, len(sources)), lacking=tuple(lacking), notes=tuple(notes),
    )  # fmt: skip


def _notes(recipe: LoraRecipe, parts: Parts) -> list[str]:
    notes: list[str] = []
    if recipe.text_lora is not None and recipe.machine.cache_text:
        notes.append("text_lora changes the encoder at every step, so captions' states are computed anew and none are cached.")
    if not memory.is_clip(parts):
        notes.append(f"{recipe.text_encoder} is no CLIP text tower: what it takes of memory and time is not counted.")
    if recipe.lora.dora:
        notes.append("dora computes the length of every weight at each step; that is counted as far as torch's meta device shows it.")
    return notes


def _chosen(recipe: LoraRecipe, parts: Parts, notes: list[str]) -> tuple[float, bool, Memory]:
    """GiB chosen for, whether they are this machine's, and where they go: for a GPU recipe on a machine without one, the smallest card that holds it."""
    here, cpu = _memory_here(recipe)
    said = ""
    for gib in (here,) if here is not None else memory.CARDS_GIB:
        try:
            choice = memory.choose(recipe, gib, cpu=cpu, parts=parts)
        except RecipeError as error:
            said = str(error)
            continue
        return gib, here is not None, memory.memory_of(recipe, choice, cpu=cpu, parts=parts)
    notes.append(said)
    smallest = Choice(micro_batch=recipe.machine.micro_batch or 1, checkpointing=recipe.machine.gradient_checkpointing != "off")
    return here or memory.CARDS_GIB[-1], here is not None, memory.memory_of(recipe, smallest, cpu=cpu, parts=parts)


def _memory_here(recipe: LoraRecipe) -> tuple[float | None, bool]:
    """GiB that a run on this machine may have, and whether that is a CPU's; None for a recipe that wants a GPU where there is none."""
    import torch

    if recipe.machine.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / memory.GIB, False
    # bf16 on a machine without a GPU, and of full size: written for another machine.
    small = recipe.resolution_px < 256
    return (memory.ram_gib(), True) if recipe.machine.device == "cpu" or small else (None, False)


def _card(recipe: LoraRecipe, parts: Parts, gib: float) -> Card:
    try:
        choice = memory.choose(recipe, gib, parts=parts)
    except RecipeError:
        return Card(memory_gib=gib, micro_batch=None, checkpointing=False, peak_gib=None)
    peak = memory.memory_of(recipe, choice, parts=parts).peak
    return Card(memory_gib=gib, micro_batch=choice.micro_batch, checkpointing=choice.checkpointing, peak_gib=peak / memory.GIB)


def _source(recipe: LoraRecipe, source: Source, count: float, parts: Parts, notes: list[str], report: Report | None) -> SourcePlan:
    words = read_words(source, recipe.held_out.split)
    empty = SourcePlan(
        captions=source.captions, learn=source.learn, a_batch=count, pictures=None, held_out=None, epochs=None, fitted=None, cut=(),
    )  # fmt: skip
    if not words.there:
        return empty
    try:
        from kimchi.models.tokens import counter

        cut: tuple[Cut, ...] = count_cut(words, counter(recipe.text_encoder), memory.tokens(parts) - 2) if parts.text_read else ()
    except ModelError as error:
        cut = ()
        notes.append(f"captions were not counted in tokens: {error}")
    return replace(
        empty, pictures=words.pictures, held_out=words.held_out if recipe.held_out.every else None, epochs=recipe.steps * count / words.pictures,
        fitted=fitted(recipe, source, words, report), cut=cut,
    )  # fmt: skip


def _distinct(recipe: LoraRecipe, source: Source) -> int:
    """Different texts that a source is shown with, without the empty one."""
    words = read_words(source, recipe.held_out.split)
    return words.distinct + (len(words.nouns) if recipe.share_of(source, "origin_share") else 0)


def _disk(recipe: LoraRecipe, parts: Parts, used: Memory, known: list[int], sources: int) -> Disk:
    latent = int(parts.unet["in_channels"]) * (recipe.resolution_px // parts.vae_factor) ** 2
    # Mean and spread of every crop of every picture.
    latents = 2 * _HALF * latent * recipe.aspect.crops * sum(known)
    # And the empty prompt.
    distinct = 1 + sum(_distinct(recipe, source) for source in recipe.sources)
    text = _HALF * memory.tokens(parts) * int(parts.unet["cross_attention_dim"]) * distinct
    live = recipe.text_lora is not None or not recipe.machine.cache_text
    whole = len(known) == sources
    return Disk(
        latents=latents if whole else None, text=0 if live else text if whole else None, checkpoints=2 * (used.adapter + used.moments + used.average),
        adapter=used.adapter // (2 if recipe.adapter_dtype == "fp16" else 1),
    )  # fmt: skip
