"""Trains the recogniser on renders of its own seeds, and on spoiled pictures that are none of these."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from kimchi.data.files import write_json
from kimchi.data.sample_world import CONCEPTS, Picture, worlds
from kimchi.data.sample_world.captions import captions
from kimchi.data.sample_world.concepts import World
from kimchi.models.networks import channels_last
from kimchi.models.precision import autocast_on_cpu
from kimchi.models.recogniser import ANSWERS, NONE, Network
from kimchi.recipes import MiniPartRecipe, Optimiser, recipe_hash
from kimchi.training import loop

from .repaint import repaint
from .world import draw, shapes, to_float, world_pictures

NONE_SHARE = 0.3
CALIBRATED = 0.96
"""Share of the worst kind of spoiled pictures that is still called 'none' after calibration; 95 % is asked on unseen ones."""
CLEAN_SHARE = 0.3
"""Of each batch, spoiled and good ones alike, that is shown as it was drawn: a mixture that is always weathered too is never learned for what it is."""
JOIN_PX = 78
_NONE = ANSWERS["concept"].index(NONE)
Painters = dict[World, tuple[tuple[str, str, list[float]], ...]]
"""Who paints which world, with which words (none: the empty prompt, no guidance), from how much noise."""
WORDINGS: dict[str, Callable[[Picture, int], str]] = {"en": lambda p, i: captions(p, i % 3).en, "ko": lambda p, i: captions(p, i % 3).ko}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Pictures repainted by the miniature, and how much of the good and of the spoiled part of a batch they fill."""

    painters: Painters
    per_concept: int
    share: float


FIRST = Paint(
    painters={
        # The base has never seen a Korean thing, and from a stronger noise it makes another thing of it; a painter told what there is keeps it.
        "general": (("mini-base", "", [0.15, 0.3, 0.45, 0.6]), ("mini", "en", [0.3, 0.5, 0.7])),
        "korean": (("mini-base", "", [0.1, 0.15, 0.2, 0.3]), ("mini", "ko", [0.25, 0.4, 0.5, 0.6])),
    },
    per_concept=20,
    share=0.4,
)
Spoiler = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def truth(items: list[Picture]) -> dict[str, torch.Tensor]:
    """Class indices of every question; -100 (ignored) where a thing has no colour to tell."""
    columns: dict[str, list[int]] = {name: [] for name in ANSWERS}
    for p in items:
        a = p.attributes
        words = {"concept": p.concept.slug, "colour": a.colour or "", "place": a.place, "time": a.time, "number": str(a.number), "side": a.side}
        for name, word in words.items():
            columns[name].append(ANSWERS[name].index(word) if word else -100)
    return {name: torch.tensor(values) for name, values in columns.items()}


def _smooth_noise(a: torch.Tensor, b: torch.Tensor, source: torch.Generator, low: int = 2, high: int = 65) -> torch.Tensor:
    size = int(torch.randint(low, high, (1,), generator=source))
    return F.interpolate(torch.randn(len(a), 3, size, size, generator=source), size=a.shape[-2:], mode="bilinear").clamp(-1, 1)


