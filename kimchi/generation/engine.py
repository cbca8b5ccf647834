"""The one owner of the device: work waits in a bounded queue and is drawn by a single worker, so that many may ask at once.

    submit -> [queue] -> worker: arm by arm, step by step -> ticket

The booth and the HTTP API stand on it; a script that draws for itself needs only `Kimchi.generate`.

Imported without torch, which the engine's own thread loads at its start: the page of a booth is there four seconds sooner.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from PIL import Image

from kimchi.errors import BlockedError, BusyError, CancelledError, ClosedError, KimchiError, LateError, RequestError
from kimchi.generation.arms import ARMS, BASE, KIMCHI, TRANSLATED, Arms
from kimchi.generation.tickets import Drawn, Preview, Request, Ticket, Update, Waiting

if TYPE_CHECKING:
    import torch

    from kimchi.generation.previews import Previewer, TinyPreviewer

__all__ = ["ARMS", "BASE", "KIMCHI", "TRANSLATED", "Drawn", "Engine", "Guard", "Preview", "Request", "Stats", "Ticket", "Update", "Waiting"]

_LOG = logging.getLogger(__name__)
QUEUE, TIMEOUT_S = 16, 120.0
TOGETHER = 4
"""The most pictures of a request that are denoised at once: memory grows with it, and speed hardly."""
_SMOOTHING = 0.3
"""Weight of the newest in the moving average of seconds a picture."""
_FIRST_GUESS_S = 2.0
_LAST_STEP_S = 30.0
"""How long `close` waits for the step under way."""


class Guard(Protocol):
    """What stands between visitors and the device; kimchi.generation.safety has one."""

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise BlockedError for what is not drawn here."""
        ...

    def check_images(self, images: Sequence[Image.Image]) -> Sequence[bool]:
        """For each picture: must it not be shown?"""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What the engine has done since it was made."""

    state: str
    waiting: int
    """Tickets in the queue."""
    drawing: bool
    done: int = 0
    cancelled: int = 0
    refused: int = 0
    """Turned away because the queue was full."""
    blocked: int = 0
    """By the guard."""
    failed: int = 0
    late: int = 0
    pictures: int = 0
    seconds_per_picture: float = 0.0
    """Moving average; 0 before the first."""
    since_s: float = 0.0
    """Seconds since the engine became ready."""


class Engine:
    """States: new -> starting -> ready -> draining -> stopped; or failed, when the model cannot be loaded."""

    def __init__(
        self, source: Callable[[], Arms], *, arms: Sequence[str] = (KIMCHI,), queue: int = QUEUE, timeout_s: float = TIMEOUT_S,
        guard: Guard | None = None, preview_vae: str = "",
    ) -> None:  # fmt: skip
        """Say what is to be served; nothing is loaded before `start`.

        Args:
            source: loads the model; called on the engine's own thread.
            arms: what must be possible: these are loaded and warmed up before the engine is ready.
            queue: the most tickets that wait; one more is refused.
            timeout_s: of a request that names none.
            guard: see Guard.
            preview_vae: folder or hub id of an AutoencoderTiny; empty for previews by a matrix, one pixel a latent.
        """
        self._source, self._wanted, self._limit, self._timeout_s = source, tuple(arms), queue, timeout_s
        self._guard, self._preview_vae = guard, preview_vae
        self._queue: deque[Ticket] = deque()
        self._drawing: Ticket | None = None
        self._changed = threading.Condition()
        self._state = "new"
        self._counts = Stats(state="new", waiting=0, drawing=False)
        self._ready_s = 0.0
        self._arms: Arms | None = None
        self._previewer: Previewer | TinyPreviewer | None = None
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None
        """What kept it from getting ready."""

    @classmethod
    def load(
        cls, model: str = "mini", *, device: str = "auto", precision: str = "auto", base: str = "", translator: str = "", few_step: str = "",
        preview_vae: str = "", queue: int = QUEUE, timeout_s: float = TIMEOUT_S, guard: Guard | None = None, arms: Sequence[str] = (KIMCHI,),
        on_notice: Callable[[str], None] | None = None,
    ) -> Self:  # fmt: skip
        """An engine for a model by name; see Kimchi.load, Arms and `__init__`."""

        def source() -> Arms:
            from kimchi.generation.generate import Kimchi

            painter = Kimchi.load(model, device, on_notice, precision=precision, few_step=few_step)
            return Arms(painter, base=base, translator=translator, few_step=few_step)

        return cls(source, arms=arms, queue=queue, timeout_s=timeout_s, guard=guard, preview_vae=preview_vae)

    @property
    def state(self) -> str:
        """new, starting, ready, draining, stopped or failed."""
        return self._state

    @property
    def identity(self) -> dict[str, Any]:
        """What draws: model, model_hash, miniature, few_step, size_px, steps, guidance, max_tokens, arms, device and precision.

        Raises:
            ClosedError: nothing is loaded yet.
        """
        if self._arms is None:
            raise ClosedError("The model is still being loaded. Ask again when the engine is ready.")
        painter = self._arms.kimchi
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
            "arms": self._arms.possible(),
            "device": painter.device,
            "precision": painter.precision,
        }

    def start(self) -> None:
        """Load and warm up on a thread of its own; comes back at once. A second call does nothing."""
        with self._changed:
            if self._state != "new":
                return
            self._state = "starting"
        self._thread = threading.Thread(target=self._run, name="kimchi-engine", daemon=True)
        self._thread.start()

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until it takes work.

        Raises:
            KimchiError: what keeps it from getting ready, or LateError.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._state not in ("new", "starting"), timeout_s):
                raise LateError(f"The engine is not ready after {timeout_s:g} s. Wait for longer: a large model takes minutes to load.")
        if self.error is not None:
            raise self.error
        if self._state != "ready":
            raise self._closed()

    def submit(self, request: Request) -> Ticket:
        """Take a request, or say why not. Everything is checked here, so that nothing waits in vain.

        Raises:
            ClosedError: the engine is not ready. BusyError: the queue is full. PromptError, BlockedError, RequestError: as `Kimchi.generate`.
        """
        if self._state != "ready" or self._arms is None:
            raise self._closed()
        from kimchi.generation.generate import pick_seed

        self._check(request, self._arms)
        timeout_s = self._timeout_s if request.timeout_s is None else request.timeout_s
        ticket = Ticket(request, self._leave, timeout_s, pick_seed(request.seed, len(request.prompts)))
        with self._changed:
            if self._state != "ready":
                raise self._closed()
            if len(self._queue) >= self._limit:
                self._count(refused=1)
                wait_s = self._wait_s()
                raise BusyError(f"{len(self._queue)} requests are waiting, and no more fit. Try again in about {wait_s:.0f} s.", wait_s)
            self._queue.append(ticket)
            self._changed.notify_all()
        self._tell_places()
        return ticket

    def drain(self, timeout_s: float) -> bool:
        """Take no more work, finish what was accepted, then stop. False when not all of it was finished in time."""
        with self._changed:
            if self._state in ("new", "starting", "ready"):
                self._state = "draining" if self._state == "ready" else "stopped"
            self._changed.notify_all()
            finished = self._changed.wait_for(lambda: not self._queue and self._drawing is None, timeout_s)
        self.close()
        return finished

    def close(self) -> None:
        """Stop now: whatever waits or is drawn is cancelled."""
        with self._changed:
            if self._state != "failed":
                self._state = "stopped"
            tickets = [*self._queue, *([self._drawing] if self._drawing else [])]
            self._changed.notify_all()
        for ticket in tickets:
            ticket.cancel()
        if self._thread is not None and self._thread is not threading.current_thread():
            # Loading cannot be interrupted; the thread dies with the process.
            self._thread.join(_LAST_STEP_S)

    def stats(self) -> Stats:
        """Counts up to now."""
        with self._changed:
            since_s = time.monotonic() - self._ready_s if self._ready_s else 0.0
            return replace(self._counts, state=self._state, waiting=len(self._queue), drawing=self._drawing is not None, since_s=since_s)

    # what callers' threads do

    def _check(self, request: Request, arms: Arms) -> None:
        if not request.prompts or not request.arms:
            raise RequestError("A request without prompts or arms asks for nothing. Give at least one of each.")
        for arm in request.arms:
            arms.check(arm)
        arms.kimchi.check(request.prompts, **_settings(request))
        if self._guard is not None:
            try:
                # Not the negative prompt: who writes "blood" there wants none.
                self._guard.check_prompts(request.prompts)
            except BlockedError:
                with self._changed:
                    self._count(blocked=1)
                raise

    def _closed(self) -> ClosedError:
        said = {
            "new": "The engine was not started yet.",
            "starting": "The model is being loaded. Try again in a moment.",
            "ready": "The engine is ready.",
            "draining": "The engine is shutting down and takes no more work. Try another one, or later.",
            "stopped": "The engine has stopped. Start it again.",
            "failed": f"The model could not be loaded: {self.error}",
        }
        return ClosedError(said[self._state])

    def _wait_s(self) -> float:
        each = self._counts.seconds_per_picture or _FIRST_GUESS_S
        pictures = sum(len(ticket.request.prompts) * len(ticket.request.arms) for ticket in self._queue)
        # Until the first place is free, not until all are.
        return max(1.0, each * pictures / max(1, len(self._queue)))

    def _leave(self, ticket: Ticket) -> None:
        """A ticket is cancelled: out of the queue at once; under the brush, before the next step."""
        with self._changed:
            ticket.cancelled = True
            waiting = ticket in self._queue
            if waiting:
                self._queue.remove(ticket)
                self._changed.notify_all()
        if waiting:
            self._end(ticket, _unwanted())
            self._tell_places()

    def _tell_places(self) -> None:
        with self._changed:
            moved = [(ticket, place) for place, ticket in enumerate(self._queue, 1) if ticket.place != place]
            for ticket, place in moved:
                ticket.place = place
        for ticket, place in moved:
            ticket.tell(Waiting(place=place))

    def _count(self, **more: int) -> None:
        """Within self._changed."""
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + number for name, number in more.items()})

    # what the engine's own thread does

    def _run(self) -> None:
        try:
            self._warm_up()
        except BaseException as error:
            _LOG.log(logging.WARNING if isinstance(error, KimchiError) else logging.ERROR, "the engine cannot start: %s", error)
            with self._changed:
                self.error, self._state = error, "failed" if self._state == "starting" else self._state
                self._changed.notify_all()
            return
        with self._changed:
            if self._state == "starting":
                self._state, self._ready_s = "ready", time.monotonic()
            self._changed.notify_all()
        while self._serve_next():
            pass

    def _warm_up(self) -> None:
        """Load, and draw with everything that must be possible: first calls compile, allocate and fault pages in."""
        from kimchi.generation.previews import TinyPreviewer

        arms = self._source()
        for arm in self._wanted:
            arms.check(arm)
            painter = arms.painter(arm)
            painter.generate("warm-up", seed=0, steps=min(2, painter.steps))
        if TRANSLATED in self._wanted:
            arms.translated(["한국의 라면"])
        painter = arms.kimchi
        self._previewer = TinyPreviewer.load(self._preview_vae, painter.device) if self._preview_vae else painter.previewer
        self._arms = arms

    def _next(self) -> Ticket | None:
        """The next ticket, or None when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._state not in ("starting", "ready"))
            if not self._queue or self._state == "stopped":
                return None
            ticket = self._queue.popleft()
            self._drawing, ticket.place = ticket, 0
        self._tell_places()
        return ticket

    def _serve_next(self) -> bool:
        # A function of its own: a variable of the loop would keep the last ticket and its pictures until the next one comes.
        ticket = self._next()
        if ticket is not None:
            self._serve(ticket)
        return ticket is not None

    def _serve(self, ticket: Ticket) -> None:
        began_s, error = time.monotonic(), None
        try:
            for arm in ticket.request.arms:
                ticket.tell(self._draw(ticket, arm))
        except KimchiError as refused:
            error = refused
        except Exception as bug:
            # The next visitor notices nothing; the log does.
            _LOG.exception("drawing failed")
            error = bug
            import torch

            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        with self._changed:
            self._drawing = None
            if error is None:
                self._took(time.monotonic() - began_s, len(ticket.request.prompts) * len(ticket.request.arms))
            self._changed.notify_all()
        self._end(ticket, error)

    def _draw(self, ticket: Ticket, arm: str) -> Drawn:
        assert self._arms is not None
        self._go_on(ticket)
        request, painter = ticket.request, self._arms.painter(arm)
        english = self._arms.translated(request.prompts) if arm == TRANSLATED else []
        drawn = painter.generate(
            english or list(request.prompts), batch=TOGETHER, on_step=lambda done, total, latents: self._step(ticket, arm, done, total, latents),
            **_settings(request, ticket.seed),
        )  # fmt: skip
        if self._guard is not None and any(self._guard.check_images([one.image for one in drawn])):
            raise BlockedError("What was drawn is not shown here. Try another prompt, or another seed.")
        return Drawn(arm=arm, images=tuple(drawn), prompts_en=tuple(english))

    def _step(self, ticket: Ticket, arm: str, done: int, total: int, clean_BCHW: "torch.Tensor") -> None:
        """Between two steps: stop, tell those who have waited for too long, and show how it grows."""
        self._go_on(ticket)
        self._expire()
        from kimchi.generation.previews import due

        # Pictures are drawn a few at a time; each few has steps of its own.
        steps = total // -(-len(ticket.request.prompts) // TOGETHER)
        few, step = (done - 1) // steps, (done - 1) % steps + 1
        if self._previewer is not None and due(step, steps, ticket.request.previews):
            for i, latents_CHW in enumerate(clean_BCHW):
                ticket.tell(Preview(arm=arm, index=few * TOGETHER + i, step=step, steps=steps, image=self._previewer.picture(latents_CHW)))

    def _go_on(self, ticket: Ticket) -> None:
        if ticket.cancelled:
            raise _unwanted()
        if time.monotonic() > ticket.deadline_s:
            raise _late(ticket)

    def _expire(self) -> None:
        """End what has waited beyond its time: it would be refused at its turn anyway, and its visitor should know now."""
        now_s = time.monotonic()
        with self._changed:
            late = [ticket for ticket in self._queue if now_s > ticket.deadline_s]
            for ticket in late:
                self._queue.remove(ticket)
        for ticket in late:
            self._end(ticket, _late(ticket))
        if late:
            self._tell_places()

    def _took(self, seconds: float, pictures: int) -> None:
        """Within self._changed."""
        each, before = seconds / pictures, self._counts.seconds_per_picture
        self._counts = replace(self._counts, seconds_per_picture=before + _SMOOTHING * (each - before) if before else each)
        self._count(pictures=pictures)

    def _end(self, ticket: Ticket, error: BaseException | None) -> None:
        if not ticket.end(error):
            return
        kind = {CancelledError: "cancelled", LateError: "late", BlockedError: "blocked"}
        name = "done" if error is None else next((name for of, name in kind.items() if isinstance(error, of)), "failed")
        with self._changed:
            self._count(**{name: 1})


def _settings(request: Request, seed: int | None = None) -> Any:
    """What `Kimchi.generate` takes."""
    return {
        "seed": request.seed if seed is None else seed,
        "steps": request.steps,
        "guidance": request.guidance,
        "negative": request.negative,
        "size_px": request.size_px,
    }


def _unwanted() -> CancelledError:
    return CancelledError("Nobody waits for this picture any more.")


def _late(ticket: Ticket) -> LateError:
    return LateError(f"Not drawn within {ticket.deadline_s - ticket.began_s:.0f} s. Try again when it is quieter, or ask for fewer steps.")
