"""What the UNet is shown while two encoders are compared: latents of pictures, by the name of the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kimchi.data.parallel import Pair
from kimchi.errors import DataError
from kimchi.models.load import Model
from kimchi.recipes import AlignRecipe
from kimchi.training.buckets import fits_of
from kimchi.training.cache import Latents, encode_pictures
from kimchi.training.cache.latents import Fits
from kimchi.training.loop import Report
from kimchi.training.objectives.prior import draw_latents
from kimchi.training.photos import Drawing, Photo

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
        photos, fits = [Drawing(drawn_picture(name), model.size_px) for name in names], None
    else:
        names, photos, fits = _photographed(recipe, model.size_px)
    if not names:
        raise DataError(
            f"{recipe.latents.source}: none of the pairs has a picture there. Set latents.source to teacher, which draws its own, or to a captions.jsonl."
        )
    return Pool(latents=encode_pictures(model.vae, photos, fits, report=report), index={name: i for i, name in enumerate(names)})


def _names(pairs: Sequence[Pair], count: int, prefix: str) -> list[str]:
    return list(dict.fromkeys(p.picture for p in pairs if p.picture.startswith(prefix)))[:count]


def _photographed(recipe: AlignRecipe, side: int) -> tuple[list[str], Sequence[Photo], Fits]:
    """The pictures of a captions.jsonl, as the LoRA trainer reads them."""
    from kimchi.recipes import LoraRecipe, Source
    from kimchi.training.rows import read_sources

    path = Path(recipe.latents.source)
    wanted = LoraRecipe(kind="lora", name=recipe.name, sources=(Source(captions=str(path), share=1),), steps=1, resolution_px=side)
    [table] = read_sources(wanted)
    photos = table.pictures[: recipe.latents.count]
    return [photo.name for photo in photos], photos, fits_of(photos, wanted.aspect, side)


def _sampled(recipe: AlignRecipe, model: Model, pairs: Sequence[Pair], report: Report | None) -> Pool:
    """The base's own pictures of the English side, by DDIM with guidance."""
    texts = list(dict.fromkeys(p.en for p in pairs))[: recipe.latents.count]
    channels, side = int(model.unet.config["in_channels"]), int(model.unet.config["sample_size"])
    seeds = [recipe.seed * 100_003 + i for i in range(len(texts))]
    latents = draw_latents(
        model.unet, model.scheduler_config, model.text, texts, seeds, latent_shape=(channels, side, side), steps=recipe.latents.steps,
        batch=recipe.measure.batch, report=report,
    )  # fmt: skip
    return Pool(latents=Latents.fixed(latents), index={text: i for i, text in enumerate(texts)}, by_text=True)
