"""The numbers of alignment, measured on this machine and printed beside what they should be.

    python tests/benchmarks/align.py                          everything but culture: about half an hour on 2 cores
    python tests/benchmarks/align.py --part gap --part general --per-concept 3
    python tests/benchmarks/align.py --arm a0=runs/a0-only    one more encoder, in every part
    python tests/benchmarks/align.py --part cost              A1's step at the true size of SD 1.5, random weights
    python tests/benchmarks/align.py --part culture --runs runs/culture
                                                              eighteen trainings on eight dishes, hours. Stopped, the same command goes on. Two
                                                              cores do better with two of it at once, OMP_NUM_THREADS=1 before each: they share

Prompts are captions of pictures whose seeds no training and no recogniser has used; the same prompt has the same seed in every arm.
The recogniser only measures: no checkpoint was chosen by it. Nothing here fails on a number: a bar that is missed is printed as missed.
"""

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from culture import BUDGETS, SEEDS, Found, Study, crossed_difference
from spine import FORMS, Prompt, Row, prompts, table

from kimchi import Kimchi
from kimchi.data.files import write_json
from kimchi.data.sample_world import picture, worlds
from kimchi.data.sample_world.captions import captions
from kimchi.eval.intervals import Difference, Share, paired_difference, wilson
from kimchi.generation.generate import STEPS
from kimchi.models.load import load_base, with_encoder
from kimchi.models.places import weights_folder
from kimchi.models.precision import computes_bf16
from kimchi.models.recogniser import Recogniser
from kimchi.models.translator import Translator
from kimchi.recipes import load_recipe
from kimchi.training.align.pairs import held_out
from kimchi.training.align.run import measure_gaps

SEED = 12_000_000
"""Of the drawings, and of the pictures whose captions hold unseen compositions."""
CULTURE_STEPS = 12
"""Denoising steps where eighteen adapters draw: half the usual, for both encoders alike."""
RECIPE = "mini_align"
ENGLISH, TRANSLATED, RAW, ALIGNED = "English on the base", "translated, on the base", "raw swap", "aligned"
ENCODERS = {RAW: "mini-korean-clip", ALIGNED: "mini-aligned-clip"}
LEAST_GAIN = {100: 0.05, 300: 0.05, 1000: -0.01}
"""Steps => how much better a LoRA on the aligned encoder should be than one on the raw swap."""
Asked = Callable[[str], list[Prompt]]
"""Language => the prompts in it."""


@dataclass(kw_only=True)
class Bench:
    """What has been drawn so far; every arm draws every set of prompts once."""

    per_concept: int
    encoders: dict[str, str]
    """Arm -> text encoder; the arms that draw English have none."""
    study: Study
    recogniser: Recogniser = field(default_factory=lambda: Recogniser.load(weights_folder() / "recogniser"))
    drawn: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])

    @cached_property
    def translator(self) -> Translator:
        """The mini LLaMA."""
        return Translator.load(device="cpu")

    def right(self, arm: str, name: str, asked: Asked, *, attributes: bool = False) -> list[bool]:
        """Per prompt: was the concept recognised, and with `attributes` every stated colour and place too."""
        key = f"{name}: {arm}"
        if key not in self.drawn:
            found = asked("en" if arm == ENGLISH else "ko")
            if arm == TRANSLATED:
                found = [replace(p, text=text) for p, text in zip(found, self.translator.translate([p.text for p in found]), strict=True)]
            self.drawn[key] = self.judge(self._painter(arm), found, attributes=attributes)
            print(f"  {key}: {_said(_share(self.drawn[key]))}", flush=True)
        return self.drawn[key]

    def judge(self, painter: Kimchi, found: Sequence[Prompt], *, attributes: bool = False, steps: int = STEPS) -> list[bool]:
        """Draw, and per prompt tell what `right` tells."""
        sights = self.recogniser.see([made.image for made in painter.generate([p.text for p in found], seed=SEED, steps=steps, batch=16)])
        return [
            s.concept == p.picture.concept.slug and (not attributes or all(str(getattr(s, a)) == p.stated[a] for a in ("colour", "place")))
            for s, p in zip(sights, found, strict=True)
        ]

    def _painter(self, arm: str) -> Kimchi:
        base = load_base("mini-base")
        return Kimchi(with_encoder(base, self.encoders[arm], arm) if arm in self.encoders else base, device="cpu")


def unseen(language: str, number: int) -> list[Prompt]:
    """Captions that state a colour and a place which, with their concept, alignment has never read together."""
    return [
        Prompt(picture=p, form="rich", text=getattr(twin, language), stated={a: str(getattr(p.attributes, a)) for a in twin.stated})
        for p, twin in _held_out(number)
    ]


def _held_out(number: int) -> list[Any]:
    def every() -> Iterator[Any]:
        for seed in count(SEED):
            for concept in worlds("general"):
                p = picture(concept, seed)
                twin = captions(p)
                if held_out(concept, p.attributes) and {"colour", "place"} <= set(twin.stated):
                    yield p, twin

    found = every()
    return [next(found) for _ in range(number)]


def _share(right: Sequence[bool]) -> Share:
    return wilson(sum(right), len(right))


