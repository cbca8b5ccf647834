"""Recipes: YAML files that say everything a run does. Schemas, reading with overrides, finding and listing the shipped ones."""

import difflib
import hashlib
import json
import reprlib
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast, overload

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kimchi.errors import OutputError, RecipeError

_PACKAGE = Path(__file__).parent
_BUNDLED = _PACKAGE / "_recipes"
HOME = _BUNDLED if _BUNDLED.is_dir() else _PACKAGE.parent
"""Where the recipe folders lie: bundled in a wheel, beside the package in a checkout."""
FOLDERS = ("pipelines", "training", "eval")
"""The folders that hold recipes; data/ holds cultures and terms, which are not run."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(_Strict):
    """Pictures with captions, and how much of each batch they fill."""

    captions: str
    """A captions.jsonl, or sample-world:korean / sample-world:general for drawings made on the spot."""
    share: float = Field(gt=0, le=1)
    """Share of each batch drawn from this source, 0 to 1; the shares of a recipe add up to 1."""
    per_concept: int = Field(default=200, ge=1)
    """For sample-world sources: pictures drawn per concept."""
    split: str = "train"
    """Which split of a captions.jsonl is read."""
    noun_share: float | None = Field(default=None, ge=0, le=1)
    """The recipe's noun_share, for this source alone."""
    english_share: float | None = Field(default=None, ge=0, le=1)
    """The recipe's english_share, for this source alone: rows that keep what the base knows are best kept in its own language."""


class Lora(_Strict):
    """The shape of the adapter."""

    rank: int = Field(default=16, ge=1)
    """Rank of every update."""
    alpha: float = Field(default=16, gt=0)
    """The update is scaled by alpha / rank."""
    targets: Literal["attention", "attention+feedforward", "all"] = "attention"
    """Which layers of the UNet are adapted: attention projections, feed-forward too, or convolutions as well."""


class Writer(_Strict):
    """A part that writes text: which, with which model, prompt and limits."""

    part: str
    """A file of kimchi/pipelines/captioners/ or refiners/, or module:Class."""
    model: str = ""
    """mini, a transformers folder, or a hub id; behind an endpoint, the model's name there."""
    revision: str = ""
    """Commit of the hub's repository; empty for its newest."""
    prompt: str = ""
    """A file of pipelines/prompts/ without its suffix, or a path; empty where the part needs none."""
    endpoint: str = ""
    """Base address of an OpenAI-compatible server, ending in /v1; empty to run the model in this process."""
    key_env: str = "KIMCHI_ENDPOINT_KEY"
    """Name of the environment variable that holds the endpoint's key; the key itself is written nowhere."""
    data_may_leave: bool = False
    """Lets pictures and labels go to an endpoint outside the private network. AIHub's terms count sending them abroad as export."""
    concurrency: int = Field(default=64, ge=1, le=1024)
    """Requests in flight at an endpoint."""
    timeout_s: float = Field(default=120, gt=0)
    """How long one request may take, seconds."""
    attempts: int = Field(default=5, ge=1)
    """How often a request is sent before its record is left for the next run."""
    batch: int = Field(default=16, ge=1)
    """Texts written together by a model in this process."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Longest text, tokens."""
    temperature: float = Field(default=0.0, ge=0)
    """0 writes the likeliest text and is reproducible."""
    seed: int = 0
    """Of what is drawn by chance: wordings, and texts where temperature is above 0."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""

    @model_validator(mode="before")
    @classmethod
    def _named_alone(cls, value: Any) -> Any:
        return {"part": value} if isinstance(value, str) else value


class PrepareRecipe(_Strict):
    """Pictures of a delivery => captions.jsonl."""

    kind: Literal["prepare"]
    name: str
    """Name of the run folder under runs/."""
    reader: str
    """Which reader understands the delivery: aihub_food."""
    source: str
    """The delivery: a zip file or an unpacked folder."""
    captioner: Writer = Writer(part="none")
    """Describes each picture in English."""
    refiner: Writer = Writer(part="template")
    """Turns description and label into the culture's language."""
    engine: str = "local"
    """Where the models work: local, or ray for a cluster (extra `scale`)."""
    text_encoder: str = "mini-korean-clip"
    """Whose tokens are counted: mini-korean-clip, a transformers folder, or a hub id."""
    max_tokens: int = Field(default=75, ge=1)
    """Longest rich caption, tokens of that encoder; the name must be whole within it."""
    retries: int = Field(default=2, ge=0)
    """How often a refused caption is written again, with the reason told, before its record is dropped."""
    min_side_px: int = Field(default=64, ge=1)
    """Shortest side of what is learned from, pixels; smaller ones are dropped."""
    max_aspect: float = Field(default=4.0, ge=1)
    """Longest side over shortest; longer ones are dropped."""
    min_sharpness: float = Field(default=0.0, ge=0)
    """Variance of the Laplacian of the grey picture at 256 px; blurrier ones are dropped. 0 keeps all; phone pictures are soft below about 100."""
    embedder: str = ""
    """A folder or hub id of a vision model by which shots of one scene are grouped besides their difference hash; empty for the hash alone."""
    flag: tuple[Literal["face", "plate"], ...] = ()
    """What a person should look at before pictures are shown to anyone; review.html filters by it. Needs the extra `scale`; decodes each picture again."""
    picture_px: int = Field(default=336, ge=32)
    """Shortest side of the pictures a captioner is shown, pixels."""
    workers: int = Field(default=0, ge=0)
    """Threads that decode pictures; 0 for one a core."""
    culture: str = "ko"
    """A file of data/cultures/."""
    validation_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the groups held out for validation."""
    test_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the groups held out for test."""
    out: str = ""
    """Run folder; empty for runs/NAME."""


