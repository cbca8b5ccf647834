"""Prompt -> picture, for people: load a model once, then ask it for pictures."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import torch

from kimchi import __version__
from kimchi.errors import ModelError, RequestError
from kimchi.generation import prompts, provenance
from kimchi.generation.provenance import GeneratedImage
from kimchi.generation.sampler import OnStep, decode, sample
from kimchi.generation.settings import DDIM, LCM, MOST_STEPS, Settings, check_whole, pick_seed
from kimchi.models.precision import fast_in_bf16
from kimchi.records import MadeBy

if TYPE_CHECKING:
    from kimchi.generation.arms import Arms, Comparison
    from kimchi.generation.previews import Previewer
    from kimchi.generation.tickets import Preview
    from kimchi.models.load import Model

_LOG = logging.getLogger(__name__)
STEPS, GUIDANCE, BATCH = 25, 5.0, 8
FEW_STEPS, FEW_GUIDANCE = 4, 1.0
"""Of a model with an LCM-type LoRA: Luo et al. 2023 (arXiv:2311.05556), section 4; guidance was distilled into its weights."""
_PATTERNS = ("a bowl of soup on a wooden table", "a house under a blue sky")
"""Of many colours: what the previewer is fitted to."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """The settings of one call, in range and with the model's defaults filled in."""

    steps: int
    guidance: float
    negative: str
    size_px: int