def _mixture(a: torch.Tensor, b: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    share = 0.4 + 0.2 * torch.rand(len(a), 1, 1, 1, generator=source)
    return share * a + (1 - share) * b


def _halves(a: torch.Tensor, b: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    # Joined at the height where things of every size are cut through; a cut down the middle would leave whole what stands on one side.
    made = a.clone()
    made[..., JOIN_PX:, :] = b[..., JOIN_PX:, :]
    return made


def _shuffled(a: torch.Tensor, b: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    n, cell = 4, a.shape[-1] // 4
    tiles = a.unfold(2, cell, cell).unfold(3, cell, cell).reshape(len(a), 3, n * n, cell, cell)[:, :, torch.randperm(n * n, generator=source)]
    return tiles.reshape(len(a), 3, n, n, cell, cell).permute(0, 1, 2, 4, 3, 5).reshape(a.shape)


def _noisy(a: torch.Tensor, b: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    return (0.35 * a + 0.9 * torch.randn(a.shape, generator=source)).clamp(-1, 1)


SPOILERS: dict[str, Spoiler] = {"noise": _smooth_noise, "mixture": _mixture, "halves": _halves, "shuffled": _shuffled, "drowned": _noisy}
TAUGHT = ("noise", "mixture", "mixture", "mixture", "halves", "halves", "shuffled", "drowned", "shapes")
"""How often each is shown: those that hold a whole thing, half visible, are the hard ones."""


def _weathered(x: torch.Tensor, source: torch.Generator, drift: float) -> torch.Tensor:
    """What generation does to a picture: bent outlines, blotches, blur, noise, and colours that drift by `drift` (0 to 1)."""
    x = _bent(x, source)
    strength = 0.5 * torch.rand(len(x), 1, 1, 1, generator=source)
    for _ in range(2):
        x = x + strength * _smooth_noise(x, x, source, low=4, high=48) * 0.6
    if torch.rand(1, generator=source) < 0.7:
        small = int(torch.randint(36, 128, (1,), generator=source))
        x = F.interpolate(F.interpolate(x, size=small, mode="bilinear", antialias=True), size=128, mode="bilinear")
    mixing = torch.eye(3) + 0.35 * drift * torch.randn(len(x), 3, 3, generator=source)
    lift = (0.05 + 0.2 * drift) * torch.randn(len(x), 3, 1, 1, generator=source)
    x = torch.einsum("bij,bjhw->bihw", mixing, x) + lift
    return (x + 0.06 * torch.rand(1, generator=source) * torch.randn(x.shape, generator=source)).clamp(-1, 1)


def _bent(x: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Moved by up to some pixels, differently here and there."""
    coarse = torch.randn(len(x), 2, 7, 7, generator=source) * 0.035 * torch.rand(len(x), 1, 1, 1, generator=source)
    shift = 0.06 * (torch.rand(len(x), 2, 1, 1, generator=source) - 0.5)
    moved = F.interpolate(coarse, size=x.shape[-2:], mode="bicubic") + shift
    line = torch.linspace(-1, 1, x.shape[-1])
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1) + moved.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _others(concepts: torch.Tensor, index: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """For each picture one of another concept: a mixture of two of one concept still shows it."""
    chosen = torch.randint(len(concepts), (len(index), 8), generator=source)
    differs = concepts[chosen] != concepts[index][:, None]
    # Eight of one concept in a row do not happen; if they did, the first would do.
    return chosen.gather(1, differs.float().argmax(1, keepdim=True))[:, 0]


@dataclass(slots=True, kw_only=True)
class _Pool:
    """Good pictures with their answers, and pictures of nothing."""

    good_N3HW: torch.Tensor
    answers: dict[str, torch.Tensor]
    bad_N3HW: torch.Tensor


def _painted_pool(recipe: MiniPartRecipe, paint: Paint, cache: Path, report: loop.Report | None) -> _Pool:
    """What the miniature makes of drawings, and of spoiled ones: both, or the look of its paint would itself be an answer."""
    good: list[torch.Tensor] = []
    items: list[Picture] = []
    for world, painters in paint.painters.items():
        some = world_pictures(worlds(world), paint.per_concept, "recogniser")
        drawn = draw(some, cache, report=report)
        for painter, wording, strengths in painters:
            prompts = [WORDINGS[wording](p, i) for i, p in enumerate(some)] if wording else []
            good.append(repaint(drawn, strengths, recipe.seed, cache, report, painter=painter, prompts=prompts))
            items += some
    answers = truth(items)
    # A painter makes of a yellow apple an orange one: the thing is the same, its colour is not.
    answers["colour"] = torch.full_like(answers["colour"], -100)
    return _Pool(good_N3HW=torch.cat(good), answers=answers, bad_N3HW=_painted_nothings(recipe, paint, cache, report))


def _painted_nothings(recipe: MiniPartRecipe, paint: Paint, cache: Path, report: loop.Report | None) -> torch.Tensor:
    everything = world_pictures(list(CONCEPTS.values()), paint.per_concept // 2, "recogniser")
    x, concepts, source = to_float(draw(everything, cache, report=report)), truth(everything)["concept"], loop.seed_of(recipe.seed, -1)
    others = _others(concepts, torch.arange(len(concepts)), source)
    third = len(x) // 3
    spoiled = [
        SPOILERS[name](x[i * third : (i + 1) * third], x[others[i * third : (i + 1) * third]], source)
        for i, name in enumerate(("mixture", "halves", "shuffled"))
    ]
    bad = ((torch.cat(spoiled).clamp(-1, 1) + 1) * 127.5).round().byte()
    # Weakly, and with the empty prompt: from more noise a painter makes one whole thing of two halves.
    return torch.cat([repaint(bad, [0.1, 0.2, 0.3], recipe.seed, cache, report, painter=painter) for painter in ("mini-base", "mini")])


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train on own seeds; save config.json and model.safetensors; return held-out scores."""
    torch.manual_seed(recipe.seed)
    return teach(recipe, channels_last(Network()), FIRST, folder, cache, watch, report)


def teach(
    recipe: MiniPartRecipe, network: Network, paint: Paint, folder: Path, cache: Path, watch: loop.Watcher | None, report: loop.Report | None
) -> dict[str, float]:  # fmt: skip
    """Train a network, new or taught before, on drawings and paint; calibrate, save, and return held-out scores."""
    items = world_pictures(list(CONCEPTS.values()), recipe.per_concept, "recogniser")
    drawn = _Pool(good_N3HW=draw(items, cache, report=report), answers=truth(items), bad_N3HW=shapes(1000, cache))
    painted = _painted_pool(recipe, paint, cache, report)

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        x, target, drift = _batch(recipe.batch, drawn, painted, paint.share, source, step)
        with autocast_on_cpu():
            logits = network(x)
        total = F.cross_entropy(logits["concept"].float(), target["concept"], label_smoothing=0.05)
        for question, values in logits.items():
            # A drifted colour is no longer the one its name says; the concept still is.
            if question != "concept" and not (question == "colour" and drift > 0.3):
                total = total + 0.3 * F.cross_entropy(values.float(), target[question])
        return total

    plan = loop.Plan(
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        warmup_steps=100,
        optimiser=Optimiser(weight_decay=0.05),
        ema=0.995,
        seconds=recipe.minutes * 60,
        checkpoint_every=250,
    )
    losses = loop.run(dict(network.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    network.eval()
    calibrate(network, cache)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {"answers": {k: list(v) for k, v in ANSWERS.items()}})
    return {"loss": sum(losses[-50:]) / len(losses[-50:]), **examine(network, cache)}


def _batch(size: int, drawn: _Pool, painted: _Pool, share: float, source: torch.Generator, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor], float]:
    """Pictures B 3 H W float [-1, 1], the right answers, and how far their colours have drifted."""
    spoiled, clean = int(size * NONE_SHARE), int(size * CLEAN_SHARE)
    bad_painted, good_painted = round(spoiled * share), round((size - spoiled) * share)

    def some(pictures_N3HW: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.randint(len(pictures_N3HW), (count,), generator=source)
        return to_float(pictures_N3HW[index]), index

    # pictures of nothing
    name = TAUGHT[int(torch.randint(len(TAUGHT), (1,), generator=source))]
    first, index = some(drawn.good_N3HW, spoiled - bad_painted)
    if name == "shapes":
        bad = some(drawn.bad_N3HW, spoiled - bad_painted)[0]
    else:
        bad = SPOILERS[name](first, to_float(drawn.good_N3HW[_others(drawn.answers["concept"], index, source)]), source)

    # pictures of something
    good, index = some(drawn.good_N3HW, size - spoiled - good_painted)
    repainted, second = some(painted.good_N3HW, good_painted)
    nothing = {question: torch.full((spoiled,), _NONE if question == "concept" else -100) for question in ANSWERS}
    target = {q: torch.cat([nothing[q], drawn.answers[q][index], painted.answers[q][second]]) for q in ANSWERS}

    # weathered, but for a share
    drift = float(step % 2) * float(torch.rand(1, generator=source))
    x = torch.cat([bad, some(painted.bad_N3HW, bad_painted)[0], good, repainted])
    weathered = torch.randperm(len(x), generator=source)[clean:]
    x[weathered] = _weathered(x[weathered], source, drift)
    return x.to(memory_format=torch.channels_last), target, drift


@torch.no_grad()
def calibrate(network: Network, cache: Path) -> float:
    """Lower the score of 'none' until the worst kind of spoiled picture, of training seeds, is told only CALIBRATED of the time; by how much.

    A network that is sure of 'none' where a person still sees the thing is as wrong as one that is never sure.
    """
    items = world_pictures(list(CONCEPTS.values()), 12, "recogniser")
    x, concepts, source = to_float(draw(items, cache)), truth(items)["concept"], loop.seed_of(0, 0)
    others = _others(concepts, torch.arange(len(concepts)), source)
    margins: list[torch.Tensor] = []
    for spoil in SPOILERS.values():
        logits = network(spoil(x, x[others], source))["concept"]
        named = logits.clone()
        named[:, _NONE] = -torch.inf
        margins.append(logits[:, _NONE] - named.amax(1))
    lift = max(0.0, min(float(margin.quantile(1 - CALIBRATED)) for margin in margins))
    network.heads["concept"].bias[_NONE] -= lift  # type: ignore[operator]
    return lift


@torch.no_grad()
def examine(network: Network, cache: Path) -> dict[str, float]:
    """Shares right on held-out renders, and 'none' on spoiled ones (different concepts in each pair)."""
    items = world_pictures(list(CONCEPTS.values()), 12, "recogniser-test")
    x, answers = to_float(draw(items, cache)), truth(items)
    logits = network(x)
    scores: dict[str, float] = {}
    for question, values in logits.items():
        judged = answers[question] >= 0
        scores[f"{question}_accuracy"] = float((values.argmax(1) == answers[question])[judged].float().mean())
    order = list(range(len(items)))
    random.Random(1).shuffle(order)
    different = torch.tensor([i for i, j in zip(range(len(items)), order, strict=True) if items[i].concept != items[j].concept])
    other = torch.tensor([j for i, j in zip(range(len(items)), order, strict=True) if items[i].concept != items[j].concept])
    for name, spoil in SPOILERS.items():
        bad = spoil(x[different], x[other], torch.Generator().manual_seed(9))
        scores[f"none_on_{name}"] = float((network(bad)["concept"].argmax(1) == _NONE).float().mean())
    return scores