class LoraRecipe(_Strict):
    """A LoRA on the UNet of a base model that hears a Korean text encoder."""

    kind: Literal["lora"]
    name: str
    """Name of the run folder under runs/."""
    base: str = "mini-base"
    """mini-base, a diffusers folder, or a hub id."""
    text_encoder: str = "mini-korean-clip"
    """mini-korean-clip, a transformers folder, or a hub id; its width must be the base's text width."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """What is learned, and what is kept."""
    noun_share: float = Field(default=0.3, ge=0, le=1)
    """Share of samples that see the noun alone: models fail on the noun alone when they never saw it."""
    english_share: float = Field(default=0.0, ge=0, le=1)
    """Share of samples that see the English caption, through the same encoder."""
    caption_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of samples that see the empty prompt of the same encoder."""
    resolution_px: int = Field(default=128, ge=64)
    """Side of the square that pictures are resized and cropped to, pixels."""
    lora: Lora = Lora()
    """The shape of the adapter: rank, alpha, targets."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch: int = Field(default=32, ge=1)
    """Samples per step."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak rate of AdamW."""
    warmup_steps: int = Field(default=20, ge=0)
    """Steps over which the rate rises from zero; a cosine takes it down again."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of a step's gradient."""
    seed: int = 0
    """Everything random follows from this and the step's number."""
    min_snr_gamma: float = Field(default=5.0, ge=0)
    """Clip of the min-SNR weighting; 0 weighs every timestep alike."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Compute type of the frozen parts; the adapter itself is always fp32."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints; rerunning the same command goes on from the last."""
    start_from: str = ""
    """A run folder whose adapter is trained further, with the same base, encoder and LoRA shape; empty for a fresh one."""
    adapter_dtype: Literal["fp32", "fp16"] = "fp32"
    """Type the finished adapter is saved in; fp16 halves the file."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running average of the adapter that is saved; 0 saves the last weights."""
    out: str = ""
    """Run folder; empty for runs/NAME."""

    @model_validator(mode="after")
    def _shares_fill_a_batch(self) -> Self:
        total = sum(source.share for source in self.sources)
        if abs(total - 1) > 1e-3:
            raise RecipeError(f"the shares of its sources add up to {total:g}, and must add up to 1. Change `share` of one of them.")
        return self


class Parallel(_Strict):
    """Sentences with their English twins, and how much of each batch they fill."""

    pairs: str
    """sample-world:parallel (the general world), sample-world:glosses (Korean things with an English gloss), or a file or folder of parallel text."""
    share: float = Field(gt=0, le=1)
    """Share of each batch drawn from this source, 0 to 1; the shares of a recipe add up to 1."""
    per_concept: int = Field(default=100, ge=1)
    """For sample-world sources: pictures described per concept."""
    layout: Literal["auto", "tsv", "jsonl", "aihub", "datasets", "captions"] = "auto"
    """How a file is read; auto goes by its suffix and its first record."""
    through_unet: bool = True
    """Whether A1 asks the UNet about them. False for what the base cannot draw: its English twin would be taught as the truth."""


