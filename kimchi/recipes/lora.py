"""Recipes that train a LoRA."""

from typing import Literal, Self

from pydantic import Field, model_validator

from kimchi.errors import RecipeError

from .strict import Strict


class Source(Strict):
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


class Lora(Strict):
    """The shape of the adapter."""

    rank: int = Field(default=16, ge=1)
    """Rank of every update."""
    alpha: float = Field(default=16, gt=0)
    """The update is scaled by alpha / rank."""
    targets: Literal["attention", "attention+feedforward", "all"] = "attention"
    """Which layers of the UNet are adapted: attention projections, feed-forward too, or convolutions as well."""


class LoraRecipe(Strict):
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
