"""The mini base's UNet: SD 1.5's class, noise prediction, on the general world with English captions only.

It has never seen a Korean thing or a Korean word, as SD 1.5 has not.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from kimchi.data.files import write_json
from kimchi.data.sample_world import worlds
from kimchi.data.sample_world.captions import captions, noun
from kimchi.models.networks import channels_last
from kimchi.models.precision import autocast_on_cpu
from kimchi.models.text_encoders.clip import TextEncoder
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop
from kimchi.training.cache import TextStates, encode_pictures
from kimchi.training.losses import Noising, noise_loss
from kimchi.training.photos import in_memory

from .world import draw, world_pictures

VARIANTS = 3
"""Rich captions kept for each picture."""
NOUN_SHARE, EMPTY_SHARE = 0.2, 0.1
MIN_SNR_GAMMA = 5.0


def build(model: Mapping[str, Any]) -> UNet2DConditionModel:
    """SD 1.5's class: words are heard in the levels between the outermost, which only draws edges, and the innermost."""
    widths: tuple[int, ...] = tuple(model.get("widths", (32, 64, 128, 192)))
    inner = len(widths) - 2
    unet = UNet2DConditionModel(
        sample_size=32,
        layers_per_block=int(model.get("layers_per_block", 1)),
        block_out_channels=widths,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * inner, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * inner, "UpBlock2D"),
        cross_attention_dim=128,
        # diffusers' name notwithstanding, these are numbers of heads; heads of 64 are twice as fast on a CPU as heads of 8.
        attention_head_dim=tuple(model.get("heads", (1, 1, 2, 3))),
    )
    return channels_last(unet)


def scheduler() -> DDIMScheduler:
    """SD 1.5's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train on cached latents; save to `folder`, with scheduler and model_index.json beside it, as stock diffusers reads them."""
    torch.manual_seed(recipe.seed)
    base = folder.parent
    encoder = TextEncoder.load(base / "text_encoder", tokenizer=base / "tokenizer")
    vae = AutoencoderKL.from_pretrained(base / "vae", dtype=torch.float32).eval()
    items = world_pictures(worlds("general"), recipe.per_concept, "base")
    latents = encode_pictures(vae, in_memory(draw(items, cache, report=report)), report=report)
    words = [[noun(p.concept).en, *(captions(p, v).en for v in range(VARIANTS))] for p in items]
    states = TextStates(encoder, [w for group in words for w in group], report)
    noising = Noising(dict(scheduler().config))
    unet = build(recipe.model)

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        index = torch.randint(len(items), (recipe.batch,), generator=source).tolist()
        kind, variant = torch.rand(recipe.batch, generator=source).tolist(), torch.randint(1, VARIANTS + 1, (recipe.batch,), generator=source).tolist()
        chosen = ["" if k < EMPTY_SHARE else words[i][0 if k < EMPTY_SHARE + NOUN_SHARE else v] for i, k, v in zip(index, kind, variant, strict=True)]
        clean_BCHW = latents.sample(index, source)
        t_B = torch.randint(noising.steps, (recipe.batch,), generator=source)
        noise_BCHW = torch.randn(clean_BCHW.shape, generator=source)
        with autocast_on_cpu():
            predicted = unet(noising.add(clean_BCHW, noise_BCHW, t_B), t_B, states.of(chosen)).sample
        return noise_loss(predicted, noise_BCHW, noising.min_snr_weight(t_B, MIN_SNR_GAMMA))

    plan = loop.Plan(steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=200, ema=0.9985, seconds=recipe.minutes * 60, checkpoint_every=250)
    losses = loop.run(dict(unet.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    unet.half().save_pretrained(folder)
    scheduler().save_pretrained(base / "scheduler")
    write_json(base / "model_index.json", model_index())
    return {"loss": sum(losses[-200:]) / len(losses[-200:])}


def model_index() -> dict[str, object]:
    """What StableDiffusionPipeline.from_pretrained reads."""
    return json.loads("""{
      "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1", "feature_extractor": [null, null],
      "image_encoder": [null, null], "requires_safety_checker": false, "safety_checker": [null, null], "scheduler": ["diffusers", "DDIMScheduler"],
      "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
      "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}""")
