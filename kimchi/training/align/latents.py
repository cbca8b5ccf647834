"""What the UNet is shown while two encoders are compared: latents of pictures, by the name of the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kimchi.data.parallel import Pair
from kimchi.errors import DataError
from kimchi.models.load import Model
from kimchi.recipes import AlignRecipe
from kimchi.training.cache import Latents, encode_pictures
from kimchi.training.loop import Report

from .pairs import Table, drawn_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Latents of pictures, and which name has which."""

    latents: Latents
    index: dict[str, int]
    by_text: bool = False
    """True where the name of a picture is the English sentence it was drawn from."""

    def name(self, pair: Pair) -> str:
        """What the picture of a pair is called here."""
        return pair.en if self.by_text else pair.picture

    def known(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs whose picture is here; all of them where none is, and then any picture serves."""
        return [p for p in pairs if self.name(p) in self.index] or list(pairs)

    def sample(self, pairs: Sequence[Pair], source: torch.Generator) -> torch.Tensor:
        """Latents B C H W, each of the pair's own picture where it is here."""
        anyone = torch.randint(len(self.index), (len(pairs),), generator=source).tolist()
        own = [self.index.get(self.name(p)) for p in pairs]
        return self.latents.sample([anyone[i] if place is None else place for i, place in enumerate(own)], source)


def make_pool(recipe: AlignRecipe, model: Model, tables: Sequence[Table], test: Sequence[Pair], report: Report | None = None) -> Pool:
    """The pictures of the test pairs, and up to `count` of those that are learned from.

    Raises:
        DataError: no picture at all.
    """
    asked = [p for t in tables if t.through_unet for p in t.pairs]
    if recipe.latents.source == "teacher":
        return _sampled(recipe, model, [*test, *asked], report)
    if recipe.latents.source == "sample-world:general":
        names = _names([*test, *asked], recipe.latents.count + len(test), "sample-world/")
        pictures_N3HW = _drawn(names, model.size_px, report)
    else:
        names, pictures_N3HW = _photographed(recipe, model.size_px, report)
    if not names:
        raise DataError(
            f"{recipe.latents.source}: none of the pairs has a picture there. Set latents.source to teacher, which draws its own, or to a captions.jsonl."
        )
    return Pool(latents=encode_pictures(model.vae, pictures_N3HW, names, report), index={name: i for i, name in enumerate(names)})


def _names(pairs: Sequence[Pair], count: int, prefix: str) -> list[str]:
    return list(dict.fromkeys(p.picture for p in pairs if p.picture.startswith(prefix)))[:count]


def _drawn(names: Sequence[str], side: int, report: Report | None) -> torch.Tensor:
    stacked = np.empty((len(names), 3, side, side), np.uint8)
    for i, name in enumerate(names):
        stacked[i] = np.asarray(drawn_picture(name).render(side)).transpose(2, 0, 1)
        if report:
            report("drawing", i + 1, len(names))
    return torch.from_numpy(stacked)


def _photographed(recipe: AlignRecipe, side: int, report: Report | None) -> tuple[list[str], torch.Tensor]:
    """The pictures of a captions.jsonl, as the LoRA trainer reads them."""
    from kimchi.recipes import LoraRecipe, Source
    from kimchi.training.rows import read_sources

    path = Path(recipe.latents.source)
    wanted = LoraRecipe(kind="lora", name=recipe.name, sources=(Source(captions=str(path), share=1),), steps=1, resolution_px=side)
    [table] = read_sources(wanted, report)
    count = min(recipe.latents.count, len(table.rows))
    return [row.name for row in table.rows[:count]], table.pictures_N3HW[:count]


def _sampled(recipe: AlignRecipe, model: Model, pairs: Sequence[Pair], report: Report | None) -> Pool:
    """The base's own pictures of the English side, by DDIM with guidance."""
    from kimchi.generation.sampler import sample

    texts = list(dict.fromkeys(p.en for p in pairs))[: recipe.latents.count]
    channels, side = int(model.unet.config["in_channels"]), int(model.unet.config["sample_size"])
    made: list[torch.Tensor] = []
    for i in range(0, len(texts), recipe.measure.batch):
        part = texts[i : i + recipe.measure.batch]
        seeds = [recipe.seed * 100_003 + i + j for j in range(len(part))]
        made.append(
            sample(
                model.unet, model.scheduler_config, model.text.encode(part), model.text.empty(), seeds=seeds, steps=recipe.latents.steps,
                guidance=5.0, latent_shape=(channels, side, side), chunk=len(part),
            ).cpu()
        )  # fmt: skip
        if report:
            report("drawing the teacher's pictures", i + len(part), len(texts))
    latents = torch.cat(made).clone()
    return Pool(latents=Latents(latents, torch.zeros_like(latents)), index={text: i for i, text in enumerate(texts)}, by_text=True)
