"""The numbers of the LoRA trainer, measured on this machine and printed beside what they should be.

    python tests/benchmarks/trainer.py                        everything that this machine can: about half an hour on 2 cores
    python tests/benchmarks/trainer.py --part speed --part cache
    python tests/benchmarks/trainer.py --part forgetting --run runs/quickstart/food --pictures 1000
    python tests/benchmarks/trainer.py --part gpu             on a machine with a GPU: pictures/s, MFU, memory against the plan

Speed is a ratio against a plain rival in the same run, at the true size of SD 1.5 with random weights. The rival does what the usual script
does: VAE and text encoder in every step, fp32, PyTorch's plain layout and optimiser. Nothing here fails on a number.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from spine import Row, table
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel

from kimchi.data.files import write_json
from kimchi.data.jsonl import write_records
from kimchi.models import lora
from kimchi.models.load import load_base
from kimchi.models.networks import channels_last
from kimchi.models.places import weights_folder
from kimchi.recipes import LoraRecipe, load_recipe
from kimchi.recipes.lora import Lora
from kimchi.records import CaptionedRecord
from kimchi.training.run import train
from kimchi.training.watch.log import read_log

RANK = 16
SEED = 12_400_000
"""Of general prompts and their pictures; used by nothing else."""
NOT_MEASURED = "not measured: no GPU here; python tests/benchmarks/trainer.py --part gpu"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for."""

    size_px: int
    batch: int
    steps: int
    run: Path
    pictures: int


def sd15(folder: Path) -> Path:
    """A diffusers folder of SD 1.5's true shapes, random weights, fp16 on disk."""
    if (folder / "model_index.json").is_file():
        return folder
    from kimchi.training.mini import unet as mini

    torch.manual_seed(0)
    UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).half().save_pretrained(folder / "unet")
    vae: dict[str, Any] = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4, "sample_size": 512}
    blocks: dict[str, Any] = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    AutoencoderKL(**vae, **blocks).half().save_pretrained(folder / "vae")
    mini.scheduler().save_pretrained(folder / "scheduler")
    tokenizer = json.loads((weights_folder() / "mini-korean-clip" / "tokenizer.json").read_text(encoding="utf-8"))
    size: dict[str, Any] = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    for name in ("text_encoder", "korean"):
        CLIPTextModel(CLIPTextConfig(**size, vocab_size=len(tokenizer["model"]["vocab"]), projection_dim=768)).half().save_pretrained(folder / name)
    for name in ("tokenizer", "korean"):
        (folder / name).mkdir(exist_ok=True)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name / file).write_bytes((weights_folder() / "mini-korean-clip" / file).read_bytes())
    write_json(folder / "model_index.json", mini.model_index())
    return folder