def _said(share: Share) -> str:
    return f"{100 * share.share:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f}) of {share.n}"


def _points(change: Difference) -> str:
    return f"{100 * change.difference:+.1f} points ({100 * change.low:+.1f} to {100 * change.high:+.1f})"


def gap(bench: Bench) -> list[Row]:
    """The alignment gap as it came and aligned, on pairs of its own."""
    recipe = load_recipe(RECIPE, (f"measure.pairs={32 * max(2, bench.per_concept)}",), kind="align")
    rows: list[Row] = []
    gaps = measure_gaps(recipe)
    raw, aligned = gaps["raw"].overall, gaps["aligned"].overall
    for name, found in gaps.items():
        words = f"{found.overall.value:.3f} ({found.overall.low:.3f}-{found.overall.high:.3f}); EOS cosine {found.eos_cosine:.3f}"
        words += f", BOS distance {found.start_distance:.3f}, pad norms {found.pad_norm_ratio:.3f}; "
        rows.append(Row(what=f"alignment gap, {name}", bar="reported", measured=words + ", ".join(f"{e.name}: {e.value:.2f}" for e in found.per_level)))
    share = aligned.value / raw.value
    return [*rows, Row(what="alignment gap, aligned as a share of raw", bar="<= 0.25", measured=f"{share:.3f}", met=share <= 0.25)]


def _compared(bench: Bench, name: str, asked: Asked, bar: float, *, attributes: bool = False) -> list[Row]:
    english = bench.right(ENGLISH, name, asked, attributes=attributes)
    rows = [Row(what=f"{name}: {ENGLISH}", bar="reported", measured=_said(_share(english)))]
    for arm in (TRANSLATED, *bench.encoders):
        found = bench.right(arm, name, asked, attributes=attributes)
        ratio = sum(found) / max(1, sum(english))
        words = f"{_said(_share(found))} = {100 * ratio:.1f} % of English; {_points(paired_difference(found, english))}"
        met = ratio >= bar if arm == ALIGNED else None
        rows.append(Row(what=f"{name}: {arm}", bar=f">= {100 * bar:.0f} % of English" if arm == ALIGNED else "reported", measured=words, met=met))
    return [*rows, _translations(bench, name, asked)]


def _translations(bench: Bench, name: str, asked: Asked) -> Row:
    """How well the Korean was translated."""
    twins, texts = asked("en"), bench.translator.translate([p.text for p in asked("ko")])
    names = [f"{re.escape(p.picture.concept.en)}|{re.escape(p.picture.concept.en_plural)}" for p in twins]
    kept = [bool(re.search(rf"\b({name})\b", text)) for name, text in zip(names, texts, strict=True)]
    exact = [text == p.text.removeprefix("a picture of ") for p, text in zip(twins, texts, strict=True)]
    return Row(
        what=f"{name}: translations that keep the concept's English name", bar="reported", measured=f"{_said(_share(kept))}; exact: {_said(_share(exact))}"
    )


def general(bench: Bench) -> list[Row]:
    """General Korean prompts, rich captions and nouns alone."""
    rows: list[Row] = []
    for form in FORMS:
        rows += _compared(bench, f"general, {form}", _world(bench, "general", form), 0.97)
    return rows


def _world(bench: Bench, world: str, form: str) -> Asked:
    return lambda language: prompts(world, language, form, bench.per_concept)


def compositions(bench: Bench) -> list[Row]:
    """Concept, colour and place that were never read together."""
    return _compared(bench, "unseen compositions", lambda language: unseen(language, 24 * bench.per_concept), 0.90, attributes=True)


def culture(bench: Bench) -> list[Row]:
    """Culture prompts under LoRAs of one budget, on the aligned encoder and on the raw swap; the baseline that translates."""
    asked = {form: _food(bench, form)("ko") for form in FORMS}
    found = bench.study.judged(list(ENCODERS.values()), asked, partial(bench.judge, steps=CULTURE_STEPS))
    bench.drawn |= {f"{bench.study.place(run).name}: {name}": right for run, names in found.items() for name, right in names.items()}
    rows = [row for steps in bench.study.budgets for row in _taught(found, steps)]
    for form in FORMS:
        name, of = f"culture, {form}", _food(bench, form)
        rows += [Row(what=f"{name}: {TRANSLATED}, no LoRA", bar="reported", measured=_said(_share(bench.right(TRANSLATED, name, of))))]
        rows += [_translations(bench, name, of)]
    return rows


def _food(bench: Bench, form: str) -> Asked:
    """The dishes that the LoRAs of the culture study learn."""
    return lambda language: [p for p in prompts("korean", language, form, bench.per_concept) if p.picture.concept.category == "food"]


