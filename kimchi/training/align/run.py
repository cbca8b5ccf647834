"""A recipe of kind align => an encoder that the base's UNet understands. What `kimchi align` calls."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file

from kimchi import __version__
from kimchi.data.files import hash_file, write_json, write_text
from kimchi.data.jsonl import write_records
from kimchi.data.parallel import Pair
from kimchi.errors import ModelError, RecipeError
from kimchi.models.devices import find_device
from kimchi.models.lanes import LANE, Lanes
from kimchi.models.load import Model, load_base, load_encoder
from kimchi.models.places import weights_folder
from kimchi.models.precision import computes_bf16
from kimchi.models.text_encoders import adapted
from kimchi.recipes import AlignRecipe, recipe_hash, to_yaml
from kimchi.training import checkpoints, loop
from kimchi.training.losses import Noising

from . import fit, layers, pairs
from .gap import Gap, measure
from .latents import Pool, make_pool
from .plot import gap_svg
from .text_loss import Scale, scale_of, states_of, text_losses, weighted
from .unet_loss import InLanes, unet_loss

SCALE_PAIRS = 256
"""Pairs over which the teacher's own variance is taken."""
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignOutcome:
    """What an alignment left."""

    folder: Path
    steps: int
    """Of both stages."""
    seconds: float
    gaps: dict[str, float]
    """The alignment gap as it came, after A0 and after A1."""


@dataclass(slots=True, kw_only=True)
class _Bench:
    """Everything a stage needs, loaded."""

    recipe: AlignRecipe
    model: Model
    student: Any
    projection_PD: torch.Tensor
    tables: list[pairs.Table]
    fingerprint: str
    device: torch.device
    pool: Pool | None = None
    test: list[Pair] = field(default_factory=list[Pair])

    def autocast(self) -> torch.autocast:
        """The recipe's compute type."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=computes_bf16(self.recipe.precision, self.device.type))


def align(recipe: AlignRecipe, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> AlignOutcome:
    """Run both stages; leave the encoder, its tokenizer, recipe.yaml, losses.json, gap.json, and card.json last.

    Rerunning a finished run does nothing; rerunning a stopped one goes on.

    Raises:
        RecipeError, DataError, ModelError: before the first step. TrainingError: a loss that is not a number.
    """
    began = time.monotonic()
    folder = _folder(recipe)
    bench = _load(recipe)
    done = _finished(folder, bench.fingerprint)
    if done:
        return done

    # what the UNet is shown
    bench.test = _test(bench)
    bench.pool = make_pool(recipe, bench.model, bench.tables, bench.test, report)
    gaps = {"raw": _gap(bench, report)}

    # A0, then A1, on the same weights
    work = folder / "checkpoints"
    parameters = layers.trainable(bench.student.model, recipe.trained_layers, recipe.layers_rate)
    told = _told(watch, 0, recipe)
    losses = {"a0": loop.run(parameters, _text_loss(bench), _plan(recipe, recipe.a0, 0.0), work / "a0", f"{bench.fingerprint}-a0", told)}
    gaps["a0"] = _gap(bench, report)
    if recipe.a1.steps:
        told = _told(watch, recipe.a0.steps, recipe)
        with _lanes(bench) as lanes:
            losses["a1"] = loop.run(parameters, _unet_loss(bench, lanes), _plan(recipe, recipe.a1, recipe.a1.ema), work / "a1", f"{bench.fingerprint}-a1", told)
        gaps["a1"] = _gap(bench, report)
    layers.settle(bench.student.model)

    # what it leaves
    _write(folder, bench, gaps, losses, time.monotonic() - began)
    return AlignOutcome(
        folder=folder, steps=sum(map(len, losses.values())), seconds=time.monotonic() - began, gaps={k: g.overall.value for k, g in gaps.items()}
    )


def measure_gaps(recipe: AlignRecipe, report: loop.Report | None = None) -> dict[str, Gap]:
    """The gap of the recipe's encoder as it is, and of its finished alignment where there is one; gap.json and gap.svg in the run folder.

    Raises:
        RecipeError, DataError, ModelError: what the message says.
    """
    bench = _load(recipe)
    bench.test = _test(bench)
    few = recipe.latents.model_copy(update={"count": len(bench.test)})
    bench.pool = make_pool(recipe.model_copy(update={"latents": few}), bench.model, [], bench.test, report)
    gaps = {"raw": _gap(bench, report)}
    folder = _folder(recipe)
    if (folder / "card.json").is_file() and (folder / WEIGHTS).is_file():
        bench.student, _ = load_encoder(str(folder), recipe.encoder)
        gaps["aligned"] = _gap(bench, report)
    write_json(Path("runs") / recipe.name / "gap.json", {name: asdict(gap) for name, gap in gaps.items()})
    write_text(Path("runs") / recipe.name / "gap.svg", gap_svg(gaps))
    return gaps


def _folder(recipe: AlignRecipe) -> Path:
    return Path(recipe.out or Path("runs") / recipe.name)


def _load(recipe: AlignRecipe) -> _Bench:
    fit.check(recipe)
    tables = pairs.read_pairs(recipe)
    device = find_device(recipe.device)
    model = load_base(recipe.base)
    student, digest = load_encoder(recipe.text_encoder, recipe.encoder)
    if recipe.adapter == "mlp":
        student = adapted.TextEncoder.around(
            student, model.unet.config["cross_attention_dim"], part=recipe.encoder, source=recipe.text_encoder, seed=recipe.seed
        )
        student.tower_changed = recipe.trained_layers != 0
    _check(recipe, model, student)
    projection_PD = _projection(recipe, model.text.width).to(device)
    # The VAE stays where its reader is: pictures are encoded once, on the CPU.
    for network in (model.unet, model.text.model, student.model):
        cast(Any, network).to(device)
    _tell_refused(recipe, tables)
    named = "-".join([*(model.hashes[k] for k in sorted(model.hashes)), digest, pairs.fingerprint(recipe)])
    return _Bench(
        recipe=recipe, model=model, student=student, projection_PD=projection_PD, tables=tables, device=device, fingerprint=f"{recipe_hash(recipe)}-{named}"
    )


def _tell_refused(recipe: AlignRecipe, tables: Sequence[pairs.Table]) -> None:
    """Rows of parallel text that are not learned from, with the reason of each, in the run's folder."""
    refused = [one for table in tables for one in table.refused]
    if refused:
        write_records(Path("runs") / recipe.name / "pairs.dropped.jsonl", refused)


