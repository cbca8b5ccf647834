"""A worker in a process of its own: a server imports its web framework while the model loads, its pages do not wait for Python code between two
steps, and a drawing that takes the process with it (memory, a driver) takes nothing else.

    engine's thread -> ProcessWorker ==[ socket pair, one message at a time ]==> python -m kimchi.generation.worker_process -> LocalWorker

Both ends are our own and nobody else can open the socket: what goes over it is pickled.
"""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from kimchi.errors import BlockedError, CancelledError, KimchiError, LostError
from kimchi.generation.arms import KIMCHI, Arms
from kimchi.generation.tickets import Drawn, Preview, Request
from kimchi.generation.worker import NOT_SHOWN, LocalWorker, OnStep

if TYPE_CHECKING:
    from kimchi.generation.safety.pictures import Checker

_LOG = logging.getLogger(__name__)
_END_S = 5.0
"""How long it may take to end by itself: it stops between two steps."""
_START = 0
"""Number of the call that loads; every other has one of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a worker loads; see Kimchi.load, Arms and LocalWorker."""

    model: str = "mini"
    device: str = "auto"
    precision: str = "auto"
    base: str = ""
    translator: str = ""
    few_step: str = ""
    preview_vae: str = ""
    arms: tuple[str, ...] = (KIMCHI,)
    checker: str = ""
    """Folder of a safety checker that looks at what is drawn; empty for none."""

    def load(self, on_notice: Callable[[str], None] | None = None) -> Arms:
        """Load it here."""
        from kimchi.generation.generate import Kimchi

        painter = Kimchi.load(self.model, self.device, on_notice, precision=self.precision, few_step=self.few_step)
        return Arms(painter, base=self.base, translator=self.translator, few_step=self.few_step)


class ProcessWorker:
    """The near end. A process that ends is told by `lost`; `start` makes a new one."""

    def __init__(self, model: Model) -> None:
        """Say what is drawn; no process is started before `start`."""
        self._model = model
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._calls: dict[int, SimpleQueue[tuple[str, Any]]] = {}
        self._numbers = count(_START + 1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._loaded = self._lost = self._closed = False
        self._on_lost: Callable[[], None] = lambda: None

    @property
    def lost(self) -> bool:
        """See Worker."""
        return self._lost

    @property
    def pid(self) -> int:
        """Of the process; 0 before there is one."""
        return self._process.pid if self._process else 0

    def watch(self, on_lost: Callable[[], None]) -> None:
        """See Worker."""
        self._on_lost = on_lost

    def start(self) -> dict[str, Any]:
        """See Worker."""
        self._end()
        near, far = Pipe()
        with self._lock:
            if self._closed:
                raise LostError("The process that draws was closed before it had started.")
            self._loaded, self._lost, self._connection = False, False, near
            self._calls = {_START: SimpleQueue()}
            answers = self._calls[_START]
            with far:
                # Not by multiprocessing: it would import the caller's main module a second time, with whatever that does.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", __name__, str(far.fileno())], pass_fds=(far.fileno(),), stdin=subprocess.DEVNULL, env=_environment()
                )
        self._send(self._model)
        threading.Thread(target=self._listen, args=(near, self._process, self._calls), name="kimchi-worker", daemon=True).start()
        identity = self._answer(_START, answers)
        with self._lock:
            self._loaded = True
        return identity

    def check(self, request: Request) -> None:
        """See Worker."""
        self._call("check", request)

    def draw(self, arm: str, request: Request, seed: int, on_step: OnStep) -> Drawn:
        """See Worker."""
        return self._call("draw", (arm, request, seed), on_step)

    def close(self) -> None:
        """See Worker."""
        with self._lock:
            self._closed = True
        self._end()

    def _call(self, what: str, about: Any, on_step: OnStep | None = None) -> Any:
        with self._lock:
            # Of a process that is still loading nothing is asked: a caller who found the one before it ready would wait for ever.
            if self._lost or self._closed or not self._loaded:
                raise _lost(self._process)
            number, answers = next(self._numbers), SimpleQueue[tuple[str, Any]]()
            self._calls[number] = answers
        self._send((what, number, about))
        try:
            return self._answer(number, answers, on_step)
        finally:
            with self._lock:
                self._calls.pop(number, None)

    def _answer(self, number: int, answers: "SimpleQueue[tuple[str, Any]]", on_step: OnStep | None = None) -> Any:
        stopped: BaseException | None = None
        while True:
            kind, found = answers.get()
            if kind == "step":
                if stopped is None and on_step is not None:
                    try:
                        on_step(*found)
                    except BaseException as error:
                        # The far end stops before its next step, and says so: until then it is not free for other work.
                        stopped = error
                        self._send(("stop", number, None))
                continue
            if stopped is not None:
                raise stopped
            if kind == "error":
                raise found
            return found

    def _send(self, message: Any) -> None:
        # Where the other end is gone, the listener says so to everybody who waits.
        with self._sending, suppress(OSError, ValueError):
            assert self._connection is not None
            self._connection.send(message)

    def _listen(self, connection: Connection, process: "subprocess.Popen[bytes]", calls: "dict[int, SimpleQueue[tuple[str, Any]]]") -> None:
        with suppress(EOFError, OSError):
            while True:
                number, kind, found = connection.recv()
                with self._lock:
                    answers = calls.get(number)
                if answers is not None:
                    answers.put((kind, found))
        process.wait()
        connection.close()
        with self._lock:
            if self._process is process:
                self._lost = True
            waiting, closed = list(calls.values()), self._closed
        for answers in waiting:
            answers.put(("error", _lost(process)))
        if not closed:
            _LOG.warning("%s", _lost(process))
            self._on_lost()

    def _end(self) -> None:
        """Let the process end, by itself or not."""
        process, connection = self._process, self._connection
        if process is None or connection is None:
            return
        self._send(None)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lost(process: "subprocess.Popen[bytes] | None") -> LostError:
    status = process.poll() if process else None
    how = "" if status is None else f" (signal {-status})" if status < 0 else f" (status {status})"
    return LostError(f"The process that draws has ended{how}; it is started again. Try again in a moment.")