def _taught(found: Found, steps: int) -> list[Row]:
    """One budget; the interval of the difference is explained at crossed_difference."""

    def by_seed(arm: str, *names: str) -> list[list[bool]]:
        runs = sorted((run for run in found if (run.encoder, run.steps) == (ENCODERS[arm], steps)), key=lambda run: run.seed)
        return [[right for name in names for right in found[run][name]] for run in runs]

    def difference(*names: str) -> Difference:
        return crossed_difference(by_seed(ALIGNED, *names), by_seed(RAW, *names))

    gain, bar = difference(*FORMS), LEAST_GAIN.get(steps)
    words = f"{_points(gain)}; " + ", ".join(f"{form} {_points(difference(form))}" for form in FORMS)
    rows = [
        Row(
            what=f"culture, {steps} steps: aligned + LoRA less raw swap + LoRA",
            bar="reported" if bar is None else f">= {100 * bar:+.0f} points",
            measured=words,
            met=None if bar is None else gain.difference >= bar,
        )
    ]
    for arm in ENCODERS:
        culture = ", ".join(f"{form} {_mean(by_seed(arm, form))}" for form in FORMS)
        rows.append(Row(what=f"  culture, {steps} steps: {arm} + LoRA", bar="reported", measured=culture))
    return rows


def _flat(rows: Sequence[Sequence[bool]]) -> float:
    """The share of all."""
    return sum(map(sum, rows)) / sum(map(len, rows))


def _mean(rows: Sequence[Sequence[bool]]) -> str:
    return f"{100 * _flat(rows):.1f} % (by seed {', '.join(f'{100 * _flat([row]):.1f}' for row in rows)})"


def duration(bench: Bench) -> list[Row]:
    """What the shipped encoder took, by its card."""
    card = json.loads((weights_folder() / "mini-aligned-clip" / "card.json").read_text(encoding="utf-8"))
    took = card["seconds"]
    return [Row(what="mini align, by its card", bar="<= 10 min on 2 cores", measured=f"{took / 60:.1f} min, {card['steps']} steps", met=took <= 600)]


def cost(bench: Bench) -> list[Row]:
    """A1's step at the true size of SD 1.5 (random weights): 256 px and a batch of one on a CPU, 512 px and sixteen on a GPU."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from kimchi.training.align.unet_loss import unet_loss

    device = "cuda" if torch.cuda.is_available() else "cpu"
    side, batch, steps = (64, 16, 10) if device == "cuda" else (32, 1, 2)
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).to(device).eval().requires_grad_(False)
    size: dict[str, Any] = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 49408}
    teacher, student = (CLIPTextModel(CLIPTextConfig(**size)).to(device) for _ in range(2))
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-5, fused=True)
    ids, took = torch.randint(49000, (batch, 77), device=device), list[float]()
    for _ in range(steps + 1):
        began = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=computes_bf16("bf16", device)):
            with torch.no_grad():
                wanted = teacher(input_ids=ids).last_hidden_state
            noisy, t = torch.randn(batch, 4, side, side, device=device), torch.randint(1000, (batch,), device=device)
            loss = unet_loss(unet, noisy, t, student(input_ids=ids).last_hidden_state, wanted, 0.1)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    each = sum(took[1:]) / steps
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else _peak_gib()
    words = f"{each:.2f} s a step of {batch} at {8 * side} px on {device}, {batch / each:.2f} pictures/s, {memory:.1f} GiB"
    words += f"; 1.6 M pairs: {1.6e6 / batch * each / 3600:.0f} h"
    return [Row(what="A1 at the true size of SD 1.5", bar="reported", measured=words)]


def _peak_gib() -> float:
    import resource

    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "gap": gap, "general": general, "unseen": compositions, "time": duration, "cost": cost, "culture": culture,
}  # fmt: skip
LONG = ("culture",)
"""Measured only when asked for."""


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="measure this only; repeatable")
    parser.add_argument("--per-concept", type=int, default=6, help="prompts per concept and form; 6 is 192 of the general world")
    parser.add_argument("--arm", action="append", default=[], metavar="NAME=ENCODER", help="one more text encoder; repeatable")
    parser.add_argument("--no-raw", action="store_true", help="leave the raw swap out")
    parser.add_argument("--runs", type=Path, default=Path("runs/culture"), help="culture: where its trainings are kept, and found again")
    parser.add_argument("--steps", type=int, action="append", help="culture: a budget of steps, in place of 100, 300 and 1,000; repeatable")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="culture: trainings of each budget and encoder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="culture: change the recipe of its trainings; repeatable")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    options = parser.parse_args()
    arms = dict(arm.split("=", 1) for arm in options.arm)
    encoders = ({} if options.no_raw else {RAW: ENCODERS[RAW]}) | arms | {ALIGNED: ENCODERS[ALIGNED]}
    study = Study(folder=options.runs, budgets=tuple(options.steps or BUDGETS), seeds=options.seeds, changes=tuple(options.set))
    bench, found = Bench(per_concept=options.per_concept, encoders=encoders, study=study), dict[str, list[Row]]()
    for part in options.part or [part for part in PARTS if part not in LONG]:
        found[part] = PARTS[part](bench)
        print(table(found[part]), flush=True)
    if options.json:
        machine = {"system": platform.platform(), "cpus": os.cpu_count(), "threads": torch.get_num_threads(), "python": platform.python_version()}
        rows = {part: [asdict(row) for row in rows] for part, rows in found.items()}
        write_json(options.json, {"machine": machine, "rows": rows, "right": bench.drawn})


if __name__ == "__main__":
    main()
