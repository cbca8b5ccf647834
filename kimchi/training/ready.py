"""Everything a LoRA run needs before its first step: networks, pictures, words, and what watches."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from kimchi.models.lanes import LANE
from kimchi.models.load import Model, load_base, with_encoder
from kimchi.models.places import weights_folder
from kimchi.models.precision import computes_bf16
from kimchi.recipes import LoraRecipe, recipe_hash, to_yaml

from . import loop
from .buckets import fits_of
from .cache import Latents, LiveStates, build_latents, build_states, cache_folder, open_latents, open_states
from .feed import Feed, States
from .losses import Noising
from .objectives.prior import kept_latents
from .plan import Choice, choose
from .plan.memory import ram_gib
from .rows import Table, read_held_out, read_sources
from .team import Team
from .watch.choosing import source_names
from .watch.held_out import HeldOut, HeldOutPicture
from .watch.meter import flops_per_picture, peak_flops
from .watch.page import About, RunPage, machine
from .watch.prompts import progress_prompts
from .watch.samples import Samples
from .watching import Watching


@dataclass(slots=True, kw_only=True)
class Bench:
    """What stands ready."""

    recipe: LoraRecipe
    team: Team
    model: Model
    teacher: Any
    """The base's own text encoder."""
    noising: Noising
    choice: Choice
    hashes: dict[str, str]
    """Of the parts the adapter belongs to."""
    tables: list[Table] = field(default_factory=list[Table])
    latents: list[Latents] = field(default_factory=list[Latents])
    states: States | None = None
    teacher_states: States | None = None
    measured: list[Table] = field(default_factory=list[Table])
    """Pictures held out."""
    measured_latents: list[Latents] = field(default_factory=list[Latents])

    @property
    def trained_text(self) -> Any:
        """The text encoder's network, where it gets an adapter; else None."""
        return self.model.text.model if self.recipe.text_lora is not None else None

    @property
    def bf16(self) -> bool:
        """Whether the frozen networks compute in bf16."""
        return computes_bf16(self.recipe.precision, self.team.device.type)

    @property
    def lanes(self) -> int:
        """How many pieces of a step are computed side by side: where a whole batch fits a processor's memory, a few samples each.

        Not where a text encoder is trained or the UNet is compiled: those networks are not made to be called by two threads.
        """
        recipe, batch = self.recipe, self.recipe.batch
        alone = self.team.device.type == "cpu" and self.team.size == 1 and self.choice.micro_batch >= batch and not self.choice.checkpointing
        if not alone or self.trained_text is not None or recipe.machine.compile or not recipe.machine.cache_text:
            return 1
        return max(1, min(torch.get_num_threads(), batch // LANE))

    def autocast(self) -> AbstractContextManager[Any]:
        """The recipe's compute type."""
        return torch.autocast(self.team.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def read(self, report: loop.Report | None) -> None:
        """Read the sources, and find latents and states in the cache; the main process makes what is missing there."""
        recipe, device = self.recipe, self.team.device
        self.tables = read_sources(recipe)
        self.measured = read_held_out(recipe) if recipe.held_out.every else []
        for network in (self.model.vae, self.model.text.model, self.teacher.model):
            cast(Any, network).to(device)
        self.latents = [self._latents(table, report) for table in self.tables]
        self.measured_latents = [self._latents(table, report) for table in self.measured]
        if self.trained_text is None:
            spoken = [words for table in (*self.tables, *self.measured) for row in table.rows for words in row.shown()]
            self.states = self._states(self.model.text, [*spoken, *self._confused()], report)
        if any(source.learn == "base" for source in recipe.sources):
            english = [row.twin_of(words) for t in self.tables if t.source.learn == "base" for row in t.rows for words in row.shown()]
            self.teacher_states = self._states(self.teacher, english, report)

    def _latents(self, table: Table, report: loop.Report | None) -> Latents:
        recipe, cache = self.recipe, cache_folder(self.recipe.machine.cache)
        if table.source.learn == "prior":
            side = recipe.resolution_px // 2 ** (len(self.model.vae.config["block_out_channels"]) - 1)
            shape = (int(self.model.unet.config["in_channels"]), side, side)
            captions = [row.twin_of(row.rich[0]) for row in table.rows]
            return Latents.fixed(kept_latents(self.model, self.teacher, captions, recipe.seed, latent_shape=shape, folder=cache, report=report))
        fits = fits_of(table.pictures, recipe.aspect, recipe.resolution_px, recipe.machine.workers, report)
        # Encoded in fp32 whatever the run computes in: it is done once.
        if self.team.main:
            build_latents(self.model.vae, table.pictures, fits, cache, threads=recipe.machine.workers, report=report)
        return open_latents(self.model.vae, table.pictures, fits, cache)

    def _states(self, encoder: Any, captions: Sequence[str], report: loop.Report | None) -> States:
        if not self.recipe.machine.cache_text:
            return LiveStates(encoder)
        cache = cache_folder(self.recipe.machine.cache)
        if self.team.main:
            build_states(encoder, captions, cache, report=report)
        return open_states(encoder, captions, cache)

    def _confused(self) -> list[str]:
        """Captions with a look-alike's name in place of their own, where a recipe contrasts them."""
        if not self.recipe.loss.contrast:
            return []
        from kimchi.data.cultures import load_culture

        from .objectives.look_alikes import LookAlikes

        others = LookAlikes(load_culture(self.recipe.culture))
        culture = [row for table in self.tables if table.source.learn == "pictures" for row in table.rows]
        made = (others.swap(words, row.noun, pick) for row in culture for words in row.shown() for pick in range(len(others.of(row.noun))))
        return [words for words in made if words is not None]

    def settle_on_device(self) -> None:
        """Give the device what the steps need and take the rest away; frozen weights in the compute type."""
        unet, device = cast(Any, self.model.unet), self.team.device
        if self.bf16 and not self.recipe.lora.dora:
            # Once, not in every step: at the size of SD 1.5 the casts are a third of a CPU's step. DoRA needs the exact lengths of the weights.
            for parameter in unet.parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.to(torch.bfloat16)
        unet.to(device).train()
        lives = self.trained_text is not None or not self.recipe.machine.cache_text
        cast(Any, self.model.text.model).to(device if lives or self.recipe.samples.every else "cpu")
        if not isinstance(self.teacher_states, LiveStates):
            self.teacher.model.to("cpu")
        cast(Any, self.model.vae).to("cpu")
        if self.choice.checkpointing:
            unet.enable_gradient_checkpointing()
        if self.recipe.machine.compile:
            unet.compile_repeated_blocks()

    def feed(self) -> Feed:
        """The samples of every step."""
        together = -(-self.choice.micro_batch // self.lanes)
        return Feed(self.recipe, self.tables, self.latents, self.noising, self.states, self.teacher_states, team=self.team, micro_batch=together)

    def watching(self, folder: Path, fingerprint: str, tell: loop.Watcher | None) -> Watching:
        """What looks on."""
        recipe, model = self.recipe, self.model
        gpu = self.team.device.type == "cuda"
        flops = flops_per_picture(model.unet, cast(tuple[int, int, int], self.latents[0].shape(0)), (model.text.length, model.text.width)) if gpu else None
        return Watching(
            recipe=recipe, folder=folder, team=self.team, unet=model.unet, autocast=self.autocast, held_out=self._held_out if self.measured else None,
            samples=self._samples() if recipe.samples.every else None, page=RunPage(folder, self._about()), tell=tell, fingerprint=fingerprint,
            flops_per_picture=flops, peak_flops=peak_flops(torch.cuda.get_device_name(self.team.device), recipe.precision, self.team.size) if gpu else None,
        )  # fmt: skip

    def _held_out(self) -> HeldOut:
        # An encoder under training says something else each time.
        states = self.states or LiveStates(self.model.text)
        names = source_names(self.recipe.sources)
        pictures = [
            HeldOutPicture(name=row.id, source=name, latents_CHW=latents.posterior([i])[0][0], states_LD=states.of([row.rich[0]])[0])
            for name, table, latents in zip(names, self.measured, self.measured_latents, strict=True)
            for i, row in enumerate(table.rows)
        ]
        weights = {name: source.share for name, source in zip(names, self.recipe.sources, strict=True)}
        return HeldOut(pictures, self.noising, levels=self.recipe.held_out.levels, weights=weights, batch=max(1, self.choice.micro_batch))

    def _samples(self) -> Samples:
        judge = None
        if self.model.miniature:
            from kimchi.models.recogniser import Recogniser

            judge = Recogniser.load(weights_folder() / "recogniser")
        section = self.recipe.samples
        return Samples(
            self.model, progress_prompts(self.recipe, self.model.miniature), size_px=self.recipe.resolution_px, steps=section.steps, recogniser=judge
        )

    def _about(self) -> About:
        recipe = self.recipe
        facts = {
            "base": recipe.base, "text encoder": recipe.text_encoder, "adapter": f"rank {recipe.lora.rank}, alpha {recipe.lora.alpha:g}, {recipe.lora.targets}",
            "batch": str(recipe.batch), "recipe": recipe_hash(recipe), "machine": machine(self.team.device),
        }  # fmt: skip
        return About(name=recipe.name, facts=facts, recipe=to_yaml(recipe), hashes=self.hashes, miniature=self.model.miniature)


def make_ready(recipe: LoraRecipe, team: Team) -> Bench:
    """Load what the recipe names, and choose what it leaves to the machine.

    Raises:
        RecipeError: the run does not fit this machine. ModelError: missing or foreign weights.
    """
    model = load_base(recipe.base)
    teacher = model.text
    model = with_encoder(model, recipe.text_encoder, recipe.base)
    gpu = team.device.type == "cuda"
    memory = torch.cuda.get_device_properties(team.device).total_memory / 2**30 if gpu else ram_gib()
    return Bench(
        recipe=recipe, team=team, model=model, teacher=teacher, noising=Noising(model.scheduler_config, team.device),
        choice=choose(recipe, memory, processes=team.size, cpu=not gpu), hashes=dict(model.hashes),
    )  # fmt: skip
