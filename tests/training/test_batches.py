"""Batches: functions of seed, step and position; every row as often as the others; nothing dropped."""

import bisect
import math
from collections import Counter
from statistics import NormalDist
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.errors import RecipeError
from kimchi.recipes import LoraRecipe
from kimchi.recipes.lora import Timesteps
from kimchi.training.batches import Batches, batch_sizes, noise, timesteps
from kimchi.training.rows import Row, Table


def _recipe(**changes: Any) -> LoraRecipe:
    shares = changes.pop("shares", [1.0])
    sources = [{"captions": f"{i}.jsonl", "share": share} for i, share in enumerate(shares)]
    return LoraRecipe.model_validate({"kind": "lora", "name": "test", "sources": sources, "steps": 60, "batch": 8} | changes)


def _table(count: int, recipe: LoraRecipe) -> Table:
    rows = [Row(id=str(i), noun=f"이름 {i}", rich=(f"설명 {i}",), english=(f"twin {i}",), romanised=()) for i in range(count)]
    return Table(source=recipe.sources[0], rows=rows, pictures=[], noun_share=0.3, english_share=0.1, romanised_share=0.0)


def _batches(recipe: LoraRecipe, shapes: list[list[tuple[int, ...]]]) -> Batches:
    return Batches(recipe, [_table(len(own), recipe) for own in shapes], shapes, 1000)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), batch=st.integers(1, 9), seed=st.integers(-(2**40), 2**40))
def test_every_row_is_shown_as_often_as_the_others_of_its_shape_and_shapes_by_their_size(sizes: list[int], batch: int, seed: int) -> None:
    shapes = [(4, k + 1, 1) for k, size in enumerate(sizes) for _ in range(size)]
    batches = _batches(_recipe(batch=batch, seed=seed, steps=400), [list(shapes)])
    seen: Counter[int] = Counter()
    for step in range(400):
        samples = batches.at(step)
        assert len(samples) == batch and len({shapes[s.row] for s in samples}) == 1
        seen.update(s.row for s in samples)
    for k in range(len(sizes)):
        counts = [seen[row] for row, shape in enumerate(shapes) if shape == (4, k + 1, 1)]
        assert max(counts) - min(counts) <= 1
        assert abs(sum(counts) - 400 * batch * sizes[k] / sum(sizes)) <= len(sizes) * batch


def test_a_step_is_the_same_whenever_and_wherever_it_is_asked_for() -> None:
    shapes = [[(4, 8, 8)] * 7 + [(4, 8, 4)] * 5, [(4, 8, 8)] * 3]
    recipe = _recipe(shares=[0.75, 0.25], seed=3)
    one, other = _batches(recipe, shapes), _batches(recipe, shapes)
    forwards = [one.at(step) for step in range(60)]
    assert [other.at(step) for step in reversed(range(60))] == forwards[::-1]
    assert forwards[0] != forwards[1]
    assert [s.position for s in forwards[5]] == list(range(8)) and Counter(s.table for s in forwards[5]) == {0: 6, 1: 2}
    assert _batches(_recipe(shares=[0.75, 0.25], seed=4), shapes).at(0) != forwards[0]


@pytest.mark.parametrize("steps", [60, 57])
def test_shares_may_hold_over_several_batches(steps: int) -> None:
    shapes = [[(4, 8, 8)] * 12, [(4, 8, 8)] * 3]
    batches = _batches(_recipe(shares=[0.875, 0.125], share_batches=4, steps=steps), shapes)
    shown = [batches.at(step) for step in range(steps)]
    # Half of every fourth batch, and every row as often as the others.
    assert [Counter(s.table for s in samples)[1] for samples in shown] == [0, 0, 0, 4] * (steps // 4) + [0] * (steps % 4)
    assert all([s.position for s in samples] == list(range(8)) for samples in shown)
    for table, rows in enumerate(shapes):
        counts = Counter(s.row for samples in shown for s in samples if s.table == table)
        assert len(counts) == len(rows) and max(counts.values()) - min(counts.values()) <= 1
    # One sample in sixteen: a share that a single batch of eight could not hold.
    assert batch_sizes(_recipe(shares=[15 / 16, 1 / 16], share_batches=2)) == [15, 1]


def test_timesteps_cover_the_schedule_evenly_and_no_position_keeps_its_part() -> None:
    drawn = [timesteps(7, step, 10, 1000, Timesteps()) for step in range(300)]
    assert all(sorted(t // 100 for t in ts) == list(range(10)) for ts in drawn)
    first = Counter(ts[0] // 100 for ts in drawn)
    assert len(first) == 10 and max(first.values()) < 60
    assert timesteps(7, 0, 1, 1000, Timesteps()) != timesteps(8, 0, 1, 1000, Timesteps())


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (0.7, 0.5), (-1.0, 1.5)])
def test_a_logit_normal_density_is_one_in_every_batch(mean: float, spread: float) -> None:
    wanted = Timesteps(density="logit_normal", mean=mean, spread=spread)
    quantiles = [1000 / (1 + math.exp(-NormalDist(mean, spread).inv_cdf(i / 8))) for i in range(1, 8)]
    for step in range(100):
        # Each eighth of the density is seen once.
        parts = sorted(bisect.bisect(quantiles, t + 0.5) for t in timesteps(7, step, 8, 1000, wanted))
        assert all(abs(part - i) <= 1 for i, part in enumerate(parts)) and sum(part == i for i, part in enumerate(parts)) >= 6


@given(
    seed=st.integers(-(2**40), 2**40), step=st.integers(0, 10**6), count=st.integers(1, 40), length=st.integers(1, 1000),
    density=st.sampled_from(["uniform", "logit_normal"]), mean=st.floats(-3, 3), spread=st.floats(0.01, 3),
    ends=st.tuples(st.floats(0, 0.99), st.floats(0.01, 1)),
)  # fmt: skip
def test_timesteps_stay_within_their_range(
    seed: int, step: int, count: int, length: int, density: Any, mean: float, spread: float, ends: tuple[float, float]
) -> None:
    least, most = min(ends), max(*ends, min(ends) + 0.01)
    drawn = timesteps(seed, step, count, length, Timesteps(density=density, mean=mean, spread=spread, least=least, most=most))
    assert len(drawn) == count and all(math.floor(least * length) <= t <= min(math.ceil(most * length), length - 1) for t in drawn)


def test_noise_belongs_to_seed_step_and_position() -> None:
    posterior, added = noise(1, 2, 3, (4, 16, 16))
    assert torch.equal(posterior, noise(1, 2, 3, (4, 16, 16))[0]) and not torch.equal(posterior, added)
    others = [noise(*key, (4, 16, 16))[1] for key in ((1, 2, 4), (1, 3, 3), (2, 2, 3), (-1, 2, 3))]
    assert all(not torch.equal(added, other) for other in others)
    assert abs(float(added.mean())) < 0.15 and abs(float(added.std()) - 1) < 0.1


@pytest.mark.parametrize("shares", [(0.75, 0.25), (0.9, 0.02, 0.02, 0.02, 0.02, 0.02), (0.01, 0.99), (1.0,)])
def test_batches_are_full_and_every_source_is_in_them(shares: tuple[float, ...]) -> None:
    for batch in range(len(shares), 40):
        sizes = batch_sizes(_recipe(batch=batch, shares=list(shares)))
        assert sum(sizes) == batch and min(sizes) >= 1


def test_a_batch_smaller_than_the_number_of_sources_is_refused() -> None:
    with pytest.raises(RecipeError, match="larger batch"):
        batch_sizes(_recipe(shares=[0.5, 0.5], batch=1))
