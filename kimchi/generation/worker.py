"""What draws for the engine: loaded once, then asked for one piece of work at a time. Here or, by worker_process, in a process of its own.

Imported without torch, which a worker loads at its start.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kimchi.generation.arms import KIMCHI, TRANSLATED, Arms
from kimchi.generation.tickets import Drawn, Preview, Request

if TYPE_CHECKING:
    import torch

    from kimchi.generation.previews import Previewer, TinyPreviewer

OnStep = Callable[[int, int, Sequence[Preview]], None]
"""Called after every step with steps done, steps in all, and the previews that are due; raising stops the drawing before its next step."""
NOT_SHOWN = "What was drawn is not shown here. Try another prompt, or another seed."
TOGETHER = 4
"""The most pictures of a request that are denoised at once: memory grows with it, and speed hardly."""


class Worker(Protocol):
    """States are the engine's affair; a worker draws. `start` first, then `check` from any thread, and `draw` from one."""

    @property
    def lost(self) -> bool:
        """True when it draws nothing any more, and must be started again."""
        ...

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Have something called, on any thread, when it is lost."""
        ...

    def start(self) -> dict[str, Any]:
        """Load, and draw with everything that must be possible: first calls compile, allocate and fault pages in.

        Returns:
            Who draws: model, model_hash, miniature, few_step, size_px, steps, guidance, max_tokens, arms, device and precision.

        Raises:
            KimchiError: it cannot be loaded.
        """
        ...

    def check(self, request: Request) -> None:
        """Refuse what cannot be drawn.

        Raises:
            PromptError, RequestError: as `Kimchi.generate`. LostError.
        """
        ...

    def draw(self, arm: str, request: Request, seed: int, on_step: OnStep) -> Drawn:
        """One arm of a request.

        Raises:
            KimchiError: as `Kimchi.generate`; LostError; and whatever `on_step` raises.
        """
        ...

    def close(self) -> None:
        """Let go of everything. More than once does nothing more."""
        ...


class LocalWorker:
    """In this process, on the thread that calls it."""

    lost = False

    def __init__(self, source: Callable[[], Arms], *, arms: Sequence[str] = (KIMCHI,), preview_vae: str = "") -> None:
        """Say what is drawn; nothing is loaded before `start`.

        Args:
            source: loads the model.
            arms: what must be possible: these are loaded and warmed up before it is ready.
            preview_vae: folder or hub id of an AutoencoderTiny; empty for previews by a matrix, one pixel a latent.
        """
        self._source, self._wanted, self._preview_vae = source, tuple(arms), preview_vae
        self._loaded: Arms | None = None
        self._previewer: Previewer | TinyPreviewer | None = None

    @property
    def arms(self) -> Arms:
        """What was loaded."""
        assert self._loaded is not None, "start comes first"
        return self._loaded

    def watch(self, on_lost: Callable[[], None]) -> None:
        """It is lost with this process only."""

    def start(self) -> dict[str, Any]:
        """See Worker."""
        from kimchi.generation.previews import TinyPreviewer

        arms = self._source()
        for arm in self._wanted:
            arms.check(arm)
            painter = arms.painter(arm)
            # KIMCHI's own is warm when its previewer has been fitted to what it draws.
            if arm != KIMCHI or self._preview_vae:
                painter.generate("warm-up", seed=0, steps=min(2, painter.steps))
        if TRANSLATED in self._wanted:
            arms.translated(["한국의 라면"])
        painter = arms.kimchi
        self._previewer = TinyPreviewer.load(self._preview_vae, painter.device) if self._preview_vae else painter.previewer
        self._loaded = arms
        return _identity(arms)

    def check(self, request: Request) -> None:
        """See Worker."""
        for arm in request.arms:
            self.arms.check(arm)
        self.arms.kimchi.check(request.prompts, **_settings(request, request.seed))

    def draw(self, arm: str, request: Request, seed: int, on_step: OnStep) -> Drawn:
        """See Worker."""
        painter = self.arms.painter(arm)
        english = self.arms.translated(request.prompts) if arm == TRANSLATED else []

        def stepped(done: int, total: int, clean_BCHW: "torch.Tensor") -> None:
            on_step(done, total, self._previews(arm, request, done, total, clean_BCHW))

        try:
            images = painter.generate(english or list(request.prompts), batch=TOGETHER, on_step=stepped, **_settings(request, seed))
        except RuntimeError:
            # Perhaps out of memory: the next request should find what this one had.
            _free_memory()
            raise
        return Drawn(arm=arm, images=tuple(images), prompts_en=tuple(english))

    def close(self) -> None:
        """See Worker."""

    def _previews(self, arm: str, request: Request, done: int, total: int, clean_BCHW: "torch.Tensor") -> list[Preview]:
        from kimchi.generation.previews import due

        # Pictures are drawn a few at a time; each few has steps of its own.
        steps = total // -(-len(request.prompts) // TOGETHER)
        few, step = (done - 1) // steps, (done - 1) % steps + 1
        if self._previewer is None or not due(step, steps, request.previews):
            return []
        return [
            Preview(arm=arm, index=few * TOGETHER + i, step=step, steps=steps, image=self._previewer.picture(latents_CHW))
            for i, latents_CHW in enumerate(clean_BCHW)
        ]


def _identity(arms: Arms) -> dict[str, Any]:
    painter = arms.kimchi
    model = painter.model
    return {
        "model": model.name,
        "model_hash": model.hash,
        "miniature": model.miniature,
        "few_step": model.few_step,
        "size_px": model.size_px,
        "steps": painter.steps,
        "guidance": painter.guidance,
        "max_tokens": model.text.max_tokens,
        "arms": arms.possible(),
        "device": painter.device,
        "precision": painter.precision,
    }


def _settings(request: Request, seed: int | None) -> Any:
    """What `Kimchi.generate` takes."""
    return {"seed": seed, "steps": request.steps, "guidance": request.guidance, "negative": request.negative, "size_px": request.size_px}


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
