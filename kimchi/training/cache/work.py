"""Batches through a network, what follows them done aside: the network never waits for a copy, a hash or a disk."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Made = tuple[torch.Tensor, ...]
AHEAD = 2
"""Batches whose results may wait: on a GPU the next one is launched before the last is copied back."""


def through(batches: Iterable[Item], network: Callable[[Item], Made], keep: Callable[[Item, Made], None]) -> None:
    """keep(batch, network(batch)) for each batch; `network` runs here, `keep` in one other thread, in order, its tensors on the CPU.

    Whatever any of them raises is raised here; batches that went through the network before are kept all the same.
    """

    def finish(batch: Item, made: Made) -> None:
        keep(batch, tuple(tensor.cpu() for tensor in made))

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="kimchi-cache") as clerk:
        for batch in batches:
            waiting.append(clerk.submit(finish, batch, network(batch)))
            if len(waiting) > AHEAD:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()
