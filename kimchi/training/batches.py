"""What every position of every batch shows: a function of the run's seed, the step and the position, and of nothing else.

So a run that is stopped, or goes on with another number of processes, sees the same samples under the same noise. Every source is a set of
endless streams, one for each shape of picture: the rows of that shape in a new order each time round. A batch takes the next rows of one
stream, the streams taking turns by their size, so that no row is dropped and none is shown twice before all have been shown.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import torch

from kimchi.errors import RecipeError
from kimchi.recipes import LoraRecipe
from kimchi.recipes.lora import Timesteps

from .rows import Table, words_for

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One position of one batch."""

    position: int
    """0 to batch - 1, whichever process computes it."""
    table: int
    """Which source."""
    row: int
    """Which of its rows."""
    crop: int
    """Which crop of the picture."""
    words: str
    """What the picture is shown with; empty for the empty prompt."""
    t: int
    """Timestep of the noise."""


def batch_sizes(recipe: LoraRecipe) -> list[int]:
    """How many samples of `share_batches` batches each source fills: by its share, at least one, the whole of them in all.

    Raises:
        RecipeError: more sources than samples.
    """
    whole = recipe.batch * recipe.share_batches
    if whole < len(recipe.sources):
        raise RecipeError(f"{recipe.name}: batch {recipe.batch} is smaller than the number of sources, {len(recipe.sources)}. Use a larger batch.")
    sizes = [max(1, int(s.share * whole)) for s in recipe.sources]
    while sum(sizes) != whole:
        step = 1 if sum(sizes) < whole else -1
        # What is left over goes where the share is missed most; what is too much comes from the largest.
        missed = [step * (s.share * whole - n) if step > 0 or n > 1 else -float("inf") for s, n in zip(recipe.sources, sizes, strict=True)]
        sizes[missed.index(max(missed))] += step
    return sizes


class Batches:
    """The samples of every step of a run.

    Args:
        shapes: of each source, the latents' shape of each row; rows of one shape are shown together.
        timesteps: length of the noise schedule.
    """

    def __init__(self, recipe: LoraRecipe, tables: Sequence[Table], shapes: Sequence[Sequence[Shape]], timesteps: int) -> None:
        self.recipe, self.tables, self.timesteps = recipe, tables, timesteps
        self.sizes, rounds = batch_sizes(recipe), -(-recipe.steps // recipe.share_batches)
        self._streams = [_Streams(own, rounds, size, f"{recipe.seed}/{k}") for k, (own, size) in enumerate(zip(shapes, self.sizes, strict=True))]

    def at(self, step: int) -> list[Sample]:
        """The samples of a step, source by source: its part of what `share_batches` steps show together."""
        count = self.recipe.batch
        turn, part = divmod(step, self.recipe.share_batches)
        t = timesteps(self.recipe.seed, step, count, self.timesteps, self.recipe.timesteps)
        rows = [(table, row) for table, streams in enumerate(self._streams) for row in streams.at(turn)]
        return [self._sample(step, position, table, row, t[position]) for position, (table, row) in enumerate(rows[part * count : (part + 1) * count])]

    def _sample(self, step: int, position: int, table: int, row: int, t: int) -> Sample:
        rng = random.Random(f"{self.recipe.seed}/{step}/{position}")
        words = words_for(self.tables[table].rows[row], self.tables[table], self.recipe.caption_dropout, rng)
        return Sample(position=position, table=table, row=row, crop=rng.randrange(self.recipe.aspect.crops), words=words, t=t)


class _Streams:
    """The rows of one source, a stream for each shape."""

    def __init__(self, shapes: Sequence[Shape], steps: int, size: int, name: str) -> None:
        members: dict[Shape, list[int]] = {}
        for row, shape in enumerate(shapes):
            members.setdefault(shape, []).append(row)
        self._members = [members[shape] for shape in sorted(members)]
        self._turns, self._earlier = _turns([len(m) for m in self._members], steps)
        self._size, self._name = size, name
        # Two rounds of each stream: a batch may end one and begin the next.
        self._order = lru_cache(maxsize=2 * len(self._members))(self._shuffled)

    def at(self, step: int) -> list[int]:
        """The rows of a step: the next of the stream whose turn it is."""
        stream = int(self._turns[step])
        first, count = int(self._earlier[step]) * self._size, len(self._members[stream])
        return [self._order(stream, place // count)[place % count] for place in range(first, first + self._size)]

    def _shuffled(self, stream: int, turn: int) -> list[int]:
        order = list(self._members[stream])
        random.Random(f"{self._name}/{stream}/{turn}").shuffle(order)
        return order


def _turns(sizes: list[int], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Step => the stream whose turn it is, and how many turns that stream has had before: each takes its share, none waits longer than need be."""
    share = np.asarray(sizes, dtype=np.float64) / sum(sizes)
    turns, earlier = np.zeros(steps, np.int32), np.zeros(steps, np.int64)
    had = np.zeros(len(sizes), np.int64)
    if len(sizes) == 1:
        return turns, np.arange(steps, dtype=np.int64)
    for step in range(steps):
        stream = int(np.argmax(share * (step + 1) - had))
        turns[step], earlier[step] = stream, had[stream]
        had[stream] += 1
    return turns, earlier


def timesteps(seed: int, step: int, count: int, length: int, wanted: Timesteps) -> list[int]:
    """`count` timesteps of 0 to length - 1, one from each of as many equally likely parts, in random order: the mean loss of a batch varies less.

    Kingma et al. 2021, "Variational Diffusion Models", arXiv:2107.00630, appendix I.1. The order is drawn anew each step, or a source's
    positions would always see the same part.
    """
    source = _source(seed, step << 24)
    share = (source.permutation(count) + source.random(count)) / count
    if wanted.density == "logit_normal":
        # Esser et al. 2024 (arXiv:2403.03206), section 3.1. Kept within: of 0 and 1 there is no normal quantile.
        normal = np.array([NormalDist(wanted.mean, wanted.spread).inv_cdf(u) for u in share.clip(1e-9, 1 - 1e-9)])
        share = 1 / (1 + np.exp(-normal))
    share = wanted.least + share * (wanted.most - wanted.least)
    return (share * length).astype(int).clip(0, length - 1).tolist()


def noise(seed: int, step: int, position: int, shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """Two unit-variance tensors for one position: what samples the posterior, and what the diffusion adds. Counter-based: no two positions share theirs."""
    source = _source(seed, (step << 24) + position + 1)
    both = source.standard_normal((2, *shape), dtype=np.float32)
    return torch.from_numpy(both[0]), torch.from_numpy(both[1])


def _source(seed: int, number: int) -> np.random.Generator:
    # An array: of a pair of whole numbers numpy makes floats, and large seeds become one another. Negative seeds wrap round.
    return np.random.Generator(np.random.Philox(key=np.array([seed % (1 << 64), number], dtype=np.uint64)))