class Latents(_Strict):
    """What the UNet is shown while its two encoders are compared."""

    source: str = "sample-world:general"
    """sample-world:general (drawings of the pairs), teacher (the base's own pictures of the English side), or a captions.jsonl."""
    count: int = Field(default=1000, ge=1)
    """Pictures at most; they are encoded or drawn once."""
    steps: int = Field(default=20, ge=1)
    """For the teacher's own pictures: denoising steps."""


class TextStage(_Strict):
    """A0: the student's states against the teacher's, text alone."""

    steps: int = Field(default=1000, ge=0)
    """Optimiser steps; 0 leaves the stage out."""
    batch: int = Field(default=64, ge=1)
    """Pairs per step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak rate of AdamW."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the rate rises from zero."""
    eos: float = Field(default=1.0, ge=0)
    """Weight of the end-of-text state, seen through the teacher's projection."""
    pads: float = Field(default=0.5, ge=0)
    """Weight of the states after the end of the text: most of what the UNet reads of a short prompt."""
    content: float = Field(default=0.5, ge=0)
    """Weight of the optimal transport between the states of the words."""
    start: float = Field(default=0.5, ge=0)
    """Weight of the first state, a constant of each encoder."""


class UnetStage(_Strict):
    """A1: what the frozen UNet predicts with the student's states against what it predicts with the teacher's."""

    steps: int = Field(default=1000, ge=0)
    """Optimiser steps; 0 leaves the stage out."""
    batch: int = Field(default=32, ge=1)
    """Pairs per step that pass through the UNet, twice each."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Peak rate of AdamW."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the rate rises from zero."""
    features: float = Field(default=0.1, ge=0)
    """Weight of the outputs of the UNet's blocks, beside the prediction itself."""
    english_share: float = Field(default=0.2, ge=0, lt=1)
    """Share of the pairs whose English side the student reads too: a Korean encoder hears English prompts as well."""
    text: float = Field(default=0.05, ge=0)
    """Weight of A0's loss, kept on a batch of all sources: without it, words that A1 never asks about drift."""
    text_batch: int = Field(default=16, ge=1)
    """Pairs per step of that batch."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running average of the weights that is kept; 0 keeps the last."""


class Measure(_Strict):
    """How the alignment gap is measured."""

    pairs: int = Field(default=96, ge=2)
    """Pairs, none of which is trained on."""
    levels: int = Field(default=5, ge=1)
    """Noise levels, evenly spread."""
    batch: int = Field(default=32, ge=1)
    """Predictions made together."""


class AlignRecipe(_Strict):
    """A text encoder of another language, brought to say to a frozen UNet what the base's own encoder says."""

    kind: Literal["align"]
    name: str
    """Name of the run folder under runs/."""
    base: str = "mini-base"
    """mini-base, a diffusers folder, or a hub id: its UNet and its English encoder are the teacher."""
    text_encoder: str = "mini-korean-clip"
    """The student: mini-korean-clip, a transformers folder, or a hub id."""
    encoder: str = "clip"
    """Which class reads it: a file of kimchi/models/text_encoders/, or module:Class."""
    projection: str = ""
    """Folder or hub id of the CLIP that owns the base's text projection; empty where the base's folder keeps it beside its text encoder."""
    adapter: Literal["none", "mlp"] = "none"
    """What stands between an encoder of another width and the UNet."""
    sources: tuple[Parallel, ...] = Field(min_length=1)
    """Parallel text."""
    latents: Latents = Latents()
    """What the UNet is shown."""
    trained_layers: int = Field(default=-1, ge=-1)
    """How many of the encoder's last layers are trained; -1 for all of them and the embeddings too, 0 for the adapter alone."""
    layers_rate: float = Field(default=1.0, gt=0, le=1)
    """Rate of the encoder's layers as a share of the stage's; beside an adapter 0.05 is usual."""
    a0: TextStage = TextStage()
    """Text alone."""
    a1: UnetStage = UnetStage()
    """Through the UNet."""
    caption_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of A1's pairs whose sides are both the empty prompt: guidance subtracts the student's own."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Compute type; what is trained is always fp32."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    seed: int = 0
    """Everything random follows from this and the step's number."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints; rerunning the same command goes on from the last."""
    dtype: Literal["fp16", "fp32"] = "fp16"
    """Type the finished encoder is saved in."""
    measure: Measure = Measure()
    """How the gap is measured, before and after."""
    out: str = ""
    """Folder of the finished encoder; empty for runs/NAME."""

    @model_validator(mode="after")
    def _can_train(self) -> Self:
        total = sum(source.share for source in self.sources)
        if abs(total - 1) > 1e-3:
            raise RecipeError(f"the shares of its sources add up to {total:g}, and must add up to 1. Change `share` of one of them.")
        if self.a1.steps and not any(source.through_unet for source in self.sources):
            raise RecipeError("every source has through_unet: false, and A1 asks the UNet about some. Change one of them, or set a1.steps to 0.")
        if self.encoder == "open_clip" and self.adapter == "none":
            raise RecipeError(
                f"{self.text_encoder}: an open_clip tower sees both ways and has its own width: no UNet reads its states as they are. Add `adapter: mlp`."
            )
        if self.trained_layers == 0 and self.adapter == "none":
            raise RecipeError("trained_layers is 0 and there is no adapter, so nothing would be trained. Set trained_layers to -1, or add `adapter: mlp`.")
        return self


