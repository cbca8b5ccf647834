"""From the numbers of a step to tensors: what each group of its samples is shown, made on the CPU ahead of time.

Legend: B samples, C channel, H W latents, L positions, D width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from kimchi.data.cultures import load_culture
from kimchi.recipes import LoraRecipe

from .batches import Batches, Sample, noise
from .cache import Latents
from .losses import Noising
from .objectives.ask import Group
from .objectives.look_alikes import LookAlikes
from .rows import Table
from .team import Team


class States(Protocol):
    """Captions => states."""

    def of(self, captions: Sequence[str]) -> torch.Tensor:
        """States B L D, fp32, on the CPU."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Samples of one shape that pass through the UNet together, on the CPU."""

    learn: Any
    """As their source says it."""
    ids: tuple[str, ...]
    """The pictures' names, for messages."""
    words: tuple[str, ...]
    weight_B: torch.Tensor
    """What each sample's loss counts in the loss of the batch; over a whole batch of equal sources they add up to 1."""
    tensors: dict[str, torch.Tensor]
    """Of a Group, by name; without text_BLD where the text encoder is trained."""


class Feed:
    """The pieces of any step.

    Args:
        latents, tables: of each source.
        states: of what the samples are shown with; None where the text encoder is trained and must be asked anew.
        teacher: states of the base's own encoder; None where no source learns from the base.
        micro_batch: samples of a piece, at most.
    """

    def __init__(
        self, recipe: LoraRecipe, tables: Sequence[Table], latents: Sequence[Latents], noising: Noising, states: States | None, teacher: States | None,
        *, team: Team, micro_batch: int,
    ) -> None:  # fmt: skip
        shapes = [[own.shape(row) for row in range(len(table.rows))] for own, table in zip(latents, tables, strict=True)]
        self.recipe, self.tables, self.latents, self.noising = recipe, tables, latents, noising
        self.states, self.teacher, self.team, self.micro_batch = states, teacher, team, micro_batch
        self.batches = Batches(recipe, tables, shapes, noising.steps)
        self.look_alikes = LookAlikes(load_culture(recipe.culture)) if recipe.loss.contrast else None

    def at(self, step: int) -> list[Piece]:
        """What this process computes of a step."""
        mine = [sample for sample in self.batches.at(step) if sample.position % self.team.size == self.team.rank]
        return [self._piece(step, part) for part in self._parted(mine)]

    def names(self, step: int) -> str:
        """The pictures of a step, for a message; of all processes."""
        return ", ".join(dict.fromkeys(self.tables[s.table].rows[s.row].id for s in self.batches.at(step)))

    def _parted(self, samples: list[Sample]) -> Iterator[list[Sample]]:
        """Samples of one shape that are asked the same, micro_batch at a time."""
        groups: dict[tuple[Any, ...], list[Sample]] = {}
        for sample in samples:
            learn, shape = self.tables[sample.table].source.learn, self.latents[sample.table].shape(sample.row)
            # What is only denoised is asked the same whatever its source.
            groups.setdefault((learn if learn == "base" or self.look_alikes else "pictures", shape), []).append(sample)
        for group in groups.values():
            count = -(-len(group) // self.micro_batch)
            size = -(-len(group) // count)
            yield from (group[i : i + size] for i in range(0, len(group), size))

    def _piece(self, step: int, samples: list[Sample]) -> Piece:
        rows = [self.tables[s.table].rows[s.row] for s in samples]
        tensors = self._noised(step, samples)
        learn = self.tables[samples[0].table].source.learn
        words = [s.words for s in samples]
        if self.states is not None:
            tensors["text_BLD"] = self.states.of(words)
        if learn == "base" and self.teacher is not None:
            tensors["teacher_BLD"] = self.teacher.of([row.twin_of(s.words) for row, s in zip(rows, samples, strict=True)])
        if learn == "pictures" and self.look_alikes is not None and self.states is not None:
            swapped = {i: other for i, (row, s) in enumerate(zip(rows, samples, strict=True)) if (other := self.look_alikes.swap(s.words, row.noun, step))}
            if swapped:
                tensors |= {"other_R": torch.tensor(list(swapped)), "other_RLD": self.states.of(list(swapped.values()))}
        weight_B = torch.tensor([self.tables[s.table].source.weight for s in samples]) / self.recipe.batch
        return Piece(learn=learn, ids=tuple(row.id for row in rows), words=tuple(words), weight_B=weight_B, tensors=tensors)

    def _noised(self, step: int, samples: list[Sample]) -> dict[str, torch.Tensor]:
        latents: list[torch.Tensor] = []
        added: list[torch.Tensor] = []
        for s in samples:
            mean_1CHW, std_1CHW = self.latents[s.table].posterior([s.row], [s.crop])
            posterior_CHW, noise_CHW = noise(self.recipe.seed, step, s.position, tuple(mean_1CHW.shape[1:]))
            latents.append(mean_1CHW[0] + std_1CHW[0] * posterior_CHW)
            added.append(noise_CHW)
        noise_BCHW = torch.stack(added)
        if self.recipe.loss.noise_offset:
            # Of positions beyond the batch: numbers that nothing else uses.
            shift_BC = torch.stack([noise(self.recipe.seed, step, self.recipe.batch + s.position, (noise_BCHW.shape[1],))[0] for s in samples])
            noise_BCHW = self.noising.offset(noise_BCHW, shift_BC, self.recipe.loss.noise_offset)
        return {"clean_BCHW": torch.stack(latents), "noise_BCHW": noise_BCHW, "t_B": torch.tensor([s.t for s in samples])}


def pinned(pieces: list[Piece]) -> list[Piece]:
    """The same in memory that a GPU copies from without waiting."""
    for piece in pieces:
        for name, tensor in piece.tensors.items():
            piece.tensors[name] = tensor.pin_memory()
    return pieces


def on_device(piece: Piece, device: torch.device, text_BLD: torch.Tensor | None = None) -> Group:
    """A piece as objectives take it.

    Args:
        text_BLD: states with gradient, where the text encoder is trained.
    """
    moved = {name: tensor.to(device, non_blocking=True) for name, tensor in piece.tensors.items()}
    for name in ("clean_BCHW", "noise_BCHW"):
        moved[name] = moved[name].to(memory_format=torch.channels_last)
    if text_BLD is not None:
        moved["text_BLD"] = text_BLD
    return Group(learn=piece.learn, **moved)