def _check(recipe: AlignRecipe, model: Model, student: Any) -> None:
    wanted = model.unet.config["cross_attention_dim"]
    if student.width != wanted or student.length != model.text.length:
        raise ModelError(
            f"{recipe.text_encoder}: gives {student.length} states of width {student.width}, and {recipe.base} reads {model.text.length} of width {wanted}. "
            "Choose an encoder of that shape, or add `adapter: mlp` to the recipe."
        )


def _projection(recipe: AlignRecipe, width: int) -> torch.Tensor:
    """The teacher's frozen text projection, P D: kept beside the base's encoder, or read from the CLIP that the recipe names."""
    folder = weights_folder() / recipe.base if recipe.base == "mini-base" else Path(recipe.base).expanduser()
    beside = folder / "text_encoder" / "text_projection.safetensors"
    if recipe.projection:
        from transformers import CLIPTextModelWithProjection

        projection_PD = CLIPTextModelWithProjection.from_pretrained(recipe.projection, dtype=torch.float32).text_projection.weight.detach()
    elif beside.is_file():
        projection_PD = load_file(beside)["text_projection.weight"].float()
    else:
        raise RecipeError(
            f"{recipe.base}: its text encoder has no projection beside it, and A0 looks at sentences through one. Name the CLIP it was taken from as "
            "`projection`; for Stable Diffusion 1.x that is openai/clip-vit-large-patch14."
        )
    if projection_PD.shape[1] != width:
        raise ModelError(
            f"{recipe.projection or beside}: projects {projection_PD.shape[1]}-wide states, and the teacher's are {width} wide. Name its own CLIP."
        )
    return projection_PD


