"""Recipes that train a LoRA."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from kimchi.errors import RecipeError

from .strict import Strict


class Source(Strict):
    """Pictures with captions, and how much of each batch they fill."""

    added = frozenset({"romanised_share", "origin_share", "learn", "weight"})

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
    romanised_share: float | None = Field(default=None, ge=0, le=1)
    """The recipe's romanised_share, for this source alone."""
    origin_share: float | None = Field(default=None, ge=0, le=1)
    """The recipe's origin_share, for this source alone."""
    learn: Literal["pictures", "base", "prior"] = "pictures"
    """What its samples teach: pictures (the diffusion loss), base (to say of a caption what the frozen base says of its English twin: keeps what the
    base knows), or prior (the diffusion loss on the base's own pictures of the English twins, drawn once)."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of its samples' loss beside the other sources'."""


class Lora(Strict):
    """The shape of an adapter."""

    added = frozenset({"dora", "rslora"})

    rank: int = Field(default=16, ge=1)
    """Rank of every update."""
    alpha: float = Field(default=16, gt=0)
    """The update is scaled by alpha / rank."""
    targets: Literal["attention", "attention+feedforward", "all"] = "attention"
    """Which layers are adapted: attention projections, feed-forward too, or convolutions as well (a text encoder has none)."""
    dora: bool = False
    """Learn the length of every weight's columns apart from their direction (Liu et al. 2024): slower, at times better at small ranks."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) instead (Kalajdzievski 2023): large ranks go on learning."""


class Optimiser(Strict):
    """What moves the weights, and how its rate changes."""

    name: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw (fused), or adamw8bit, whose moments take a quarter of the memory; it needs bitsandbytes."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of the gradients."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the mean of their squares."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Share of the weights taken off a step, times the rate."""
    schedule: Literal["cosine", "constant", "linear", "polynomial", "cosine_with_restarts"] = "cosine"
    """How the rate comes down after the warm-up: half a cosine, not at all, straight, by a square, or several cosines."""
    last_rate: float = Field(default=0.02, ge=0, lt=1)
    """For cosine: the last rate as a share of the peak."""
    restarts: int = Field(default=1, ge=1)
    """For cosine_with_restarts: how many cosines."""


class Loss(Strict):
    """What a sample is asked, beside min_snr_gamma."""

    huber: float = Field(default=0.0, ge=0)
    """Errors above this count linearly (Huber): outliers pull less. 0 for plain squares."""
    noise_offset: float = Field(default=0.0, ge=0, le=0.2)
    """Strength of a brightness shift mixed into the noise: darker and brighter pictures; shifts the noise a schedule with zero terminal SNR needs."""
    features: float = Field(default=0.1, ge=0)
    """For sources that learn from the base: weight of the outputs of the UNet's blocks, beside the prediction itself."""
    contrast: float = Field(default=0.0, ge=0)
    """Weight of the look-alike contrast: a picture of a hanbok must fit "한복" better than "기모노". 0 leaves it out."""
    contrast_margin: float = Field(default=0.01, ge=0)
    """By how much the squared error under the look-alike's name must be larger."""


class Timesteps(Strict):
    """How much noise samples are shown under: where the steps of the schedule that they see lie, 0 for the clean picture to 1 for noise alone."""

    density: Literal["uniform", "logit_normal"] = "uniform"
    """uniform sees all alike. logit_normal sees the middle most (Esser et al. 2024): what a thing is is settled there, texture below, little above."""
    mean: float = Field(default=0.0, ge=-3, le=3)
    """For logit_normal: of the normal number whose logistic it is; above 0 for more noise."""
    spread: float = Field(default=1.0, gt=0, le=3)
    """For logit_normal: standard deviation of that number; above 1.4 the two ends more than the middle."""
    least: float = Field(default=0.0, ge=0, lt=1)
    """Nothing below is seen."""
    most: float = Field(default=1.0, gt=0, le=1)
    """Nothing above is seen."""


