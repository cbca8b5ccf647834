"""Every answer that stands, of every kind of trial, as columns: what the audit, the exclusions, the analysis and the release read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kimchi.eval.statistics import Ratings
from kimchi.eval.statistics.ratings import Floats, Ints

Kind = Literal["main", "gold", "repeat", "trap"]
KINDS: tuple[Kind, ...] = ("main", "gold", "repeat", "trap")
"""Practice is not among them: its answers teach the scale and are never analysed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Columns N long, an answer each. Raters, prompts, models and criteria are places in the tuples of names."""

    raters: tuple[str, ...]
    """Everyone who gave an answer."""
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    criteria: tuple[str, ...]
    rater: Ints
    kind: Ints
    """A place in KINDS."""
    prompt: Ints
    """Of the text; a gold trial shows another prompt's picture."""
    model: Ints
    criterion: Ints
    value: Ints
    """1 to 5; 0 is 판단 불가."""
    position: Ints
    """From 1; 0 outside the main trials."""
    seq: Ints
    """The trial's place in the rater's session, from 0."""
    trial: Ints
    repeat_of: Ints
    """The trial that this one repeats, or -1."""
    expected: Ints
    """What a trap asks for, or 0."""
    rt_ms: Floats
    """From the picture's appearance to the tap; NaN is unknown."""

    def __len__(self) -> int:
        return self.value.size

    def where(self, mask_N: NDArray[np.bool_]) -> "Answers":
        """The rows of a mask; the names stay."""
        return replace(self, **{name: getattr(self, name)[mask_N] for name in COLUMNS})

    def of(self, kind: Kind) -> "Answers":
        """The rows of one kind of trial."""
        return self.where(self.kind == KINDS.index(kind))

    def without(self, raters: Iterable[int]) -> "Answers":
        """Leaving these raters out."""
        return self.where(~np.isin(self.rater, sorted(raters)))


COLUMNS = ("rater", "kind", "prompt", "model", "criterion", "value", "position", "seq", "trial", "repeat_of", "expected", "rt_ms")


def ratings(answers: Answers, prompts: Sequence[str], criteria: Sequence[str], models: Sequence[str]) -> Ratings:
    """The main trials of some prompts, criteria and models, as the statistics read them.

    Should one rater have two main trials of a picture, as only a damaged plan could have it, the first counts.
    """
    wanted = ((answers.prompts, prompts), (answers.criteria, criteria), (answers.models, models))
    kept_P, kept_C, kept_M = (_places(names, kept) for names, kept in wanted)
    main = answers.of("main")
    main = main.where((kept_P[main.prompt] >= 0) & (kept_C[main.criterion] >= 0) & (kept_M[main.model] >= 0))
    main = main.where(first_of_each(main))
    return Ratings(
        raters=answers.raters,
        prompts=tuple(prompts),
        models=tuple(models),
        criteria=tuple(criteria),
        rater=main.rater,
        prompt=kept_P[main.prompt],
        model=kept_M[main.model],
        criterion=kept_C[main.criterion],
        value=main.value,
        position=main.position,
        seconds=main.rt_ms / 1000,
    )


def first_of_each(answers: Answers) -> NDArray[np.bool_]:
    """Whether a row is its rater's first of this picture and criterion."""
    p, m, c = (max(1, len(names)) for names in (answers.prompts, answers.models, answers.criteria))
    key_N = ((answers.rater * p + answers.prompt) * m + answers.model) * c + answers.criterion
    order_N = np.lexsort((answers.seq, key_N))
    first_N = np.zeros(len(answers), dtype=bool)
    first_N[order_N] = np.diff(key_N[order_N], prepend=-1) != 0
    return first_N


def _places(names: Sequence[str], kept: Sequence[str]) -> Ints:
    there = {name: k for k, name in enumerate(kept)}
    return np.array([there.get(name, -1) for name in names], dtype=np.int64)
