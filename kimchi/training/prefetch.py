"""The next batches, made while the present one is computed."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

import torch

Batch = TypeVar("Batch")


class Prefetch(Generic[Batch]):
    """Makes `ahead` batches in a thread of its own, in order.

    A batch is a function of its step's number, so making it early changes nothing. One thread: batches are read from a memory map and take a
    fraction of a step.
    """

    def __init__(self, make: Callable[[int], Batch], stop: int, ahead: int = 2) -> None:
        self._make, self._stop, self._ahead = make, stop, ahead
        self._waiting: dict[int, Future[Batch]] = {}
        # With one core to its thread: threads of its own beside those of the steps would be more than there are cores, and then OpenMP lets all of
        # them sleep between any two operations. Steps of a small network took twice as long.
        self._cores = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kimchi-batches", initializer=torch.set_num_threads, initargs=(1,))
        self.waited_s = 0.0
        """Time that `take` has waited in all, seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        # What it set for itself is also what torch gives to every thread that is made afterwards.
        torch.set_num_threads(self._cores)

    def take(self, step: int) -> Batch:
        """The batch of a step, waiting for it if need be; what it raised is raised here."""
        for later in range(step, min(step + 1 + self._ahead, self._stop)):
            if later not in self._waiting:
                self._waiting[later] = self._pool.submit(self._make, later)
        began = time.monotonic()
        made = self._waiting.pop(step).result() if step in self._waiting else self._make(step)
        self.waited_s += time.monotonic() - began
        return made