class MiniPartRecipe(_Strict):
    """One part of the miniature suite, trained from nothing on the sample world."""

    kind: Literal["mini"]
    name: str
    """What progress and cards call this run."""
    part: Literal["vae", "vae_decoder", "clip", "unet", "korean_clip", "recogniser", "llava", "llama"]
    """Which part: a file of kimchi/training/mini/."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch: int = Field(ge=1)
    """Samples per step."""
    learning_rate: float = Field(gt=0)
    """Peak rate of AdamW."""
    per_concept: int = Field(default=200, ge=1)
    """Pictures drawn per concept."""
    seed: int = 0
    """Everything random follows from this."""
    minutes: float = Field(default=60, gt=0)
    """Stop early, cleanly, when this much time has passed."""
    model: dict[str, Any] = {}
    """Constructor arguments of the network."""
    out: str
    """Folder to write."""


Recipe = PrepareRecipe | LoraRecipe | MiniPartRecipe | AlignRecipe
"""Any recipe; its `kind` says which."""
_KINDS: dict[str, type[Recipe]] = {"prepare": PrepareRecipe, "lora": LoraRecipe, "mini": MiniPartRecipe, "align": AlignRecipe}
_SECTIONS: dict[str, type[BaseModel]] = {
    "lora": Lora,
    "sources": Source,
    "captioner": Writer,
    "refiner": Writer,
    "a0": TextStage,
    "a1": UnetStage,
    "latents": Latents,
    "measure": Measure,
}


def list_recipes() -> list[str]:
    """Every shipped recipe, as folder/name.yaml."""
    return [path.relative_to(HOME).as_posix() for folder in FOLDERS for path in sorted((HOME / folder).rglob("*.yaml"))]


def headline(path: Path) -> str:
    """The first comment line of a recipe: what it makes."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def find_recipe(name: str, kinds: tuple[str, ...] = ()) -> Path:
    """A path as given, or a shipped recipe by its name with or without folder and suffix: "training/mini_food.yaml", "mini_food".

    Args:
        kinds: settles which one is meant where two folders ship a recipe of one name; empty for any.

    Raises:
        RecipeError: nothing of that name, or several; the message lists them.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = list_recipes()
    found = [one for one in shipped if name in (one, one.removesuffix(".yaml"), Path(one).name, Path(one).stem)]
    if len(found) > 1 and kinds:
        found = [one for one in found if _read(HOME / one).get("kind") in kinds] or found
    if len(found) == 1:
        return HOME / found[0]
    if found:
        raise RecipeError(f"{name}: {' and '.join(found)} share that name. Give the folder too.")
    near = difflib.get_close_matches(Path(name).stem, [Path(one).stem for one in shipped], n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise RecipeError(
        f"{name}: no such file, and no shipped recipe has that name.{hint} Shipped: {', '.join(shipped) or 'none'}. `kimchi recipes list` describes them."
    )


def copy_recipe(name: str, destination: Path) -> Path:
    """Copy a recipe to a file, or into a folder under its own name, for editing. Never overwrites.

    Raises:
        RecipeError: no such recipe.
        OutputError: something of that name is there already, or the place cannot be written.
    """
    source = find_recipe(name)
    target = destination / source.name if destination.is_dir() else destination
    if target.exists():
        raise OutputError(f"{target}: is there already, and copying never overwrites. Name another file, or remove this one.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            _write_whole(file, source.read_bytes(), target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror}). Name a folder that is yours and has room.") from error
    return target


def _write_whole(file: BinaryIO, content: bytes, target: Path) -> None:
    try:
        file.write(content)
        file.flush()
    except OSError:
        target.unlink()
        raise


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: PyYAML keeps the last in silence, and the run is not the one that was read."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key `{name}` is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8-sig"), _OnceLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        # A YAML error tells its place on lines of its own; ours are one paragraph.
        raise RecipeError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}). Mend that place; `kimchi recipes list` names examples.") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: is {reprlib.repr(data)}, and a recipe is a YAML mapping of keys to values. `kimchi recipes list` names examples.")
    return cast(dict[str, Any], data)


def _below(target: Any, key: str, assignment: str) -> Any:
    """What lies under a key of a section, or under a number of a list; an absent section is made."""
    if isinstance(target, dict):
        return cast(dict[str, Any], target).setdefault(key, {})
    if isinstance(target, list) and key.isdecimal() and int(key) < len(cast(list[Any], target)):
        return cast(list[Any], target)[int(key)]
    raise RecipeError(
        f"--set {assignment}: the recipe has nothing under {key!r}. Sections are reached by name, lists by number: lora.rank=8, sources.0.share=0.5."
    )


def _override(data: dict[str, Any], assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    if not separator or not key.strip():
        raise RecipeError(f"--set {assignment}: must read key=value, for example --set steps=300 or --set lora.rank=8.")
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {assignment}: {text!r} is not YAML. Quote it, or write it into a copy of the recipe.") from error
    target: Any = data
    *parents, last = key.strip().split(".")
    for parent in parents:
        target = _below(target, parent, assignment)
    _below(target, last, assignment)
    target[int(last) if isinstance(target, list) else last] = value


@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["prepare"]) -> PrepareRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["lora"]) -> LoraRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["mini"]) -> MiniPartRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["align"]) -> AlignRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: tuple[Literal["lora"], Literal["mini"]]) -> LoraRecipe | MiniPartRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: tuple[()] = ()) -> Recipe: ...


def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: str | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, apply key=value overrides, and check it against its schema.

    Args:
        name: a path or the name of a shipped recipe.
        overrides: "key=value" with dots for sections; values are YAML.
        kind: the kinds the caller can run; empty for any.

    Raises:
        RecipeError: unreadable YAML, an unknown key (the nearest known one is named), a value out of range, a wrong kind.
    """
    wanted = (kind,) if isinstance(kind, str) else kind
    path = find_recipe(name, wanted)
    data = _read(path)
    for assignment in overrides:
        _override(data, assignment)
    found = data.get("kind")
    if not isinstance(found, str) or found not in (wanted or _KINDS):
        rule = f"this command runs {' or '.join(wanted)}" if wanted else f"a recipe is one of {', '.join(_KINDS)}"
        raise RecipeError(f"{path}: kind is {reprlib.repr(found)}, and {rule}. `kimchi recipes list` shows which recipe is which.")
    try:
        return _KINDS[found].model_validate(data)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    except ValidationError as error:
        raise RecipeError(_explain(path, _KINDS[found], error)) from error