class Aspect(Strict):
    """How pictures of other shapes than a square are fitted."""

    fit: Literal["square", "buckets"] = "square"
    """square crops the middle to resolution_px; buckets keeps the shape, at the same area."""
    step_px: int = Field(default=64, ge=8, multiple_of=8)
    """Sides of buckets are multiples of this, pixels."""
    largest: float = Field(default=2.0, ge=1, le=4)
    """Longest side over shortest of the longest bucket."""
    crops: int = Field(default=1, ge=1, le=16)
    """Different crops of each picture that are cached; the first is the middle."""


class HeldOut(Strict):
    """The loss on pictures that are never trained on, with fixed noise at fixed timesteps."""

    every: int = Field(default=0, ge=0)
    """Steps between measurements; 0 for none."""
    split: str = "validation"
    """Which split of each captions.jsonl is held out; drawings of the sample world get seeds of their own."""
    pictures: int = Field(default=64, ge=2)
    """Pictures of each source at most."""
    levels: int = Field(default=4, ge=1, le=50)
    """Timesteps, evenly spread."""
    keep_best: bool = True
    """Save the adapter of the best measurement; otherwise the last."""
    patience: int = Field(default=0, ge=0)
    """Stop after so many measurements without a better one; 0 never stops."""


class Samples(Strict):
    """Pictures drawn while the run goes on, from fixed prompts and seeds."""

    every: int = Field(default=0, ge=0)
    """Steps between them; 0 for none."""
    prompts: tuple[str, ...] = ()
    """What is drawn; empty for the culture's own list of Korean things, their look-alikes and general things."""
    steps: int = Field(default=20, ge=1)
    """Denoising steps."""
    seed: int = Field(default=7, ge=0)
    """Of the first picture; each further one takes the next."""


