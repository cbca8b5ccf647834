"""The one owner of the device: work waits in a bounded queue and is drawn by a single worker, so that many may ask at once.

    submit -> [queue] -> worker: arm by arm, step by step -> ticket

The booth and the HTTP API stand on it; a script that draws for itself needs only `Kimchi.generate`.

Imported without torch, which the worker loads at its start: the page of a booth is there four seconds sooner.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from PIL import Image

from kimchi.errors import BlockedError, BusyError, CancelledError, ClosedError, KimchiError, LateError, RequestError
from kimchi.generation.arms import ARMS, BASE, KIMCHI, TRANSLATED
from kimchi.generation.settings import pick_seed
from kimchi.generation.tickets import Drawn, Preview, Request, Ticket, Update, Waiting
from kimchi.generation.worker import NOT_SHOWN, LocalWorker, Worker
from kimchi.generation.worker_process import Model, ProcessWorker

__all__ = ["ARMS", "BASE", "KIMCHI", "TRANSLATED", "Drawn", "Engine", "Guard", "Preview", "Request", "Stats", "Ticket", "Update", "Waiting"]

_LOG = logging.getLogger(__name__)
QUEUE, TIMEOUT_S = 16, 120.0
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
    """States: new -> starting -> ready -> draining -> stopped; or failed, when the model cannot be loaded.

    From ready back to starting, when the process that draws has ended: what it drew is lost, what waits is drawn by the next one.
    """

    def __init__(self, worker: Worker, *, queue: int = QUEUE, timeout_s: float = TIMEOUT_S, guard: Guard | None = None) -> None:
        """Say what is to be served; nothing is loaded before `start`.

        Args:
            worker: draws, for this engine alone; started and asked for pictures on the engine's own thread.
            queue: the most tickets that wait; one more is refused.
            timeout_s: of a request that names none.
            guard: see Guard.
        """
        self._worker, self._limit, self._timeout_s, self._guard = worker, queue, timeout_s, guard
        self._queue: deque[Ticket] = deque()
        self._drawing: Ticket | None = None
        self._changed = threading.Condition()
        self._state = "new"
        self._counts = Stats(state="new", waiting=0, drawing=False)
        self._ready_s = 0.0
        self._identity: dict[str, Any] | None = None
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None
        """What kept it from getting ready."""

    @classmethod
    def load(
        cls, model: str = "mini", *, device: str = "auto", precision: str = "auto", base: str = "", translator: str = "", few_step: str = "",
        preview_vae: str = "", queue: int = QUEUE, timeout_s: float = TIMEOUT_S, guard: Guard | None = None, arms: Sequence[str] = (KIMCHI,),
        on_notice: Callable[[str], None] | None = None, apart: bool = False, checker: str = "",
    ) -> Self:  # fmt: skip
        """An engine for a model by name; see Kimchi.load, Arms, LocalWorker and `__init__`.

        Args:
            apart: draw in a process of its own: this one stays light, starts sooner, and outlives it. Notices are not heard then.
            checker: with `apart`, the folder of a safety checker that looks at pictures over there, so that the guard here needs none.
        """
        what = Model(
            model=model, device=device, precision=precision, base=base, translator=translator, few_step=few_step, preview_vae=preview_vae,
            arms=tuple(arms), checker=checker,
        )  # fmt: skip
        worker = ProcessWorker(what) if apart else LocalWorker(lambda: what.load(on_notice), arms=what.arms, preview_vae=preview_vae)
        return cls(worker, queue=queue, timeout_s=timeout_s, guard=guard)

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
        if self._identity is None:
            raise ClosedError("The model is still being loaded. Ask again when the engine is ready.")
        return self._identity

    def start(self) -> None:
        """Load and warm up on a thread of its own; comes back at once. A second call does nothing."""
        with self._changed:
            if self._state != "new":
                return
            self._state = "starting"
        self._worker.watch(self._look_up)
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
        if self._state != "ready":
            raise self._closed()
        self._check(request)
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
        self._worker.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            # Loading in this process cannot be interrupted; the thread dies with it.
            self._thread.join(_LAST_STEP_S)

    def stats(self) -> Stats:
        """Counts up to now."""
        with self._changed:
            since_s = time.monotonic() - self._ready_s if self._ready_s else 0.0
            return replace(self._counts, state=self._state, waiting=len(self._queue), drawing=self._drawing is not None, since_s=since_s)

    # what callers' threads do

    def _check(self, request: Request) -> None:
        if not request.prompts or not request.arms:
            raise RequestError("A request without prompts or arms asks for nothing. Give at least one of each.")
        self._worker.check(request)
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
        while self._get_ready():
            while self._serve_next():
                pass
            with self._changed:
                if self._state != "ready":
                    return
                self._state = "starting"

    def _get_ready(self) -> bool:
        """Whether it may draw now."""
        try:
            identity = self._worker.start()
        except BaseException as error:
            with self._changed:
                # Told to stop while loading is no failure.
                failed = self._state == "starting"
                if failed:
                    self.error, self._state = error, "failed"
                waiting = list(self._queue)
                self._queue.clear()
                self._changed.notify_all()
            if failed:
                _LOG.log(logging.WARNING if isinstance(error, KimchiError) else logging.ERROR, "the engine cannot start: %s", error)
            for ticket in waiting:
                self._end(ticket, self._closed())
            return False
        with self._changed:
            self._identity = identity
            if self._state == "starting":
                self._state, self._ready_s = "ready", self._ready_s or time.monotonic()
            self._changed.notify_all()
        return True

    def _look_up(self) -> None:
        """The worker is lost: whoever waits for work should know."""
        with self._changed:
            self._changed.notify_all()

    def _next(self) -> Ticket | None:
        """The next ticket, or None when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._worker.lost or self._state not in ("starting", "ready"))
            # While draining nobody is started again: what waits is told so by the worker that is lost.
            if not self._queue or self._state == "stopped" or (self._worker.lost and self._state == "ready"):
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
        with self._changed:
            self._drawing = None
            if error is None:
                self._took(time.monotonic() - began_s, len(ticket.request.prompts) * len(ticket.request.arms))
            self._changed.notify_all()
        self._end(ticket, error)

    def _draw(self, ticket: Ticket, arm: str) -> Drawn:
        self._go_on(ticket)
        drawn = self._worker.draw(arm, ticket.request, ticket.seed, lambda done, total, previews: self._step(ticket, previews))
        if self._guard is not None and any(self._guard.check_images([one.image for one in drawn.images])):
            raise BlockedError(NOT_SHOWN)
        return drawn

    def _step(self, ticket: Ticket, previews: Sequence[Preview]) -> None:
        """Between two steps: stop, tell those who have waited for too long, and show how it grows."""
        self._go_on(ticket)
        self._expire()
        for preview in previews:
            ticket.tell(preview)

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


def _unwanted() -> CancelledError:
    return CancelledError("Nobody waits for this picture any more.")


def _late(ticket: Ticket) -> LateError:
    return LateError(f"Not drawn within {ticket.deadline_s - ticket.began_s:.0f} s. Try again when it is quieter, or ask for fewer steps.")