def pictures(folder: Path, count: int, size_px: int) -> Path:
    """A captions.jsonl with random photographs, larger than they are trained on, as JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, records = np.random.default_rng(0), list[CaptionedRecord]()
    for i in range(count):
        small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        small.resize((2 * size_px, 2 * size_px), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=90)
        words = {"caption_noun": "라면", "caption_ko": f"라면 사진 {i}", "caption_en": f"ramyeon {i}", "caption_romanised": "ramyeon"}
        records.append(CaptionedRecord(id=f"{i:016x}", path=str(folder / f"{i}.jpg"), labels=("음식", "라면"), group=str(i), **words))
    write_records(folder / "captions.jsonl", records)
    return folder / "captions.jsonl"


def _recipe(folder: Path, captions: Path, o: Options, **changes: Any) -> LoraRecipe:
    values: dict[str, Any] = {
        "kind": "lora", "name": "bench", "base": str(folder), "text_encoder": str(folder / "korean"), "out": str(folder / "run"), "steps": o.steps,
        "batch": o.batch, "resolution_px": o.size_px, "lora": {"rank": RANK, "alpha": RANK}, "precision": "bf16", "warmup_steps": 0, "checkpoint_every": 10**6,
        "sources": [{"captions": str(captions), "share": 1}], "machine": {"cache": str(folder / "cache"), "report_every": 1, "gradient_checkpointing": "off"},
    }  # fmt: skip
    return LoraRecipe.model_validate(values | changes)


def _ours(recipe: LoraRecipe) -> float:
    """Pictures a second of the trainer, steps alone, after the first; the caching has been done before them, once for all epochs."""
    train(recipe)
    speeds = [(r.step, r.speed.seconds) for r in read_log(Path(recipe.out)) if r.speed]
    (first, begun), (last, ended) = speeds[0], speeds[-1]
    return (last - first) * recipe.batch / (ended - begun)


def _plain(folder: Path, captions: Path, o: Options, device: str, bf16: bool) -> float:
    """Pictures a second of a plain loop: what is trained is the same, and nothing is kept between steps."""
    from kimchi.models.lora import add

    # dtype= given: fp16 on disk would be fp16 here.
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float32).to(device)
    vae = AutoencoderKL.from_pretrained(folder / "vae", dtype=torch.float32).to(device).requires_grad_(False)
    text = CLIPTextModel.from_pretrained(folder / "korean", dtype=torch.float32).to(device).requires_grad_(False)
    parameters = list(add(unet, Lora(rank=RANK, alpha=RANK)).values())
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    files = [json.loads(line)["path"] for line in captions.read_text(encoding="utf-8").splitlines()]
    began = 0.0
    for step in range(o.steps):
        if step == 1:
            _wait(device)
            began = time.perf_counter()
        pixels = torch.stack([_pixels(files[(step * o.batch + i) % len(files)], o.size_px) for i in range(o.batch)]).to(device)
        with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
            with torch.no_grad():
                latents = vae.encode(pixels).latent_dist.sample() * vae.config["scaling_factor"]
                states = text(input_ids=torch.randint(5, 300, (o.batch, 77), device=device)).last_hidden_state
            noise, t = torch.randn_like(latents), torch.randint(1000, (o.batch,), device=device)
            predicted = unet(scheduler.add_noise(latents, noise, t), t, states).sample
        loss = F.mse_loss(predicted.float(), noise.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()
    _wait(device)
    return (o.steps - 1) * o.batch / (time.perf_counter() - began)


def _pixels(path: str, size_px: int) -> torch.Tensor:
    with Image.open(path) as file:
        array = np.asarray(file.convert("RGB").resize((size_px, size_px), Image.Resampling.LANCZOS), dtype=np.float32)
    return torch.from_numpy(array).permute(2, 0, 1) / 127.5 - 1


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def speed(o: Options) -> list[Row]:
    """Training on the CPU at the true size, against the plain loop."""
    amx = "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else False
    bar = 3.0 if amx else 1.5
    with tempfile.TemporaryDirectory() as place:
        folder = sd15(Path(place) / "sd15")
        captions = pictures(Path(place) / "photos", 2 * o.batch, o.size_px)
        ours = _ours(_recipe(folder, captions, o))
        plain, cast = (_plain(folder, captions, o, "cpu", bf16) for bf16 in (False, True))
    ratio = ours / plain
    words = f"{ratio:.2f} x ({ours:.3f} against {plain:.3f} pictures/s, {o.size_px} px, batch {o.batch}, {'AMX' if amx else 'no AMX'})"
    return [
        Row(what="training, CPU, against a plain loop in fp32", bar=f">= {bar} x", measured=words, met=ratio >= bar),
        Row(what="the same against the plain loop under bf16 autocast", bar="reported", measured=f"{ours / cast:.2f} x ({cast:.3f} pictures/s)"),
    ]


def miniature(o: Options) -> list[Row]:
    """A step of the quickstart's training, against peft's layers and operations split over all cores."""
    general = "{captions: 'sample-world:general', share: 0.125, per_concept: 2, learn: base}"
    world = f"sources=[{{captions: 'sample-world:korean', share: 0.875, per_concept: 2}}, {general}]"
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        recipe = load_recipe("mini_quickstart_food", (world, "steps=24", f"out={place}/run", f"machine.cache={place}/cache"), kind="lora")
        train(recipe, lambda progress: ends.append(progress.seconds))
    ours, plain = recipe.batch / _step_s(ends), recipe.batch / _step_s(_plain_miniature(recipe, 24))
    words = f"{ours / plain:.2f} x ({ours:.1f} against {plain:.1f} pictures/s, batch {recipe.batch}, {torch.get_num_threads()} cores)"
    return [Row(what="training the miniature, CPU, against plain peft layers over all cores (without the base's rows)", bar="reported", measured=words)]


def _plain_miniature(recipe: LoraRecipe, steps: int) -> list[float]:
    model = load_base(recipe.base)
    weights = list(lora.add(channels_last(model.unet), recipe.lora).values())
    optimiser = torch.optim.AdamW(weights, recipe.learning_rate)
    noisy_BCHW, t_B = torch.randn(recipe.batch, 4, 32, 32).to(memory_format=torch.channels_last), torch.randint(0, 1000, (recipe.batch,))
    states_BLD, ends = torch.randn(recipe.batch, model.text.length, model.text.width), list[float]()
    for _ in range(steps):
        F.mse_loss(model.unet(noisy_BCHW, t_B, states_BLD).sample, noisy_BCHW).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        ends.append(time.monotonic())
    return ends


def _step_s(ends: list[float]) -> float:
    """Median seconds between the ends of steps; the first few warm up."""
    return float(np.median(np.diff(ends)[3:]))


def cache(o: Options) -> list[Row]:
    """Building the cache against the VAE alone on pixels that lie ready, mini's and SD 1.5's true size at o.size_px."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        sizes = {"mini, 128 px": (weights_folder() / "mini-base", 128, 256), f"SD 1.5, {o.size_px} px": (sd15(Path(place) / "sd15"), o.size_px, 16)}
        for name, (base, side, count) in sizes.items():
            rows.append(_building(name, base, side, count, Path(place) / name.split(",")[0]))
    return rows


