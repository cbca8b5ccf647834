"""How much memory a run takes, and how many samples may pass together on a machine that has so much."""

import os
from dataclasses import dataclass

from kimchi.errors import RecipeError
from kimchi.recipes import LoraRecipe

from .parts import Parts, read_parts

GIB = 2**30
CONTEXT_GIB = 0.5
"""What CUDA, cuBLAS and cuDNN take for themselves before the first tensor. An estimate: it differs by card and driver."""
PROCESS_GIB = 1.2
"""On a CPU: Python and the libraries. An estimate."""
SLACK = 0.08
"""Workspaces of convolutions and gaps between blocks, as a share of the activations. An estimate."""
RESERVE = 0.05
"""Share of a machine's memory that a choice leaves free, since the two above are estimates."""
CARDS_GIB = (8, 12, 24, 40, 80)
"""Sizes of cards that a plan is told for."""
FEWEST = 2
"""Samples that should pass together: below this, activations are computed twice instead of kept, for a lone sample leaves a GPU idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where the memory of a run goes, bytes."""

    weights: int
    """Frozen UNet; with text states that are computed each step, the encoder too."""
    adapter: int
    """Trained weights, float32."""
    gradients: int
    moments: int
    """The optimiser's."""
    average: int
    """The running average; 0 without ema."""
    sample: int
    """Activations of one sample at their peak."""
    micro_batch: int
    checkpointing: bool
    caching: int
    """Peak while pictures and captions are encoded, before training."""
    drawing: int
    """Peak while progress pictures are drawn; 0 without."""
    overhead: int
    """The device's own and the process's; an estimate."""

    @property
    def activations(self) -> int:
        """Of a micro-batch, with what workspaces and gaps take."""
        return round(self.sample * self.micro_batch * (1 + SLACK))

    @property
    def training(self) -> int:
        """Peak of a training step."""
        return self.overhead + self.fixed + self.activations

    @property
    def fixed(self) -> int:
        """What a training step holds whatever passes through."""
        return self.weights + self.adapter + self.gradients + self.moments + self.average

    @property
    def peak(self) -> int:
        """Of the whole run."""
        return max(self.training, self.overhead + self.caching, self.overhead + self.drawing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What `auto` comes to on a machine."""

    micro_batch: int
    """Samples that pass through the UNet together, at most."""
    checkpointing: bool
    """Whether activations are computed twice."""


def choose(recipe: LoraRecipe, memory_gib: float, *, processes: int = 1, cpu: bool = False, parts: Parts | None = None) -> Choice:
    """micro_batch and gradient_checkpointing of a recipe, where it leaves them open, so that the run fits. The same answer every time.

    Args:
        memory_gib: what the run may have: of the GPU, or on a CPU of RAM.
        processes: that share a batch.

    Raises:
        RecipeError: not even one sample fits; how much it takes.
    """
    found = parts or read_parts(recipe)
    share, given = -(-recipe.batch // processes), recipe.machine
    ways = {"on": (True,), "off": (False,), "auto": (False, True)}[given.gradient_checkpointing]
    room = {twice: _room(recipe, found, memory_gib, twice, cpu) for twice in ways}
    wanted = min(share, given.micro_batch or FEWEST)
    twice = next((way for way in ways if room[way] >= wanted), ways[-1])
    if room[twice] < 1 or (given.micro_batch and room[twice] < wanted):
        raise RecipeError(_too_large(recipe, found, memory_gib, twice, max(1, given.micro_batch), cpu))
    # Equal pieces: 32 samples of which 12 fit pass as 11, 11 and 10, and the largest piece decides the memory.
    pieces = -(-share // min(room[twice], share))
    return Choice(micro_batch=given.micro_batch or -(-share // pieces), checkpointing=twice)


def memory_of(recipe: LoraRecipe, choice: Choice, *, cpu: bool = False, parts: Parts | None = None) -> Memory:
    """Where the memory goes with a choice made."""
    import torch

    from kimchi.training.cache.encoding import BATCH_PIXELS

    from .shape import text_pass, unet_pass, vae_pass

    found = parts or read_parts(recipe)
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    side = recipe.resolution_px // found.vae_factor
    unet = unet_pass(found.unet, recipe.lora, side, tokens(found), dtype, checkpointing=choice.checkpointing)
    live_text = recipe.text_lora is not None or not recipe.machine.cache_text
    text = text_pass(found.text, recipe.text_lora, dtype) if is_clip(found) else None
    vae, decoder = (vae_pass(found.vae, recipe.resolution_px, torch.float32, decode=way) for way in (False, True))
    trained = unet.trained + (text.trained if text and recipe.text_lora else 0)
    text_bytes = text.weights_bytes if text else 0
    # DoRA keeps the frozen weights in fp32: it needs their exact lengths.
    frozen = unet.weights_bytes * (2 if recipe.lora.dora and recipe.precision == "bf16" else 1)
    return Memory(
        weights=frozen + (text_bytes if live_text else 0), adapter=4 * trained, gradients=4 * trained,
        moments=(2 if recipe.optimiser.name == "adamw8bit" else 8) * trained, average=4 * trained if recipe.ema else 0,
        sample=_contrasted(recipe, unet.peak_bytes) + (text.peak_bytes if text and live_text else 0), micro_batch=choice.micro_batch,
        checkpointing=choice.checkpointing, caching=vae.weights_bytes + 2 * text_bytes + max(1, BATCH_PIXELS // recipe.resolution_px**2) * vae.peak_bytes,
        drawing=unet.weights_bytes + 4 * trained + text_bytes + decoder.weights_bytes + decoder.peak_bytes if recipe.samples.every else 0,
        overhead=round((PROCESS_GIB if cpu else CONTEXT_GIB) * GIB),
    )  # fmt: skip


def ram_gib() -> float:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def is_clip(parts: Parts) -> bool:
    """Whether the encoder is a CLIP text tower, whose passes can be counted."""
    return str(parts.text.get("model_type", "")).startswith("clip")


def tokens(parts: Parts) -> int:
    """Length of the text states."""
    return int(parts.text.get("max_position_embeddings") or parts.text.get("length") or 77)


def _contrasted(recipe: LoraRecipe, sample: int) -> int:
    """The look-alike's name is a second pass of the same sample, and both are kept until the way back."""
    return sample * (2 if recipe.loss.contrast else 1)


def _room(recipe: LoraRecipe, parts: Parts, memory_gib: float, twice: bool, cpu: bool) -> int:
    one = memory_of(recipe, Choice(micro_batch=1, checkpointing=twice), cpu=cpu, parts=parts)
    left = memory_gib * GIB * (1 - RESERVE) - one.overhead - one.fixed
    return max(0, int(left // (one.sample * (1 + SLACK))))


def _too_large(recipe: LoraRecipe, parts: Parts, memory_gib: float, twice: bool, micro: int, cpu: bool) -> str:
    needs = memory_of(recipe, Choice(micro_batch=micro, checkpointing=twice), cpu=cpu, parts=parts).training / GIB
    remedy = "Set machine.micro_batch to 0" if micro > 1 else "Lower resolution_px" if twice else "Set machine.gradient_checkpointing to auto"
    return (
        f"{recipe.name}: {micro} sample{'s' if micro > 1 else ''} of {recipe.resolution_px} px together would take {needs:.1f} GiB, "
        f"and there are {memory_gib:.1f}. {remedy}, or use a machine with more memory."
    )
