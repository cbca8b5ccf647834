"""What a run computes, and how long that takes on machines whose peak is known; or here, measured."""

import time
from dataclasses import dataclass
from typing import cast

import torch
from diffusers import UNet2DConditionModel

from kimchi.errors import RecipeError
from kimchi.models import lora
from kimchi.models.devices import find_device
from kimchi.models.networks import channels_last
from kimchi.models.precision import computes_bf16
from kimchi.recipes import LoraRecipe
from kimchi.training.watch.prompts import GENERAL, PAIRS

from .found import Pace
from .memory import Choice, is_clip, tokens
from .parts import Parts
from .shape import text_pass, unet_pass

MFU = 0.28
"""Share of a machine's peak that is used: what MosaicML's training of Stable Diffusion 2 reaches on an A100 (36 pictures a second at 512 px, 2.4
TFLOP each; README of mosaicml/diffusion)."""
PEAKS = (("A100 SXM", 312e12), ("RTX 4090", 165e12), ("H100 or H200 SXM", 989e12))
"""Dense bf16 FLOP/s with fp32 sums, by NVIDIA's data sheets."""
LEAST = 1e11
"""Operations a picture below which starting kernels takes longer than what they compute, and no share of a peak tells anything."""
DEFAULT_PROMPTS = 2 * PAIRS + GENERAL
"""Progress pictures where a recipe names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run computes, floating point operations."""

    a_picture: float
    """A sample of training, sources taken by their shares; recomputed activations and the base's answers included."""
    watching: float
    """Held-out losses and progress pictures of the whole run."""
    beforehand: float
    """Pictures that the base draws of prior sources, once."""


def work_of(recipe: LoraRecipe, parts: Parts, choice: Choice, prior_pictures: int = 0) -> Work:
    """What a run computes, counted on the meta device."""
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    one = unet_pass(parts.unet, recipe.lora, recipe.resolution_px // parts.vae_factor, tokens(parts), dtype, checkpointing=choice.checkpointing)
    live_text = recipe.text_lora or not recipe.machine.cache_text
    caption = text_pass(parts.text, recipe.text_lora, dtype).flops if live_text and is_clip(parts) else 0
    # What learns from the base is compared with its answer; what is contrasted passes a second time under the look-alike's name.
    extra = {"base": one.forward_flops, "pictures": one.flops if recipe.loss.contrast else 0, "prior": 0}
    a_picture = sum(source.share * (one.flops + caption + extra[source.learn]) for source in recipe.sources)
    measured = recipe.steps // recipe.held_out.every if recipe.held_out.every else 0
    drawn = recipe.steps // recipe.samples.every if recipe.samples.every else 0
    held_out = measured * recipe.held_out.pictures * len(recipe.sources) * recipe.held_out.levels
    # Guidance asks twice a step.
    asked = 2 * recipe.samples.steps * drawn * (len(recipe.samples.prompts) or DEFAULT_PROMPTS)
    return Work(a_picture=a_picture, watching=one.forward_flops * (held_out + asked), beforehand=one.forward_flops * prior_pictures * 2 * 25)


def paces(recipe: LoraRecipe, work: Work) -> tuple[Pace, ...]:
    """Known machines; estimates, none of them measured here."""
    if work.a_picture < LEAST or recipe.precision != "bf16":
        why = "too little work a picture to tell by FLOPs" if work.a_picture < LEAST else "the peaks known here are of bf16"
        return (Pace(machine="any", per_second=None, hours=None, source=f"{why}; measure with: kimchi plan RECIPE --measure"),)
    return tuple(_pace(name, MFU * peak, recipe, work, f"estimate at {MFU:.0%} MFU, not measured here") for name, peak in PEAKS)


def _pace(machine: str, flops_a_second: float, recipe: LoraRecipe, work: Work, source: str) -> Pace:
    total = work.a_picture * recipe.steps * recipe.batch + work.watching + work.beforehand
    return Pace(machine=machine, per_second=flops_a_second / work.a_picture, hours=total / flops_a_second / 3600, source=source)


def measured(recipe: LoraRecipe, parts: Parts, choice: Choice, work: Work) -> Pace:
    """Train a UNet of the recipe's shape here, random weights and random data, for a few steps, and see how fast that is.

    Raises:
        RecipeError: it does not fit this machine.
    """
    device = find_device(recipe.machine.device)
    dtype = torch.bfloat16 if computes_bf16(recipe.precision, device.type) else torch.float32
    micro = min(choice.micro_batch, recipe.batch)
    try:
        seconds = _step_seconds(recipe, parts, device, dtype, micro, choice.checkpointing)
    except torch.OutOfMemoryError as error:
        raise RecipeError(f"{recipe.name}: {micro} samples together do not fit {device}. Lower machine.micro_batch, or set it to 0.") from error
    one = unet_pass(parts.unet, recipe.lora, recipe.resolution_px // parts.vae_factor, tokens(parts), dtype, checkpointing=choice.checkpointing)
    rate = one.flops * micro / seconds
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"this CPU, {torch.get_num_threads()} threads"
    return _pace(name, rate, recipe, work, f"measured now: forth and back of {micro} samples, random weights, nothing else of a step")


def _step_seconds(recipe: LoraRecipe, parts: Parts, device: torch.device, dtype: torch.dtype, micro: int, checkpointing: bool) -> float:
    net = cast(UNet2DConditionModel, UNet2DConditionModel.from_config(dict(parts.unet)))
    torch.nn.Module.to(net, device, dtype)
    channels_last(net)
    trained = list(lora.add(net, recipe.lora).values())
    net.train()
    if checkpointing:
        net.enable_gradient_checkpointing()
    side = recipe.resolution_px // parts.vae_factor
    sample_BCHW = torch.randn(micro, net.config["in_channels"], side, side, device=device, dtype=dtype)
    text_BLD = torch.randn(micro, tokens(parts), net.config["cross_attention_dim"], device=device, dtype=dtype)
    t_B = torch.full((micro,), 500, device=device)

    def steps(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            net(sample_BCHW, t_B, text_BLD).sample.float().square().mean().backward()
            for weight in trained:
                weight.grad = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    once = min(steps(1), steps(1))
    count = max(1, min(20, int(5 / once)))
    return steps(count) / count