def _building(name: str, base: Path, side: int, count: int, place: Path) -> Row:
    from kimchi.models.load import load_base
    from kimchi.models.networks import encoded
    from kimchi.training.buckets import fits_of
    from kimchi.training.cache import build_latents
    from kimchi.training.cache.encoding import BATCH_PIXELS
    from kimchi.training.rows import read_sources

    captions = pictures(place / "photos", count, side)
    vae = load_base(str(base)).vae
    recipe = LoraRecipe.model_validate(
        {"kind": "lora", "name": "x", "steps": 1, "resolution_px": side, "sources": [{"captions": str(captions), "share": 1}], "machine": {"cache": str(place)}}
    )
    table_ = read_sources(recipe)[0]
    fits = fits_of(table_.pictures, recipe.aspect, side)
    batch = max(1, BATCH_PIXELS // side**2)
    pixels = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last) * 2 - 1
    with torch.no_grad():
        encoded(vae, pixels)
        alone: list[float] = []
        built: list[float] = []
        # In turns: the machine is shared, and its speed drifts.
        for turn in range(3):
            began = time.perf_counter()
            for _ in range(-(-count // batch)):
                encoded(vae, pixels)
            alone.append(-(-count // batch) * batch / (time.perf_counter() - began))
            began = time.perf_counter()
            build_latents(vae, table_.pictures, fits, place / f"cache-{turn}")
            built.append(count / (time.perf_counter() - began))
    share = max(built) / max(alone)
    words = f"{100 * share:.0f} % ({max(built):.1f} of {max(alone):.1f} pictures/s, JPEG of twice the side)"
    return Row(what=f"cache building, {name}", bar=">= 90 % of the VAE's own", measured=words, met=share >= 0.9)


def loop_(o: Options) -> list[Row]:
    """On mini: how long the loop waits for data, and what a step costs beside forward, backward and optimiser."""
    with tempfile.TemporaryDirectory() as place:
        changes = ("steps=40", "sources.0.captions=sample-world:korean", "sources.0.per_concept=4", "sources.1.per_concept=2", "sources.1.learn=pictures",
                   "machine.report_every=1", "checkpoint_every=1000", f"machine.cache={place}/cache", f"out={place}/run")  # fmt: skip
        recipe = load_recipe("training/mini_quickstart_food.yaml", changes, kind="lora")
        inside = _Inside()
        with inside:
            train(recipe)
        readings = [r.speed for r in read_log(Path(place) / "run") if r.speed]
        total = readings[-1].seconds - readings[9].seconds
        busy = sum(inside.steps[10:])
        waiting = sum(r.waiting for r in readings[10:]) / len(readings[10:])
    overhead = 1 - busy / total
    return [
        Row(what="time the loop waits for data, mini", bar="< 1 %", measured=f"{100 * waiting:.2f} %", met=waiting < 0.01),
        Row(what="a step outside forward, backward and optimiser, mini", bar="< 5 %", measured=f"{100 * overhead:.1f} %", met=overhead < 0.05),
    ]


class _Inside:
    """Clocks what is the arithmetic of a step while the trainer runs: the objective's forward, backward, clipping and the optimiser."""

    def __enter__(self) -> "_Inside":
        from kimchi.training import loop
        from kimchi.training.objectives.ask import Objectives
        from kimchi.training.state import State

        self.steps: list[float] = []
        self._open = 0.0
        self._kept = [(Objectives, "__call__", Objectives.__call__), (torch.Tensor, "backward", torch.Tensor.backward), (State, "update", State.update),
                      (loop.nn.utils, "clip_grad_norm_", loop.nn.utils.clip_grad_norm_)]  # fmt: skip
        for owner, name, function in self._kept:
            setattr(owner, name, self._clocked(function, name == "update"))
        return self

    def _clocked(self, function: Callable[..., Any], ends: bool) -> Callable[..., Any]:
        def clocked(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self._open += time.perf_counter() - began
                if ends:
                    self.steps.append(self._open)
                    self._open = 0.0

        return clocked

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._kept:
            setattr(owner, name, function)


def forgetting(o: Options) -> list[Row]:
    """General Korean prompts before and after a culture LoRA: the same prompts and seeds through the aligned encoder, without and with it."""
    from spine import prompts

    from kimchi import Kimchi
    from kimchi.eval.intervals import paired_difference, wilson
    from kimchi.models.load import load_base, load_run, with_encoder
    from kimchi.models.recogniser import Recogniser

    judge = Recogniser.load(weights_folder() / "recogniser")
    each = -(-o.pictures // (2 * 32))
    asked = [p for form in ("rich", "noun") for p in prompts("general", "ko", form, each)]
    card = json.loads((o.run / "card.json").read_text(encoding="utf-8"))
    right: dict[str, list[bool]] = {}
    for name, model in (
        ("without", with_encoder(load_base(card["base"]), card["text_encoder"], "without")),
        ("with", load_run(o.run, "with")),
    ):
        painter = Kimchi(model, device="cpu")
        found: list[bool] = []
        for i in range(0, len(asked), 64):
            part = asked[i : i + 64]
            sights = judge.see([made.image for made in painter.generate([p.text for p in part], seed=SEED + i, batch=16)])
            found += [s.concept == p.picture.concept.slug for s, p in zip(sights, part, strict=True)]
            print(f"  {name}: {len(found)}/{len(asked)}", flush=True)
        right[name] = found
    change = paired_difference(right["with"], right["without"])
    before, after = (wilson(sum(right[name]), len(asked)) for name in ("without", "with"))
    words = f"{-100 * change.difference:.1f} points lost ({-100 * change.high:.1f} to {-100 * change.low:.1f}); {100 * before.share:.1f} % => "
    words += f"{100 * after.share:.1f} % of {len(asked)} pairs; {o.run}, {card['steps']} steps"
    return [Row(what="general Korean prompts lost to the culture LoRA, hybrid loss", bar="<= 1 point", measured=words, met=change.difference >= -0.01)]


def gpu(o: Options) -> list[Row]:
    """512 px on a GPU: pictures/s, MFU, and memory against the plan."""
    bars = {"training, 512 px, bf16, r=16": ">= 160 pictures/s on an H200, stretch 250", "peak memory, batch 1": "<= 4 GB, plan within 10 %",
            "peak memory, batch 8": "<= 11 GB, plan within 10 %"}  # fmt: skip
    if not torch.cuda.is_available():
        return [Row(what=what, bar=bar, measured=NOT_MEASURED) for what, bar in bars.items()]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        folder = sd15(Path(place) / "sd15")
        for batch, what in ((1, "peak memory, batch 1"), (8, "peak memory, batch 8"), (64, "training, 512 px, bf16, r=16")):
            rows.append(_on_gpu(folder, pictures(Path(place) / "photos", 64, 512), batch, what, bars[what]))
    return rows


def _on_gpu(folder: Path, captions: Path, batch: int, what: str, bar: str) -> Row:
    from kimchi.training.plan import Choice
    from kimchi.training.plan.memory import memory_of

    o = Options(size_px=512, batch=batch, steps=60, run=Path(), pictures=0)
    machine = {"cache": str(folder / "cache"), "report_every": 10, "gradient_checkpointing": "off", "compile": batch > 8, "micro_batch": batch}
    recipe = _recipe(folder, captions, o, out=str(folder / f"run-{batch}"), machine=machine)
    torch.cuda.reset_peak_memory_stats()
    train(recipe)
    last = [r.speed for r in read_log(Path(recipe.out)) if r.speed][-1]
    held, foreseen = torch.cuda.max_memory_reserved() / 1e9, memory_of(recipe, Choice(micro_batch=batch, checkpointing=False)).peak / 1e9
    name = torch.cuda.get_device_name()
    if "memory" in what:
        met = held <= (4 if batch == 1 else 11) and abs(held / foreseen - 1) <= 0.1
        return Row(what=what, bar=bar, measured=f"{held:.2f} GB, plan {foreseen:.2f} GB, on {name}", met=met)
    mfu = "n/a" if last.mfu is None else f"{100 * last.mfu:.0f} %"
    return Row(
        what=what, bar=bar, measured=f"{last.pictures_per_second:.0f} pictures/s, MFU {mfu}, {held:.1f} GB, on {name}", met=last.pictures_per_second >= 160
    )


PARTS: dict[str, Callable[[Options], list[Row]]] = {
    "speed": speed, "miniature": miniature, "cache": cache, "loop": loop_, "forgetting": forgetting, "gpu": gpu,
}  # fmt: skip


def _asked(parts: list[str] | None) -> Iterator[str]:
    yield from parts or PARTS


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="measure this only; repeatable")
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart/food"), help="the culture LoRA of part forgetting")
    parser.add_argument("--pictures", type=int, default=1000, help="pairs of part forgetting")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    given = parser.parse_args()
    o, found = Options(size_px=given.size_px, batch=given.batch, steps=given.steps, run=given.run, pictures=given.pictures), dict[str, list[Row]]()
    for part in _asked(given.part):
        found[part] = PARTS[part](o)
        print(table(found[part]), flush=True)
    if given.json:
        machine = {"system": platform.platform(), "cpus": os.cpu_count(), "threads": torch.get_num_threads(), "python": platform.python_version()}
        write_json(given.json, {"machine": machine, "rows": {part: [asdict(row) for row in rows] for part, rows in found.items()}})


if __name__ == "__main__":
    main()