class Kimchi:
    """A loaded model that draws. Use one from one thread at a time."""

    def __init__(self, model: "Model", device: str = "auto", on_notice: Callable[[str], None] | None = None, precision: str = "fp32") -> None:
        """Take a model in hand.

        Args:
            model: from kimchi.models.load_model, in eval mode; its networks are moved to `device`.
            device: auto, cpu, cuda or mps.
            on_notice: hears what a person should know (words cut from a prompt); by default it is logged as a warning.
            precision: fp32 or bf16, of the UNet and the VAE; auto takes bf16 where it is several times faster and the model is not a miniature.
        """
        self.model = model
        self.device = _device(device)
        self.precision = _precision(precision, self.device, model.miniature)
        self._notice = on_notice or _LOG.warning
        self._compared: tuple[tuple[str, str], Arms] | None = None
        # On a CPU, convolutions over channels_last are several times faster.
        layout = torch.channels_last if self.device == "cpu" else torch.preserve_format
        for network in (model.unet, model.vae, model.text.model):
            # The encoder stays in fp32: it costs next to nothing, and its states decide what is drawn.
            kind = torch.float32 if network is model.text.model else PRECISIONS[self.precision]
            # diffusers' own `to` warns of layers to be kept in fp32, of which Stable Diffusion has none; torch's stubs know no layout.
            move: Any = torch.nn.Module.to
            move(network, self.device, kind, memory_format=layout)

    @classmethod
    def load(
        cls, model: str = "mini", device: str = "auto", on_notice: Callable[[str], None] | None = None, *, precision: str = "fp32", few_step: str = ""
    ) -> "Kimchi":
        """Load a model by name.

        Args:
            model: mini, mini-raw, mini-base, a run folder, a diffusers folder, a single-file checkpoint, or a hub id.
            device: auto, cpu, cuda or mps.
            on_notice, precision: see `__init__`.
            few_step: an LCM-type LoRA (file, folder or hub id) that is merged in: pictures in 4 steps instead of 25.

        Raises:
            ModelError: unknown name, missing or damaged weights.
            RequestError: a device that this machine lacks, or another precision.
        """
        from kimchi.models.load import load_model

        chosen = _device(device)
        _precision(precision, chosen, miniature=False)
        loaded = load_model(model)
        if few_step:
            from kimchi.models import few_step as lcm

            lcm.merge(loaded, few_step)
        return cls(loaded, chosen, on_notice, precision)

    @property
    def sampler(self) -> str:
        """What it draws with: DDIM, or LCM for a few-step model."""
        return LCM if self.model.few_step else DDIM

    @property
    def steps(self) -> int:
        """Denoising steps unless others are asked for."""
        return FEW_STEPS if self.model.few_step else STEPS

    @property
    def guidance(self) -> float:
        """Guidance unless another is asked for."""
        return FEW_GUIDANCE if self.model.few_step else GUIDANCE

    def check(self, prompts_: Sequence[str], **settings: Unpack[Settings]) -> None:
        """Refuse what `generate` would refuse, before anything is drawn.

        Raises:
            PromptError, RequestError: as `generate`.
        """
        typed = _texts(list(prompts_))
        self._settings(settings.get("steps"), settings.get("guidance"), settings.get("negative", ""), settings.get("size_px"))
        pick_seed(settings.get("seed"), len(typed))
        for each in typed:
            prompts.as_drawn(each)

    @overload
    def generate(self, prompt: str, **settings: Unpack[Settings]) -> GeneratedImage: ...
    @overload
    def generate(self, prompt: list[str] | tuple[str, ...], **settings: Unpack[Settings]) -> list[GeneratedImage]: ...
    def generate(
        self,
        prompt: str | list[str] | tuple[str, ...],
        *,
        seed: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        negative: str = "",
        size_px: int | None = None,
        batch: int = BATCH,
        on_step: OnStep | None = None,
    ) -> GeneratedImage | list[GeneratedImage]:
        """Draw one picture, or one a prompt of a list.

        The same prompt, seed and settings give the same bytes on the same machine. A prompt of a list is drawn in a batch, whose size can
        change its last bits against a call with that prompt alone; its record holds the batch, and `redraw` repeats it.

        Args:
            prompt: Korean or English; requests around it ("... 그려줘") are understood.
            seed: 0 to 2**32 - 1; a list draws seed, seed + 1, ... None picks one, which is recorded.
            steps: denoising steps, 1 to 1000; of a few-step model 1 to 50. None takes 25, or 4.
            guidance: 0 to 30; None takes the model's own default.
            negative: what guidance steps away from; "" for the empty prompt.
            size_px: side of the picture, 64 to 2048, a multiple of the VAE's factor; None takes the model's own.
            batch: the most pictures drawn at once.
            on_step: called after each step with steps done, steps in all, and the latents as they are now guessed to become; raising stops the drawing.

        Raises:
            PromptError: a prompt names nothing to draw.
            RequestError: a setting is out of its range.
            ModelError: the weights give NaN.
        """
        typed = _texts(prompt)
        settings = self._settings(steps, guidance, negative, size_px)
        check_whole("batch", batch, 1, 1024)
        first = pick_seed(seed, len(typed))
        drawn = [prompts.as_drawn(each) for each in typed]
        seeds = [first + i for i in range(len(typed))]
        latents_BCHW = self._latents(drawn, seeds, settings, batch, on_step)
        records = [
            self._record(prompts.as_typed(typed[i]), drawn[i], seeds[i], settings, min(batch, len(typed) - i // batch * batch), i % batch)
            for i in range(len(typed))
        ]
        images = [GeneratedImage(image=image, provenance=record) for image, record in zip(decode(self.model.vae, latents_BCHW), records, strict=True)]
        self._tell_cuts(images)
        return images[0] if isinstance(prompt, str) else images

    def stream(self, prompt: str, *, previews: int = 8, **settings: Unpack[Settings]) -> "Iterator[Preview | GeneratedImage]":
        """Draw one picture and show how it forms: about `previews` of tickets.Preview, then the GeneratedImage. Leaving the loop stops the drawing.

        Raises:
            PromptError, RequestError, ModelError: as `generate`; the first two at once.
        """
        from kimchi.generation.stream import stream

        self.check([prompt], **settings)
        own = settings.pop("on_step", None)

        def draw(on_step: OnStep) -> GeneratedImage:
            settings["on_step"] = _both(on_step, own)
            return self.generate(prompt, **settings)

        return stream(draw, self.previewer, previews)

    def compare(self, prompt: str, *, base: str = "", translator: str = "", **settings: Unpack[Settings]) -> "Comparison":
        """The same prompt and seed by the untaught base, by the base from a translation, and by this model.

        Args:
            base: what it was taught on; empty for what its card says. Loaded at the first call, and kept.
            translator: a chat model (transformers folder or hub id); empty for the miniature's own, with a miniature.

        Raises:
            RequestError: neither is named, and nothing else says what they are.
            PromptError, ModelError: as `generate` and `load`.
        """
        from kimchi.generation.arms import Arms, compare

        self.check([prompt], **settings)
        if self._compared is None or self._compared[0] != (base, translator):
            self._compared = ((base, translator), Arms(self, base=base, translator=translator))
        settings["seed"] = pick_seed(settings.get("seed"), 1)
        return compare(self._compared[1], prompt, lambda painter, text: painter.generate(text, **settings))

    @cached_property
    def previewer(self) -> "Previewer":
        """Turns latents under way into small pictures; when it is first used, two pictures of a few steps are drawn and it is fitted to them."""
        from kimchi.generation.previews import Previewer

        settings = self._settings(min(FEW_STEPS, self.steps), None, "", None)
        latents_BCHW = self._latents(list(_PATTERNS), list(range(len(_PATTERNS))), settings, 1, None)
        return Previewer.fit(latents_BCHW.clone(), decode(self.model.vae, latents_BCHW))

    def redraw(self, path: str | Path, on_step: OnStep | None = None) -> GeneratedImage:
        """Make a picture again from its PNG or its sidecar; on the same machine with the same bytes.

        Raises:
            DataError: no record can be read there.
            ModelError: it was drawn by other weights; the message names both hashes.
        """
        record = provenance.read_provenance(path)
        self._same_weights(Path(path), record)
        settings = self._settings(record["steps"], record["guidance"], record["negative"], record["size_px"])
        batch, position = record["batch"], record["position"]
        check_whole("batch", batch, 1, 1024)
        check_whole("position", position, 0, batch - 1)
        # Its neighbours are copies of itself: they keep the shape of the computation, on which the last bits depend.
        latents_BCHW = self._latents([record["prompt"]] * batch, [pick_seed(record["seed"], 1)] * batch, settings, batch, on_step)
        (image,) = decode(self.model.vae, latents_BCHW[position : position + 1])
        return GeneratedImage(image=image, provenance=record)

    def _latents(self, drawn: list[str], seeds: list[int], settings: _Checked, batch: int, on_step: OnStep | None) -> torch.Tensor:
        # Each prompt is encoded alone: in a batch its states would differ in the last bits, and with them the picture.
        states = {phrase: self.model.text.encode([phrase]) for phrase in dict.fromkeys(drawn)}
        against_1LD = self.model.text.encode([settings.negative]) if settings.negative else self.model.text.empty()
        side = settings.size_px // self._factor()
        shape = (self.model.unet.config["in_channels"], side, side)
        if not drawn:
            return torch.empty(0, *shape)
        return sample(
            self.model.unet,
            self.model.scheduler_config,
            torch.cat([states[phrase] for phrase in drawn]),
            against_1LD,
            seeds=seeds,
            steps=settings.steps,
            guidance=settings.guidance,
            latent_shape=shape,
            on_step=on_step,
            chunk=batch,
            sampler=self.sampler,
        )

    def _settings(self, steps: int | None, guidance: float | None, negative: str, size_px: int | None) -> _Checked:
        number = self.steps if steps is None else steps
        check_whole("steps", number, 1, min(MOST_STEPS[self.sampler], int(self.model.scheduler_config.get("num_train_timesteps", 1000))))
        chosen = self.guidance if guidance is None else guidance
        if isinstance(chosen, bool) or not isinstance(chosen, int | float) or not 0 <= chosen <= 30:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RequestError(f"guidance {chosen!r}: must be a number from 0 to 30. Leave it out for {self.guidance:g}.")
        if not isinstance(negative, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RequestError(f"negative {negative!r}: must be text. Leave it out for none.")
        side = self.model.size_px if size_px is None else size_px
        check_whole("size_px", side, 64, 2048)
        if side % self._factor():
            near = round(side / self._factor()) * self._factor()
            raise RequestError(
                f"size_px {side}: {self.model.name} draws sides that are multiples of {self._factor()}. The nearest is {near}; {self.model.size_px} is its own."
            )
        return _Checked(steps=number, guidance=float(chosen), negative=prompts.clean(negative), size_px=side)

    def _factor(self) -> int:
        """Pixels a latent, along a side."""
        return 2 ** (len(self.model.vae.config["block_out_channels"]) - 1)

    def _record(self, typed: str, drawn: str, seed: int, settings: _Checked, batch: int, position: int) -> dict[str, Any]:
        return {
            "prompt_typed": typed,
            "prompt": drawn,
            "cut": self.model.text.cut_words(drawn),
            "negative": settings.negative,
            "seed": seed,
            "steps": settings.steps,
            "guidance": settings.guidance,
            "scheduler": self.sampler,
            "size_px": settings.size_px,
            "batch": batch,
            "position": position,
            "device": self.device,
            "precision": self.precision,
            "model": self.model.name,
            "hashes": dict(self.model.hashes),
            "miniature": self.model.miniature,
            "made_by": asdict(MadeBy(part="generate", model=self.model.name, model_hash=self.model.hash, version=__version__)),
            "DigitalSourceType": provenance.SOURCE_TYPE,
        }

    def _same_weights(self, path: Path, record: dict[str, Any]) -> None:
        theirs, ours = record["hashes"], self.model.hashes
        for part in sorted({*theirs, *ours}):
            then, now = theirs.get(part) or "none", ours.get(part) or "none"
            if then != now:
                raise ModelError(
                    f"{path}: drawn by {record['model']} with {part} {then}; loaded is {self.model.name} with {part} {now}. Load the model it was drawn with."
                )
        if record["precision"] != self.precision:
            raise ModelError(f"{path}: drawn in {record['precision']}, and loaded is {self.precision}. Load the model with precision {record['precision']}.")

    def _tell_cuts(self, images: list[GeneratedImage]) -> None:
        limit = f"The encoder of {self.model.name} reads {self.model.text.max_tokens} tokens"
        for cut in dict.fromkeys(image.cut for image in images if image.cut):
            self._notice(f"{limit}; not drawn: {cut!r}. Put what matters first, or shorten the prompt.")


def _texts(prompt: object) -> list[str]:
    texts: list[Any] = list(prompt) if isinstance(prompt, list | tuple) else [prompt]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for text in texts:
        if not isinstance(text, str):
            raise RequestError(f"prompt {text!r}: must be text, or a list of texts. Give generate a str or a list of str.")
    return texts


def _both(first: OnStep, second: OnStep | None) -> OnStep:
    def on_step(done: int, total: int, clean_BCHW: torch.Tensor) -> None:
        first(done, total, clean_BCHW)
        if second is not None:
            second(done, total, clean_BCHW)

    return on_step


def _device(name: str) -> str:
    present = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if torch.backends.mps.is_available() else [])]
    if name == "auto":
        return present[1] if len(present) > 1 else "cpu"
    if name.partition(":")[0] not in present:
        raise RequestError(f"device {name!r}: this machine has {', '.join(present)}. Use one of these, or auto.")
    return name


def _precision(name: str, device: str, miniature: bool) -> str:
    if name == "auto":
        return "bf16" if not miniature and fast_in_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise RequestError(f"precision {name!r}: must be one of auto, {', '.join(PRECISIONS)}. Use one of these.")
    return name
