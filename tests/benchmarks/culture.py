"""Culture taught to two text encoders with one budget: each training is a run of its own, kept, drawn from, and judged once.

Several processes may work on one folder, each with a core of its own: every run is held by one of them, and the others take the next.
"""

import fcntl
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.stats import t
from spine import Prompt

from kimchi import Kimchi
from kimchi.data.files import hash_files, sha256, write_json
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.eval.intervals import Difference
from kimchi.models.places import weights_folder
from kimchi.pipelines.run import prepare
from kimchi.quickstart.suite import dishes
from kimchi.recipes import LoraRecipe, load_recipe
from kimchi.training.run import train

BUDGETS = (100, 300, 1000)
SEEDS = 3
RECIPE = "training/mini_quickstart_food.yaml"
CHANGES = ("batch=8", "lora.rank=16", "lora.alpha=16", "learning_rate=3.0e-3", "warmup_steps=20")
"""What the quickstart's recipe becomes: its eight dishes and shares of words, with a batch and an adapter that one core can afford, and a rate of its
own, so that the study stays what it is when the quickstart's changes; no general rows, which would teach the raw swap a part of what alignment teaches."""
PICTURES_PER_DISH, DELIVERY_SEED = 45, 8_400_000
"""The quickstart's own delivery."""
Judge = Callable[[Kimchi, Sequence[Prompt]], list[bool]]
"""Draws prompts; per prompt: was the concept recognised?"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training."""

    encoder: str
    steps: int
    """A budget has a schedule of its own: the first 100 steps of 300 are not a training of 100."""
    seed: int


Found = dict[Run, dict[str, list[bool]]]
"""Run => name of the prompts => per prompt: was the concept recognised?"""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Which trainings are compared, and where they are kept."""

    folder: Path
    budgets: tuple[int, ...] = BUDGETS
    seeds: int = SEEDS
    changes: tuple[str, ...] = ()
    """Further changes to the recipe."""

    def runs(self, encoders: Sequence[str]) -> list[Run]:
        """Every training; those that are compared stand together, so that half a study is worth reading."""
        return [Run(encoder=e, steps=steps, seed=seed) for steps in self.budgets for seed in range(self.seeds) for e in encoders]

    def place(self, run: Run) -> Path:
        """A run's folder."""
        return self.folder / f"{Path(run.encoder).name}-{run.steps:04d}-seed-{run.seed}"

    def recipe(self, run: Run) -> LoraRecipe:
        """What a run trains with."""
        place = self.place(run)
        learned = f"sources=[{{captions: {self.folder / 'captions' / 'captions.jsonl'}, share: 1.0}}]"
        own = (learned, f"name={place.name}", f"out={place}", f"text_encoder={run.encoder}", f"steps={run.steps}", f"seed={run.seed}")
        return load_recipe(RECIPE, (*CHANGES, *self.changes, *own), kind="lora")

    def prepared(self) -> None:
        """Write and caption the dishes, once."""
        with _held(self.folder / "captions.lock", wait=True):
            delivery, captions = self.folder / "kfood.zip", self.folder / "captions"
            if not delivery.is_file():
                write_delivery(delivery, [c.slug for c in dishes()], PICTURES_PER_DISH, DELIVERY_SEED)
            if not (captions / "captions.jsonl").is_file():
                prepare(load_recipe("pipelines/mini_food.yaml", (f"source={delivery}", f"out={captions}"), kind="prepare"))

    def judged(self, encoders: Sequence[str], asked: dict[str, list[Prompt]], judge: Judge) -> Found:
        """Train, draw and judge whatever has not been."""
        self.prepared()
        found: Found = {}
        # First what is free; then wait for what other processes hold, and read what they found.
        for wait in (False, True):
            for run in [run for run in self.runs(encoders) if run not in found]:
                with _held(self.place(run).with_suffix(".lock"), wait=wait) as mine:
                    if mine:
                        found[run] = self._judged(run, asked, judge)
        return found

    def _judged(self, run: Run, asked: dict[str, list[Prompt]], judge: Judge) -> dict[str, list[bool]]:
        place = self.place(run)
        trained = train(self.recipe(run))
        print(f"  {place.name}: {trained.steps} steps, {trained.seconds:.0f} s, loss {trained.final_loss:.4f}", flush=True)
        painter = Kimchi.load(str(place), device="cpu")
        return {name: _kept(place.with_name(f"{place.name}-{name}.json"), painter, prompts, judge) for name, prompts in asked.items()}


def _kept(path: Path, painter: Kimchi, prompts: Sequence[Prompt], judge: Judge) -> list[bool]:
    """What was judged before, unless weights, prompts or the recogniser have changed since."""
    recogniser = hash_files([weights_folder() / "recogniser" / "model.safetensors"])
    key = sha256(json.dumps([painter.model.hashes, recogniser, [p.text for p in prompts]], sort_keys=True).encode())
    if path.is_file() and (kept := json.loads(path.read_text(encoding="utf-8")))["of"] == key:
        return kept["right"]
    right = judge(painter, prompts)
    print(f"  {path.stem}: {sum(right)} of {len(right)}", flush=True)
    write_json(path, {"of": key, "right": right})
    return right


@contextmanager
def _held(path: Path, *, wait: bool) -> Generator[bool]:
    """Whether this process holds a lock that ends with the process; False when another one holds it and nobody is to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def crossed_difference(first: Sequence[Sequence[bool]], second: Sequence[Sequence[bool]]) -> Difference:
    """The share of `first` less that of `second`, each a table of trainings by prompts: row i of both had one seed, column j one prompt and noise.

    What is paired is subtracted cell by cell, and both the trainings and the prompts count as drawn by lot: the variance of the mean is that of
    the two-way table without replication, (MS_seed + MS_prompt - MS_rest) / cells, with a t of Satterthwaite's degrees of freedom (1946,
    Biometrics Bulletin 2, 110-114). Three seeds are few: where they disagree, the interval is wide, as it should be.
    """
    cells = np.array(first, float) - np.array(second, float)
    seeds, prompts = cells.shape
    by_seed, by_prompt, mean = cells.mean(1), cells.mean(0), cells.mean()
    free = max(1, (seeds - 1) * (prompts - 1))
    rest = float(((cells - by_seed[:, None] - by_prompt[None] + mean) ** 2).sum()) / free
    seed = prompts * float(by_seed.var(ddof=1)) if seeds > 1 else 0.0
    # A component that comes out negative is none.
    terms = [(max(seeds * float(by_prompt.var(ddof=1)), rest), prompts - 1)]
    if seed > rest:
        terms += [(seed, seeds - 1), (-rest, free)]
    total = sum(square for square, _ in terms)
    degrees = total**2 / sum(square**2 / n for square, n in terms) if total else 1.0
    half = float(t.ppf(0.975, degrees)) * sqrt(total / cells.size)
    return Difference(n=cells.size, difference=float(mean), low=max(-1.0, float(mean) - half), high=min(1.0, float(mean) + half))