def _environment() -> dict[str, str]:
    """This process's, with the way to this package: it may have been found by a path that only this process knows."""
    place = str(Path(__file__).resolve().parents[2])
    paths = [place, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


class _FarEnd:
    """In the process that draws: the main thread loads and draws, another one listens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._work: SimpleQueue[tuple[int, tuple[str, Request, int]]] = SimpleQueue()
        self._stopped = set[int]()
        self._worker: LocalWorker | None = None
        self._checker: Checker | None = None

    def run(self) -> None:
        model: Model | None = self._connection.recv()
        if model is None:
            return
        threading.Thread(target=self._listen, name="kimchi-listen", daemon=True).start()
        if not self._answer(_START, partial(self._load, model)):
            return
        gc.freeze()
        gc.enable()
        while True:
            number, work = self._work.get()
            self._answer(number, partial(self._draw, number, *work))

    def _load(self, model: Model) -> dict[str, Any]:
        worker = LocalWorker(lambda: model.load(lambda _: None), arms=model.arms, preview_vae=model.preview_vae)
        identity = worker.start()
        if model.checker:
            from kimchi.generation.safety.pictures import Checker

            self._checker = Checker.load(Path(model.checker), "cpu")
        self._worker = worker
        return identity

    def _draw(self, number: int, arm: str, request: Request, seed: int) -> Drawn:
        assert self._worker is not None

        def on_step(done: int, total: int, previews: Sequence[Preview]) -> None:
            if number in self._stopped:
                raise CancelledError("Nobody waits for this picture any more.")
            self._send(number, "step", (done, total, previews))

        try:
            drawn = self._worker.draw(arm, request, seed, on_step)
        finally:
            self._stopped.discard(number)
        if self._checker is not None and any(self._checker.flags([one.image for one in drawn.images])):
            raise BlockedError(NOT_SHOWN)
        return drawn

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while (message := self._connection.recv()) is not None:
                what, number, about = message
                if what == "draw":
                    self._work.put((number, about))
                elif what == "stop":
                    self._stopped.add(number)
                elif self._worker is not None:
                    self._answer(number, partial(self._worker.check, about))
        # Whoever asked is gone, or wants no more: a model that is being loaded, or a step under way, would only keep the device from the next one.
        os._exit(0)

    def _answer(self, number: int, find: Callable[[], Any]) -> bool:
        try:
            found = find()
        except KimchiError as error:
            self._send(number, "error", error)
        except Exception:
            # A bug: not every exception can be sent, and its words are for the log.
            self._send(number, "error", RuntimeError(f"in the process that draws:\n{traceback.format_exc()}"))
        else:
            self._send(number, "answer", found)
            return True
        return False

    def _send(self, number: int, kind: str, found: Any) -> None:
        with self._sending:
            self._connection.send((number, kind, found))


def main() -> None:
    """The far end, over the socket whose number is the only argument."""
    # Ctrl-C and systemd's SIGTERM reach the whole group: the near end finishes what was promised, and needs this process for it.
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)
    # Importing and loading make hundreds of thousands of objects that stay: looking through them again and again took a second of the start.
    gc.disable()
    _FarEnd(Connection(int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
