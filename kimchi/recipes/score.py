"""Recipes that score pictures by machine, beside what people say of them."""

from typing import Literal

from pydantic import Field, model_validator

from .prepare import Writer
from .strict import Strict


class Metric(Writer):
    """One automatic metric: which, with which model, and what it compares with. A metric reads the keys it needs and refuses to run without them."""

    part: str
    """A file of kimchi/eval/metrics/, or module:Class."""
    label: str = ""
    """Name in tables, when one metric is used twice; empty for the part's own."""
    language: Literal["ko", "en"] = "ko"
    """Which wording of the prompts is compared, and in which language a judge is asked."""
    max_new_tokens: int = Field(default=16, ge=1)
    """Longest answer of a judge, tokens."""
    ask: tuple[Literal["thing", "country"], ...] = ("thing", "country")
    """What `vqa` asks: whether the thing is in the picture, and which country it looks like."""
    countries: tuple[str, ...] = ("한국", "일본", "중국")
    """Between which countries `vqa` lets its judge choose, besides any other one; in the language asked."""
    country: str = "한국"
    """The right answer for prompts of the culture that name none."""
    reference: str = ""
    """`dreamsim`: a condition among the pictures, or a folder, with a reference picture for each prompt. `kid`: a folder of photographs."""
    weights: str = ""
    """`dreamsim`: the folder that holds its checkpoints. Nothing is fetched."""
    allow_pickle: bool = False
    """`clip_score`: also read weights that exist only as a pickle, through torch's unpickler that admits tensors and nothing else."""
    subset: int = Field(default=100, ge=3)
    """`kid`: pictures in each of the subsets that published values are means of; fewer where there are fewer pictures."""
    subsets: int = Field(default=100, ge=1)
    """`kid`: how many such subsets are drawn."""

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.label or self.part.rpartition(":")[2]


class ScoreRecipe(Strict):
    """Pictures by condition and prompt => scores.csv, results.json."""

    unhashed = frozenset({"name", "out"})

    kind: Literal["score"]
    name: str
    """Name of the run folder under runs/."""
    prompts: str
    """An instrument of eval/ (YAML of kind: study), or a JSON-lines file of prompts: id, text_ko, and what a metric asks of them."""
    images: str
    """Folder of conditions: IMAGES/CONDITION/PROMPT_ID.png."""
    metrics: tuple[Metric, ...] = Field(min_length=1)
    """What is measured, in this order."""
    trained_with: tuple[str, ...] = ()
    """Text encoders that the pictures' models were trained with, or run folders that name theirs: none of them may be the judge."""
    incomplete: bool = False
    """Go on where pictures are missing; those that are there are scored, and the others are named."""
    least_prompts: int = Field(default=10, ge=2)
    """With fewer, no interval is given: it would be a claim about prompts like these."""
    draws: int = Field(default=5000, ge=100, le=100_000)
    """Of each bootstrap."""
    seed: int = 0
    """Of bootstraps and subsets."""
    out: str = ""
    """Folder to write; empty for runs/NAME."""

    @model_validator(mode="after")
    def _labels_differ(self) -> "ScoreRecipe":
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice in metrics; give each a `label` of its own")
        return self