def _explain(path: Path, schema: type[BaseModel], error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    said = [_explain_one(schema, cast(dict[str, Any], problem)) for problem in problems[:3]]
    if len(problems) > 3:
        said.append(f"And {len(problems) - 3} more.")
    return f"{path}: " + " ".join(said)


def _explain_one(schema: type[BaseModel], problem: dict[str, Any]) -> str:
    """One problem as value, rule, next step."""
    place = [str(part) for part in problem["loc"]]
    where = ".".join(place)
    if problem["type"] == "extra_forbidden":
        sections = _SECTIONS | ({"sources": Parallel} if schema is AlignRecipe else {})
        section = next((sections[part] for part in reversed(place[:-1]) if part in sections), schema)
        known = sorted(section.model_fields)
        near = difflib.get_close_matches(place[-1], known, n=1)
        return f"`{where}` is not a key here; " + (f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(known)}.")
    if problem["type"] == "missing":
        return f"`{where}` is missing; add it, or pass --set {where}=VALUE."
    return f"`{where}` is {reprlib.repr(problem['input'])}: {problem['msg']}."


def to_yaml(recipe: BaseModel) -> str:
    """A resolved recipe, every default written out, as YAML that load_recipe reads back to the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False)


def recipe_hash(recipe: BaseModel) -> str:
    """First 16 hex digits of the SHA-256 of a resolved recipe; places and speeds (out, name, engine, workers) do not count: they change nothing made."""
    data = recipe.model_dump(mode="json", exclude={"out", "name", "engine", "workers"})
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
