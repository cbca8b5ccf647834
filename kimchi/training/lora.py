"""The LoRA trainer: a frozen base hears a Korean text encoder, and a small adapter learns to draw what it says."""

import json
import random
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import UNet2DConditionModel

from kimchi import __version__
from kimchi.data.files import hash_file, hash_files, sha256, write_json, write_text
from kimchi.errors import RecipeError
from kimchi.models import lora
from kimchi.models.load import Model, load_base, with_encoder
from kimchi.recipes import LoraRecipe, recipe_hash

from . import checkpoints, loop, rows
from .cache import Latents, TextStates, encode_pictures
from .losses import Noising, noise_loss
from .rows import Table, read_sources, words_for
from .run import TrainOutcome


def train_lora(recipe: LoraRecipe, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> TrainOutcome:
    """Train an adapter into a run folder: recipe.yaml, adapter.safetensors, losses.json, and card.json last.

    Raises:
        RecipeError, DataError, ModelError: before the first step. TrainingError: a loss that is not a number.
    """
    began = time.monotonic()
    folder = Path(recipe.out or Path("runs") / recipe.name)
    model = with_encoder(load_base(recipe.base), recipe.text_encoder, recipe.base)
    fingerprint = f"{recipe_hash(recipe)}-{'-'.join(model.hashes[k] for k in sorted(model.hashes))}-{_fingerprint_of_data(recipe)}"
    done = _finished(folder, fingerprint)
    if done:
        return done

    # pictures and words, encoded once
    tables = read_sources(recipe, report)
    latents = [encode_pictures(model.vae, t.pictures_N3HW, [r.name for r in t.rows], report) for t in tables]
    states = TextStates(model.text, [w for t in tables for r in t.rows for w in (r.noun, *r.rich, *r.english)], report)

    # the adapter
    torch.manual_seed(recipe.seed)
    parameters = lora.add(model.unet, recipe.lora.rank, recipe.lora.alpha, recipe.lora.targets)
    if recipe.start_from:
        lora.continue_from(model.unet, Path(recipe.start_from) / "adapter.safetensors")
    loss_at = _loss(recipe, model, tables, latents, states)
    plan = loop.Plan(
        steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=recipe.warmup_steps, clip_norm=recipe.clip_norm,
        ema=recipe.ema, checkpoint_every=recipe.checkpoint_every,
    )  # fmt: skip
    losses = loop.run(parameters, loss_at, plan, folder / "checkpoints", fingerprint, watch)

    # what it leaves
    outcome = TrainOutcome(folder=folder, steps=len(losses), final_loss=sum(losses[-50:]) / len(losses[-50:]), seconds=time.monotonic() - began)
    _write(folder, recipe, model, fingerprint, losses, outcome)
    return outcome


def batch_sizes(recipe: LoraRecipe) -> list[int]:
    """How many samples of a batch each source fills: by its share, at least one, the whole batch in all.

    Raises:
        RecipeError: more sources than samples in a batch.
    """
    if recipe.batch < len(recipe.sources):
        raise RecipeError(f"{recipe.name}: batch {recipe.batch} is smaller than the number of sources, {len(recipe.sources)}. Use a larger batch.")
    sizes = [max(1, int(s.share * recipe.batch)) for s in recipe.sources]
    while sum(sizes) != recipe.batch:
        step = 1 if sum(sizes) < recipe.batch else -1
        # What is left over goes where the share is missed most; what is too much comes from the largest.
        missed = [step * (s.share * recipe.batch - n) if step > 0 or n > 1 else -float("inf") for s, n in zip(recipe.sources, sizes, strict=True)]
        sizes[missed.index(max(missed))] += step
    return sizes


def _loss(recipe: LoraRecipe, model: Model, tables: list[Table], latents: list[Latents], states: TextStates) -> Any:
    noising, sizes, unet = Noising(model.scheduler_config), batch_sizes(recipe), model.unet

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        chosen: list[str] = []
        clean: list[torch.Tensor] = []
        for table, latent, size in zip(tables, latents, sizes, strict=True):
            index = torch.randint(len(table.rows), (size,), generator=source).tolist()
            rng = random.Random(int(torch.randint(1 << 31, (1,), generator=source)))
            chosen += [words_for(table.rows[i], table, recipe.caption_dropout, rng) for i in index]
            clean.append(latent.sample(index, source))
        clean_BCHW = torch.cat(clean).to(memory_format=torch.channels_last)
        t_B = torch.randint(noising.steps, (recipe.batch,), generator=source)
        noise_BCHW = torch.randn(clean_BCHW.shape, generator=source)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            predicted = unet(noising.add(clean_BCHW, noise_BCHW, t_B), t_B, states.of(chosen)).sample
        return noise_loss(predicted, noise_BCHW, noising.min_snr_weight(t_B, recipe.min_snr_gamma))

    return loss_at


def _finished(folder: Path, fingerprint: str) -> TrainOutcome | None:
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if card.get("fingerprint") != fingerprint or not (folder / "adapter.safetensors").is_file():
        return None
    return TrainOutcome(folder=folder, steps=card["steps"], final_loss=card["final_loss"], seconds=0.0)


def _fingerprint_of_data(recipe: LoraRecipe) -> str:
    parts = [rows.fingerprint(source) for source in recipe.sources]
    if recipe.start_from:
        parts.append(hash_files([Path(recipe.start_from) / "adapter.safetensors"]))
    return sha256("/".join(parts).encode())


def _write(folder: Path, recipe: LoraRecipe, model: Model, fingerprint: str, losses: list[float], outcome: TrainOutcome) -> None:
    unet: UNet2DConditionModel = model.unet
    hashes = {k: v for k, v in model.hashes.items() if k != "adapter"}
    card = {
        "name": recipe.name, "base": recipe.base, "text_encoder": recipe.text_encoder, "hashes": hashes, "miniature": model.miniature,
        "lora": recipe.lora.model_dump(), "steps": outcome.steps, "batch": recipe.batch, "seed": recipe.seed, "final_loss": round(outcome.final_loss, 5),
        "seconds": round(outcome.seconds), "credit": _credit(recipe), "recipe_hash": recipe_hash(recipe), "fingerprint": fingerprint, "kimchi": __version__,
    }  # fmt: skip
    write_text(folder / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False))
    write_json(folder / "losses.json", [round(x, 5) for x in losses])
    notes = {k: card[k] for k in ("base", "text_encoder", "hashes", "miniature", "recipe_hash", "credit", "kimchi")}
    lora.save(unet, folder / "adapter.safetensors", notes, torch.float16 if recipe.adapter_dtype == "fp16" else torch.float32)
    write_json(folder / "card.json", card | {"sha256": {"adapter.safetensors": hash_file(folder / "adapter.safetensors")}})
    checkpoints.clear(folder / "checkpoints")


def _credit(recipe: LoraRecipe) -> str:
    """The credit lines of the data sets behind the sources, from the manifests that `prepare` wrote."""
    lines: list[str] = []
    for source in recipe.sources:
        manifest = Path(source.captions).parent / "manifest.json"
        if manifest.is_file():
            lines.append(json.loads(manifest.read_text(encoding="utf-8")).get("credit", ""))
    return " ".join(dict.fromkeys(filter(None, lines)))
