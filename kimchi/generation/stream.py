"""One picture as it forms, for a script that has no engine: drawn on a thread of its own, read with `for`."""

import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import TYPE_CHECKING

import torch

from kimchi.generation.arms import KIMCHI
from kimchi.generation.previews import Previewer, TinyPreviewer, due
from kimchi.generation.tickets import Preview

if TYPE_CHECKING:
    from kimchi.generation.provenance import GeneratedImage
    from kimchi.generation.sampler import OnStep


class _Left(Exception):
    """Whoever read has stopped reading."""


def stream(draw: "Callable[[OnStep], GeneratedImage]", previewer: Previewer | TinyPreviewer, wanted: int) -> "Iterator[Preview | GeneratedImage]":
    """About `wanted` previews, then the picture. Leaving the loop stops the drawing before its next step.

    Args:
        draw: draws one picture, and calls what it is given after every step.
    """
    news: Queue[Preview | GeneratedImage | BaseException] = Queue()
    left = threading.Event()

    def on_step(done: int, total: int, clean_1CHW: torch.Tensor) -> None:
        if left.is_set():
            raise _Left
        if due(done, total, wanted):
            news.put(Preview(arm=KIMCHI, index=0, step=done, steps=total, image=previewer.picture(clean_1CHW[0])))

    def work() -> None:
        try:
            news.put(draw(on_step))
        except BaseException as error:
            news.put(error)

    thread = threading.Thread(target=work, name="kimchi-stream", daemon=True)
    thread.start()
    try:
        while isinstance(found := news.get(), Preview):
            yield found
        if isinstance(found, BaseException):
            raise found
        yield found
    finally:
        left.set()
        # The painter may not be used from two threads: the next call waits here, for one step at most.
        thread.join()
