"""A plan as lines of text."""

from collections.abc import Iterator

from .found import Card, Disk, Fitted, LoraPlan, Pace, SourcePlan, TrainingPlan
from .memory import GIB, SLACK, Memory
from .words import Cut

SHOWN = 5
"""Buckets that are listed."""


def describe(found: LoraPlan | TrainingPlan) -> list[str]:
    """A plan as lines of text."""
    seen = "not known" if found.pictures is None else f"{found.pictures:,}"
    lines = [f"{found.steps:,} steps, batches of {found.batch}: {found.samples:,} samples from {seen} pictures"]
    if isinstance(found, LoraPlan):
        lines += [line for source in found.sources for line in _source(source)]
        lines += [*_memory(found), *_speed(found), _disk(found.disk), *(f"missing here: {one}" for one in found.lacking)]
    return [*lines, *(f"note: {note}" for note in found.notes)]


def _source(of: SourcePlan) -> Iterator[str]:
    if of.pictures is None:
        yield f"source {of.captions} ({of.learn}, {of.a_batch:g} of each batch): not on this machine"
        return
    times = "" if of.epochs is None else f", each seen {of.epochs:,.1f} times"
    held_out = "" if of.held_out is None else f"; {of.held_out:,} held out"
    yield f"source {of.captions} ({of.learn}, {of.a_batch:g} of each batch): {of.pictures:,} pictures{times}{held_out}"
    if of.fitted:
        yield from _fitted(of.fitted)
    for cut in of.cut:
        yield _cut(cut)


def _fitted(of: Fitted) -> Iterator[str]:
    first = ", ".join(f"{shape} px {count:,}" for shape, count in list(of.buckets.items())[:SHOWN])
    more = f", and {len(of.buckets) - SHOWN} more shapes" if len(of.buckets) > SHOWN else ""
    yield f"  shapes: {first}{more} (by the sizes of {of.looked_at:,})"
    yield f"  lose over 10 % of their area: {of.cut_much:,}; over 25 %: {of.cut_very_much:,}; enlarged: {of.enlarged:,}; dropped: 0"
    if of.unreadable:
        yield f"  cannot be read: {of.unreadable:,} of those looked at; training stops at such a picture and names it"


def _cut(of: Cut) -> str:
    return f"  {of.form} captions longer than the encoder reads: {of.cut:,} of {of.captions:,} counted; the longest has {of.longest} tokens"


def _memory(found: LoraPlan) -> Iterator[str]:
    of, gib = found.memory, GIB
    where = f"the {found.memory_gib:.0f} GiB {'of this machine' if found.memory_here else 'card, the smallest that holds it'}"
    yield (
        f"memory at {found.resolution_px} px, {found.precision}, for {where}: peak {of.peak / gib:.1f} GiB with {of.micro_batch} samples together"
        f"{', activations computed twice' if of.checkpointing else ''}"
    )
    yield (
        f"  training {of.training / gib:.2f}: frozen weights {of.weights / gib:.2f}, adapter {of.adapter / gib:.3f}, gradients {of.gradients / gib:.3f}, "
        f"moments {of.moments / gib:.3f}, average {of.average / gib:.3f}, activations {of.activations / gib:.2f} ({of.sample / gib:.3f} a sample)"
    )
    yield f"  before it, filling the cache {of.caching / gib:.2f}{_drawing(of)}"
    yield f"  of which estimates: {of.overhead / gib:.1f} for the device and its libraries, {SLACK:.0%} of the activations for workspaces and gaps"
    yield "  by size of GPU: " + "; ".join(map(_card, found.cards))


def _drawing(of: Memory) -> str:
    return f"; progress pictures {of.drawing / GIB:.2f}" if of.drawing else ""


def _card(of: Card) -> str:
    if of.micro_batch is None:
        return f"{of.memory_gib:g} GiB too small"
    return f"{of.memory_gib:g} GiB {of.micro_batch} together{' twice computed' if of.checkpointing else ''}, {of.peak_gib:.1f}"


def _speed(found: LoraPlan) -> Iterator[str]:
    yield f"work: {found.tflop_a_picture:.3f} TFLOP a picture"
    for pace in found.paces:
        yield _pace(pace)


def _pace(of: Pace) -> str:
    if of.per_second is None:
        return f"  {of.machine}: not known ({of.source})"
    return f"  {of.machine}: {of.per_second:,.1f} pictures a second, {of.hours:,.2f} hours ({of.source})"


def _disk(of: Disk) -> str:
    parts = {"latents": of.latents, "text states": of.text, "checkpoints": of.checkpoints, "adapter": of.adapter}
    return "disk: " + ", ".join(f"{name} {'not known' if size is None else f'{size / 1e9:,.2f} GB'}" for name, size in parts.items())
