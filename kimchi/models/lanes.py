"""Work side by side on one processor: several threads, each computing with cores of its own.

A network as small as the miniature leaves a good part of the cores idle when every operation is split over all of them: each of its thousands of
operations waits for the slowest core. A lane takes a whole piece of the work instead, and waits for nobody until the piece is done.
"""

import copy
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

import torch
from torch import nn

LANE = 4
"""Samples of a miniature for which a lane is worth its while; with fewer, threads wait for Python more than they compute."""
Item = TypeVar("Item")
Made = TypeVar("Made")
Network = TypeVar("Network", bound=nn.Module)


class Lanes:
    """Threads numbered from 0, each with its share of torch's cores. While they work, nothing else of this process should compute with torch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._cores, self._free, self._here = torch.get_num_threads(), list(range(count)), threading.local()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="kimchi-lane", initializer=self._begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        # What a lane sets for itself is also what torch gives to every thread that is made afterwards.
        torch.set_num_threads(self._cores)

    def _begin(self) -> None:
        torch.set_num_threads(max(1, self._cores // self.count))
        self._here.number = self._free.pop()

    def map(self, work: Callable[[int, Item], Made], items: Iterable[Item]) -> list[Made]:
        """work(lane, item) for every item, the results in the items' order; which lane takes which item is chance, and must not matter.

        What the first failing item raises is raised here, once the items that were begun are done; the others are not begun.
        """

        def here(item: Item) -> Made:
            return work(self._here.number, item)

        waiting: list[Future[Made]] = [self._pool.submit(here, item) for item in items]
        try:
            return [future.result() for future in waiting]
        finally:
            for future in waiting:
                future.cancel()


def replica(network: Network) -> Network:
    """The same network over the same weights, for another lane: hooks and switches of the one are not the other's."""
    return copy.deepcopy(network, shared(network))


def shared(*networks: nn.Module) -> dict[int, Any]:
    """What copy.deepcopy takes as its memo, to copy anything that holds these networks and leave their weights where they are."""
    return {id(tensor): tensor for network in networks for tensor in (*network.parameters(), *network.buffers())}
