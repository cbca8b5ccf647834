"""Recipes that align a text encoder with a UNet."""

from typing import Literal, Self

from pydantic import Field, model_validator

from kimchi.errors import RecipeError

from .strict import Strict


class Parallel(Strict):
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


class Latents(Strict):
    """What the UNet is shown while its two encoders are compared."""

    source: str = "sample-world:general"
    """sample-world:general (drawings of the pairs), teacher (the base's own pictures of the English side), or a captions.jsonl."""
    count: int = Field(default=1000, ge=1)
    """Pictures at most; they are encoded or drawn once."""
    steps: int = Field(default=20, ge=1)
    """For the teacher's own pictures: denoising steps."""


class TextStage(Strict):
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


class UnetStage(Strict):
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


class Measure(Strict):
    """How the alignment gap is measured."""

    pairs: int = Field(default=96, ge=2)
    """Pairs, none of which is trained on."""
    levels: int = Field(default=5, ge=1)
    """Noise levels, evenly spread."""
    batch: int = Field(default=32, ge=1)
    """Predictions made together."""


class AlignRecipe(Strict):
    """A text encoder of another language, brought to say to a frozen UNet what the base's own encoder says."""

    unhashed = frozenset({"name", "out"})

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
    """Compute type; what is trained is always fp32. A CPU without AMX, which only emulates bf16, computes in fp32 either way."""
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
