"""The LoRA trainer: a frozen base hears a Korean text encoder, and a small adapter learns to draw what it says.

parts: models and data, made ready    feed: a step's samples    objectives: what they are asked    loop: the steps    watching: what is seen of them
"""

import json
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import yaml
from torch import nn

from kimchi import __version__
from kimchi.data.files import hash_file, hash_files, sha256, write_json, write_text
from kimchi.models import lora
from kimchi.models.lanes import Lanes, replica
from kimchi.models.lora_whole import whole_where_cheaper
from kimchi.recipes import LoraRecipe, recipe_hash

from . import checkpoints, loop, rows
from .feed import Piece, on_device, pinned
from .objectives.ask import Objectives
from .plan import check
from .prefetch import Prefetch
from .ready import Bench, make_ready
from .run import TrainOutcome
from .team import join
from .watching import Watching


def train_lora(recipe: LoraRecipe, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> TrainOutcome:
    """Train an adapter into a run folder: recipe.yaml, log.jsonl, run.html, samples/, adapter.safetensors, losses.json, and card.json last.

    Raises:
        RecipeError, DataError, ModelError: before the first step. TrainingError: a loss that is not a number.
    """
    began = time.monotonic()
    check(recipe)
    team = join(recipe.machine.device)
    folder = Path(recipe.out or Path("runs") / recipe.name)
    bench = make_ready(recipe, team)
    fingerprint = f"{recipe_hash(recipe)}-{'-'.join(bench.model.hashes[k] for k in sorted(bench.model.hashes))}-{_fingerprint_of_data(recipe)}"
    done = _finished(folder, fingerprint)
    if done:
        return done

    # pictures and words, encoded once
    with team.main_first():
        bench.read(report)

    # the adapters
    parameters, rates = _adapters(bench)
    bench.settle_on_device()
    if team.device.type == "cpu" and not bench.bf16:
        whole_where_cheaper(bench.model.unet)
    plan = loop.Plan(
        steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=recipe.warmup_steps, clip_norm=recipe.clip_norm, optimiser=recipe.optimiser,
        ema=recipe.ema, checkpoint_every=recipe.checkpoint_every, report_every=1 if team.device.type == "cpu" else recipe.machine.report_every,
    )  # fmt: skip
    feed, watching = bench.feed(), bench.watching(folder, fingerprint, watch)

    # the steps
    with ExitStack() as open_:
        batches = open_.enter_context(Prefetch(lambda step: pinned(feed.at(step)) if team.device.type == "cuda" else feed.at(step), recipe.steps))
        lanes = open_.enter_context(Lanes(bench.lanes)) if bench.lanes > 1 else None
        losses_at = _losses(bench, batches, watching)
        try:
            losses = loop.run(
                parameters, losses_at, plan, folder / "checkpoints", fingerprint, watching.told, team=team, rates=rates, pause=watching, blame=feed.names,
                lanes=lanes,
            )  # fmt: skip
        except BaseException as error:
            watching.finish("stopped" if isinstance(error, KeyboardInterrupt) else "failed", str(error) or "Interrupted; the same command goes on.")
            raise

    # what it leaves
    outcome = TrainOutcome(folder=folder, steps=len(losses), final_loss=sum(losses[-50:]) / len(losses[-50:]), seconds=time.monotonic() - began)
    if team.main:
        _write(folder, bench, fingerprint, losses, outcome, watching)
        watching.finish("finished", "Held-out loss no longer falls." if watching.stopped else "")
    team.wait()
    return outcome


def _adapters(bench: Bench) -> tuple[dict[str, nn.Parameter], dict[str, float]]:
    """What is trained, by name, and at which share of the rate; the same first weights in every process."""
    recipe, text = bench.recipe, bench.trained_text
    torch.manual_seed(recipe.seed)
    parameters = lora.add(bench.model.unet, recipe.lora)
    rates: dict[str, float] = {}
    if recipe.text_lora is not None:
        words = lora.add_text(text, recipe.text_lora)
        parameters, rates = parameters | words, dict.fromkeys(words, recipe.text_rate)
    if recipe.start_from:
        lora.continue_from(bench.model.unet, Path(recipe.start_from) / "adapter.safetensors", text)
    return parameters, rates


def _losses(bench: Bench, batches: Prefetch[list[Piece]], watching: Watching) -> loop.LossAt:
    """Step => the weighted losses of its pieces; each lane asks a network of its own over the same weights."""
    recipe, device, text = bench.recipe, bench.team.device, bench.model.text
    first = Objectives(unet=bench.model.unet, noising=bench.noising, min_snr_gamma=recipe.min_snr_gamma, loss=recipe.loss, bf16=bench.bf16)
    objectives = [first, *(replace(first, unet=replica(first.unet)) for _ in range(1, bench.lanes))]

    def loss_of(piece: Piece, lane: int) -> torch.Tensor:
        heard: torch.Tensor | None = None
        if bench.trained_text is not None:
            with bench.autocast():
                heard = text.states(text.ids(piece.words)).float()
        loss_B = objectives[lane](on_device(piece, device, heard))
        return (loss_B * piece.weight_B.to(device, non_blocking=True)).sum()

    def losses_at(step: int) -> list[loop.Piece]:
        with watching.meter.waiting():
            pieces = batches.take(step)
        return [partial(loss_of, piece) for piece in pieces]

    return losses_at


def _finished(folder: Path, fingerprint: str) -> TrainOutcome | None:
    card = folder / "card.json"
    if not card.is_file() or not (folder / "adapter.safetensors").is_file():
        return None
    data = json.loads(card.read_text(encoding="utf-8"))
    if data.get("fingerprint") != fingerprint:
        return None
    return TrainOutcome(folder=folder, steps=data["steps"], final_loss=data["final_loss"], seconds=0.0)


def _fingerprint_of_data(recipe: LoraRecipe) -> str:
    """What the recipe's files hold: captions, how the culture says whose they are, and the adapter to go on from."""
    start = [Path(recipe.start_from) / "adapter.safetensors"] if recipe.start_from else []
    return sha256(
        "".join([*map(rows.fingerprint, recipe.sources), rows.fingerprint_of_origins(recipe), *(hash_files([p]) for p in start if p.is_file())]).encode()
    )


def _write(folder: Path, bench: Bench, fingerprint: str, losses: list[float], outcome: TrainOutcome, watching: Watching) -> None:
    recipe, model = bench.recipe, bench.model
    card = {
        "name": recipe.name, "base": recipe.base, "text_encoder": recipe.text_encoder, "hashes": bench.hashes, "miniature": model.miniature,
        "lora": recipe.lora.model_dump(), "text_lora": recipe.text_lora and recipe.text_lora.model_dump(), "steps": outcome.steps, "batch": recipe.batch,
        "seed": recipe.seed, "final_loss": round(outcome.final_loss, 5), "best_step": watching.best_step if recipe.held_out.keep_best else None,
        "seconds": round(outcome.seconds), "credit": _credit(recipe), "recipe_hash": recipe_hash(recipe), "fingerprint": fingerprint, "kimchi": __version__,
    }  # fmt: skip
    write_text(folder / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False))
    write_json(folder / "losses.json", [round(x, 5) for x in losses])
    notes = {k: card[k] for k in ("base", "text_encoder", "hashes", "miniature", "recipe_hash", "credit", "kimchi")}
    dtype = torch.float16 if recipe.adapter_dtype == "fp16" else torch.float32
    lora.save(model.unet, folder / "adapter.safetensors", notes, dtype, bench.trained_text)
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