def _test(bench: _Bench) -> list[Pair]:
    """The pairs that measure: of sources the UNet is asked about, evenly."""
    tests = [t.test for t in bench.tables if t.through_unet and t.test] or [t.test for t in bench.tables]
    each = -(-bench.recipe.measure.pairs // len(tests))
    # Every so manyth: neighbours in a source are of one kind.
    found = [pair for test in tests for pair in test[:: max(1, len(test) // each)][:each]][: bench.recipe.measure.pairs]
    if not found:
        raise RecipeError("no pair of sentences is left to measure on. Add parallel text: one pair in fifty of a file measures.")
    return found


def _gap(bench: _Bench, report: loop.Report | None) -> Gap:
    assert bench.pool
    options = bench.recipe.measure
    return measure(
        bench.student, bench.model.text, bench.projection_PD, bench.model, bench.pool, bench.test,
        levels=options.levels, batch=options.batch, autocast=bench.autocast, report=report,
    )  # fmt: skip


def _plan(recipe: AlignRecipe, stage: Any, ema: float) -> loop.Plan:
    return loop.Plan(steps=stage.steps, learning_rate=stage.learning_rate, warmup_steps=stage.warmup_steps, ema=ema, checkpoint_every=recipe.checkpoint_every)


def _told(watch: loop.Watcher | None, before: int, recipe: AlignRecipe) -> loop.Watcher | None:
    """One count of steps over both stages."""
    total = recipe.a0.steps + recipe.a1.steps
    return watch and (lambda p: watch(loop.Progress(step=before + p.step, steps=total, loss=p.loss, seconds=p.seconds)))


def _text_terms(bench: _Bench, scale: Scale, chosen: Sequence[Pair]) -> dict[str, torch.Tensor]:
    english = [p.en for p in chosen]
    with torch.no_grad(), bench.autocast():
        teacher = states_of(bench.model.text, english)
    with bench.autocast():
        korean, also = states_of(bench.student, [p.ko for p in chosen]), states_of(bench.student, english, whole=False)
    return text_losses(korean, also, teacher, bench.projection_PD, scale)


def _scale(bench: _Bench) -> Scale:
    sample = pairs.draw(bench.tables, SCALE_PAIRS, loop.seed_of(bench.recipe.seed, 1 << 40))
    with torch.no_grad():
        return scale_of(states_of(bench.model.text, [p.en for p in sample]), bench.projection_PD)


def _text_loss(bench: _Bench) -> Callable[[int], torch.Tensor]:
    recipe, scale = bench.recipe, _scale(bench)

    def loss_at(step: int) -> torch.Tensor:
        chosen = pairs.draw(bench.tables, recipe.a0.batch, loop.seed_of(recipe.seed, step))
        return weighted(_text_terms(bench, scale, chosen), recipe.a0)

    return loss_at


def _lanes(bench: _Bench) -> AbstractContextManager[Lanes | None]:
    """On a CPU, some samples a lane; a base of full size is not split, for its operations fill the cores, and a lane more is a batch more in memory."""
    count = min(torch.get_num_threads(), bench.recipe.a1.batch // LANE)
    return Lanes(count) if bench.device.type == "cpu" and bench.model.miniature and count > 1 else nullcontext()


def _unet_loss(bench: _Bench, lanes: Lanes | None) -> Callable[[int], torch.Tensor]:
    recipe, scale, unet, pool = bench.recipe, _scale(bench), bench.model.unet, bench.pool
    assert pool
    noising, stage = Noising(bench.model.scheduler_config), recipe.a1
    compare = InLanes(unet, lanes, bench.autocast) if lanes else partial(unet_loss, unet)
    shown = [pairs.Table(pairs=pool.known(t.pairs), test=[], share=t.share, through_unet=True) for t in bench.tables if t.through_unet]

    def loss_at(step: int) -> torch.Tensor:
        # Seeds of their own: A0 has used these steps' numbers.
        source = loop.seed_of(recipe.seed + 1, step)
        chosen = pairs.draw(shown, stage.batch, source)
        kind_B = torch.rand(stage.batch, generator=source).tolist()
        empty, english = recipe.caption_dropout, recipe.caption_dropout + (1 - recipe.caption_dropout) * stage.english_share
        asked = ["" if k < empty else p.en for k, p in zip(kind_B, chosen, strict=True)]
        heard = ["" if k < empty else p.en if k < english else p.ko for k, p in zip(kind_B, chosen, strict=True)]

        clean_BCHW = pool.sample(chosen, source)
        t_B = torch.randint(noising.steps, (stage.batch,), generator=source)
        noisy_BCHW = noising.add(clean_BCHW, torch.randn(clean_BCHW.shape, generator=source), t_B).to(bench.device)
        with bench.autocast():
            with torch.no_grad():
                teacher = states_of(bench.model.text, asked)
            student = states_of(bench.student, heard)
            loss = compare(noisy_BCHW, t_B.to(bench.device), student.h_BLD, teacher.h_BLD, stage.features)
        if stage.text:
            also = pairs.draw(bench.tables, stage.text_batch, source)
            loss = loss + stage.text * weighted(_text_terms(bench, scale, also), recipe.a0)
        return loss

    return loss_at


def _finished(folder: Path, fingerprint: str) -> AlignOutcome | None:
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if card.get("fingerprint") != fingerprint or not (folder / WEIGHTS).is_file():
        return None
    return AlignOutcome(folder=folder, steps=card["steps"], seconds=0.0, gaps={k: g["value"] for k, g in card["gaps"].items()})


def _write(folder: Path, bench: _Bench, gaps: dict[str, Gap], losses: dict[str, list[float]], seconds: float) -> None:
    recipe = bench.recipe
    folder.mkdir(parents=True, exist_ok=True)
    bench.student.save(folder, torch.float16 if recipe.dtype == "fp16" else torch.float32)
    write_text(folder / "recipe.yaml", to_yaml(recipe))
    write_json(folder / "losses.json", {stage: [round(x, 5) for x in each] for stage, each in losses.items()})
    write_json(folder / "gap.json", {name: asdict(gap) for name, gap in gaps.items()})
    run = Path("runs") / recipe.name
    write_text(run / "gap.svg", gap_svg(gaps))
    overall = {name: {k: round(v, 4) for k, v in asdict(gap.overall).items() if k in ("value", "low", "high")} for name, gap in gaps.items()}
    steps, rows = sum(map(len, losses.values())), [t.counts for t in bench.tables if t.counts]
    card = {
        "name": recipe.name, "base": recipe.base, "text_encoder": recipe.text_encoder, "hashes": dict(bench.model.hashes), "miniature": bench.model.miniature,
        "steps": steps, "seed": recipe.seed, "seconds": round(seconds), "gaps": overall, "rows": rows, "recipe_hash": recipe_hash(recipe),
        "fingerprint": bench.fingerprint, "kimchi": __version__, "sha256": {WEIGHTS: hash_file(folder / WEIGHTS)},
    }  # fmt: skip
    # The card last: its existence says that the run is finished.
    write_json(folder / "card.json", card)
    checkpoints.clear(folder / "checkpoints")
