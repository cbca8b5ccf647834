"""Trains the recogniser on renders of its own seeds, and on spoiled pictures that are none of these."""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from kimchi.data.files import write_json
from kimchi.data.sample_world import CONCEPTS, Picture
from kimchi.models.networks import channels_last
from kimchi.models.recogniser import ANSWERS, NONE, Network
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop

from .world import draw, shapes, to_float, world_pictures

NONE_SHARE = 0.2
JOIN_PX = 78
_NONE = ANSWERS["concept"].index(NONE)
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


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train on own seeds; save config.json and model.safetensors; return held-out scores."""
    torch.manual_seed(recipe.seed)
    items = world_pictures(list(CONCEPTS.values()), recipe.per_concept, "recogniser")
    pictures_N3HW, answers = draw(items, cache, report=report), truth(items)
    abstract = shapes(1000, cache)
    network = channels_last(Network())
    spoiled = int(recipe.batch * NONE_SHARE)

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        index = torch.randint(len(items), (recipe.batch,), generator=source)
        x = to_float(pictures_N3HW[index])
        other = to_float(pictures_N3HW[torch.randint(len(items), (spoiled,), generator=source)])
        names = [*SPOILERS, "shapes"]
        name = names[int(torch.randint(len(names), (1,), generator=source))]
        bad = to_float(abstract[torch.randint(len(abstract), (spoiled,), generator=source)]) if name == "shapes" else SPOILERS[name](x[:spoiled], other, source)
        drift = float(step % 2) * float(torch.rand(1, generator=source))
        x = _weathered(torch.cat([bad, x[spoiled:]]), source, drift).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        total = torch.zeros(())
        for question, values in logits.items():
            target = answers[question][index].clone()
            # One pair in 56 is of one concept, and its mixture may still show it: too few to matter beside the smoothing.
            target[:spoiled] = _NONE if question == "concept" else -100
            if question == "colour" and drift > 0.3:
                # A drifted colour is no longer the one its name says; the concept still is.
                continue
            total = total + F.cross_entropy(values.float(), target, label_smoothing=0.05 if question == "concept" else 0.0) * (
                1.0 if question == "concept" else 0.3
            )
        return total

    plan = loop.Plan(
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        warmup_steps=100,
        weight_decay=0.05,
        ema=0.995,
        seconds=recipe.minutes * 60,
        checkpoint_every=250,
    )
    losses = loop.run(dict(network.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    network.eval()
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {"answers": {k: list(v) for k, v in ANSWERS.items()}})
    return {"loss": sum(losses[-50:]) / len(losses[-50:]), **examine(network, cache)}


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