class Machine(Strict):
    """How the work is laid on this machine; changes speed and memory, and nothing that is learned."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:1; under `accelerate launch` every process takes its own."""
    micro_batch: int = Field(default=0, ge=0)
    """Samples that pass through the UNet together; 0 for as many as fit by the plan. The batch and its gradient stay the same."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute activations twice instead of keeping them; auto only when the plan says that memory demands it."""
    compile: bool = False
    """Compile the UNet's repeated blocks: some minutes first, faster after."""
    workers: int = Field(default=0, ge=0)
    """Threads that decode pictures for the cache; 0 for one a core."""
    cache: str = ""
    """Folder of latents and text states, shared by runs; empty for the one under $KIMCHI_HOME."""
    cache_text: bool = True
    """Keep the states of captions on disk; off computes them each step, which a text encoder that is trained does anyway."""
    report_every: int = Field(default=10, ge=1)
    """Steps between log lines. The loss is read off the device only then."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Where measurements are sent besides run.html."""

    @field_validator("gradient_checkpointing", mode="before")
    @classmethod
    def _said_in_yaml(cls, value: object) -> object:
        # YAML 1.1 reads a bare on and off as true and false.
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class LoraRecipe(Strict):
    """A LoRA on the UNet of a base model that hears a Korean text encoder."""

    added = frozenset(
        {"culture", "romanised_share", "origin_share", "share_batches", "text_lora", "text_rate", "optimiser", "loss", "timesteps", "aspect", "held_out"}
    )
    unhashed = frozenset({"name", "out", "machine", "samples"})

    kind: Literal["lora"]
    name: str
    """Name of the run folder under runs/."""
    base: str = "mini-base"
    """mini-base, a diffusers folder, a .safetensors checkpoint, or a hub id."""
    text_encoder: str = "mini-korean-clip"
    """mini-korean-clip, mini-aligned-clip, a transformers folder, or a hub id; its width must be the base's text width."""
    culture: str = "ko"
    """Whose things are learned: a name in data/cultures, or a file. It says what they are mistaken for, where they are from, and what progress shows."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """What is learned, and what is kept."""
    share_batches: int = Field(default=1, ge=1)
    """Batches over which the shares of the sources hold. With 1 every batch holds every source; with 4 a source of an eighth fills half of every fourth:
    a CPU does four samples of a kind in little more time than one."""
    noun_share: float = Field(default=0.3, ge=0, le=1)
    """Share of samples that see the noun alone: models fail on the noun alone when they never saw it."""
    english_share: float = Field(default=0.0, ge=0, le=1)
    """Share of samples that see the English caption, through the same encoder."""
    romanised_share: float = Field(default=0.0, ge=0, le=1)
    """Share of samples that see the caption with its Korean names in Latin letters, as people abroad write them."""
    origin_share: float = Field(default=0.0, ge=0, le=1)
    """Of samples that see the noun alone, the share that sees whose it is too: "한국의 라면". People ask so, and captions of pictures do not say it: to a
    model that never saw it, the first word is stronger than the second."""
    caption_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of samples that see the empty prompt of the same encoder."""
    resolution_px: int = Field(default=128, ge=64)
    """Side of the square that pictures are resized and cropped to, pixels; with buckets, of the square of the same area."""
    aspect: Aspect = Aspect()
    """How other shapes are fitted."""
    lora: Lora = Lora()
    """The shape of the adapter: rank, alpha, targets."""
    text_lora: Lora | None = None
    """The shape of an adapter on the text encoder; none leaves it as it is."""
    text_rate: float = Field(default=0.5, gt=0, le=1)
    """Rate of the text encoder's adapter as a share of learning_rate."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch: int = Field(default=32, ge=1)
    """Samples per step, of all processes together."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak rate."""
    warmup_steps: int = Field(default=20, ge=0)
    """Steps over which the rate rises from zero."""
    optimiser: Optimiser = Optimiser()
    """What moves the weights."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of a step's gradient."""
    seed: int = 0
    """Everything random follows from this and the step's number."""
    min_snr_gamma: float = Field(default=5.0, ge=0)
    """Clip of the min-SNR weighting; 0 weighs every timestep alike."""
    loss: Loss = Loss()
    """What a sample is asked."""
    timesteps: Timesteps = Timesteps()
    """Under how much noise."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Compute type of the frozen parts; the adapter itself is always fp32. A CPU without AMX, which only emulates bf16, computes in fp32 either way."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints; rerunning the same command goes on from the last."""
    start_from: str = ""
    """A run folder whose adapter is trained further, with the same base, encoder and LoRA shape; empty for a fresh one."""
    adapter_dtype: Literal["fp32", "fp16"] = "fp32"
    """Type the finished adapter is saved in; fp16 halves the file."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running average of the adapter that is saved; 0 saves the last weights."""
    held_out: HeldOut = HeldOut()
    """The loss on held-out pictures, and what follows from it."""
    samples: Samples = Samples()
    """Progress pictures."""
    machine: Machine = Machine()
    """How the work is laid on this machine."""
    out: str = ""
    """Run folder; empty for runs/NAME."""

    def share_of(self, source: Source, name: str) -> float:
        """A share that a source may set for itself, "noun_share" say: the source's, else the recipe's."""
        own: float | None = getattr(source, name)
        return getattr(self, name) if own is None else own

    @model_validator(mode="after")
    def _can_train(self) -> Self:
        total = sum(source.share for source in self.sources)
        if abs(total - 1) > 1e-3:
            raise RecipeError(f"the shares of its sources add up to {total:g}, and must add up to 1. Change `share` of one of them.")
        if self.text_lora and self.text_lora.targets == "all":
            raise RecipeError("text_lora.targets is 'all', and a text encoder has no convolutions. Use attention+feedforward.")
        if self.timesteps.least >= self.timesteps.most:
            raise RecipeError(f"timesteps.least is {self.timesteps.least:g}, and must be below timesteps.most, {self.timesteps.most:g}.")
        return self
