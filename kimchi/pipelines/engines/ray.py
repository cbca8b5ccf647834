"""On a Ray cluster: questions wait in shards on the driver's disk, workers on every machine answer a shard at a time, the driver keeps the answers.

A worker is the local engine in a process of its own, so the answers are the local engine's; above temperature 0 what is drawn by chance hangs
on which questions share a batch, here as there. RAY_ADDRESS says which cluster; without it the one that `ray start` began on this machine, else
one made for this run. Ray has no part in what an answer is kept under: a run may go on with the other engine.
"""

import gc
import importlib
import logging
import os
import socket
import tempfile
import warnings
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from kimchi import errors
from kimchi.data.cultures import Culture
from kimchi.errors import DataError, EndpointError, KimchiError, RecipeError
from kimchi.pipelines.captioners import Answer
from kimchi.pipelines.engines import local
from kimchi.pipelines.refiners import Request
from kimchi.recipes import PrepareRecipe, Writer
from kimchi.records import ImageRecord

Stage = Literal["describe", "refine"]
SHARD, FIRST_SHARD, FIRST_SHARDS = 512, 32, 64
"""Questions that a worker is given at once; the first shards are smaller, so that a few hundred questions are shared out too."""
RETRIES = 3
"""How often a shard is given out again after the worker that had it died."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker made of one shard."""

    answers: tuple[Answer, ...]
    failure: str = ""
    """Name of the KimchiError that ended it; empty where every question has its answer."""
    told: str = ""
    """What that error said."""


_RECORD, _REQUEST, _REPLY = TypeAdapter(tuple[str, ImageRecord]), TypeAdapter(Request), TypeAdapter(Reply)


class Engine:
    """A captioner and a refiner on every machine of a cluster. This process loads no weights and reads no picture again.

    Raises:
        RecipeError: Ray is not installed, or what the local engine refuses.
    """

    def __init__(self, recipe: PrepareRecipe, culture: Culture) -> None:
        self._ray = _import_ray()
        self.recipe, self.culture = recipe, culture
        here = local.Engine(recipe, culture)
        self.captioner, self.refiner = here.captioner, here.refiner
        self.captioner_identity, self.refiner_identity = here.captioner_identity, here.refiner_identity

    def describe(self, records: Iterator[tuple[str, ImageRecord]]) -> Iterator[Answer]:
        """What captioners on the cluster write.

        Raises:
            DataError: a machine of the cluster cannot see the delivery.
            EndpointError: no cluster, or one that lost the same questions again and again. What was answered has been given.
        """
        return self._answers("describe", (_RECORD.dump_json(pair) for pair in records))

    def refine(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """What refiners on the cluster write.

        Raises:
            EndpointError: as describe says.
        """
        return self._answers("refine", (_REQUEST.dump_json(request) for request in requests))

    def _answers(self, stage: Stage, questions: Iterator[bytes]) -> Iterator[Answer]:
        with tempfile.TemporaryDirectory(prefix="kimchi-questions-") as folder:
            shards = write_shards(Path(folder), questions)
            if not shards:
                return  # nothing to ask, no cluster to start
            with _told():
                self._connect()
                waiting = set(shards)
                for row in self._dataset(stage, shards).iter_rows():
                    waiting.discard(str(row["path"]))
                    yield from _given(row["reply"])
            if waiting:
                raise EndpointError(f"engine ray: the cluster lost {len(waiting)} of {len(shards)} shards of questions. Run the same command again.")

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return  # someone's own, and left alone
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # Workers may print what they like: stdout of this process is data.
        self._ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        # Ends a cluster that init() started, and takes leave of one that was there.
        weakref.finalize(self, self._ray.shutdown)

    def _dataset(self, stage: Stage, shards: list[str]) -> Any:
        from ray.data import ActorPoolStrategy

        of, writes = (self.recipe.captioner, self.captioner) if stage == "describe" else (self.recipe.refiner, self.refiner)
        workers, share = share_out(self._ray.cluster_resources(), of, loads=bool(writes.model) and not of.endpoint)
        # The shards lie on this machine only. Readers ask for no core: the workers have them all, and would wait for questions for ever.
        here = {"ray.io/node-id": self._ray.get_runtime_context().get_node_id()}
        with warnings.catch_warnings():
            # Ray 2.60 tells of settings of its own that will go, and that the last two below will lose this way in; without those a shard that
            # kills its worker would be given out for ever.
            warnings.simplefilter("ignore")
            read = self._ray.data.read_binary_files(shards, include_paths=True, override_num_blocks=len(shards), num_cpus=0, label_selector=here)
            asked = read.map_batches(
                Worker, batch_size=1, batch_format="numpy", compute=ActorPoolStrategy(size=min(workers, len(shards))),
                fn_constructor_kwargs=self._given_to_workers(stage, workers), max_restarts=-1, max_task_retries=RETRIES, **share,
            )  # fmt: skip
        asked.context.enable_progress_bars = asked.context.print_on_execution_start = False
        return asked

    def _given_to_workers(self, stage: Stage, workers: int) -> dict[str, Any]:
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        recipe = self.recipe.model_copy(
            update={
                "captioner": _alone(self.recipe.captioner, workers), "refiner": _alone(self.recipe.refiner, workers),
                "workers": self.recipe.workers or max(1, cores // workers),
            }
        )  # fmt: skip
        return {"stage": stage, "recipe": recipe.model_dump(mode="json"), "culture": self.culture.model_dump(mode="json"), "folder": str(Path.cwd())}


class Worker:
    """The local engine in a process of the cluster.

    Args:
        recipe: a PrepareRecipe as JSON values.
        culture: a Culture as JSON values.
        folder: where the driver works: relative paths of a recipe begin there.
    """

    def __init__(self, stage: Stage, recipe: dict[str, Any], culture: dict[str, Any], folder: str) -> None:
        self.stage, self.failure = stage, Reply(())
        with suppress(OSError):
            os.chdir(folder)
        try:
            settings = PrepareRecipe.model_validate(recipe)
            self.engine = local.Engine(settings, Culture.model_validate(culture))
            if stage == "describe":
                _check_visible(settings)
                _keep_weights(settings.captioner)
        except KimchiError as error:
            # Said when the first shard comes: an actor that fails to start would be started again and again.
            self.failure = _failed((), error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Replies to shards: columns path and bytes => columns path and reply."""
        replies = [_REPLY.dump_json(self._reply(bytes(shard).splitlines())) for shard in batch["bytes"]]
        return {"path": batch["path"], "reply": np.array(replies, dtype=object)}

    def _reply(self, lines: list[bytes]) -> Reply:
        if self.failure.failure:
            return self.failure
        answers: list[Answer] = []
        try:
            answers.extend(self._asked(lines))
        except KimchiError as error:
            return _failed(tuple(answers), error)
        return Reply(tuple(answers))

    def _asked(self, lines: list[bytes]) -> Iterator[Answer]:
        if self.stage == "describe":
            return self.engine.describe(_RECORD.validate_json(line) for line in lines)
        return self.engine.refine(_REQUEST.validate_json(line) for line in lines)


def write_shards(folder: Path, questions: Iterator[bytes]) -> list[str]:
    """Questions into files of bounded size, one a line; the names of the files."""
    names: list[str] = []
    question = next(questions, None)
    while question is not None:
        path, room = folder / f"{len(names):07d}.jsonl", FIRST_SHARD if len(names) < FIRST_SHARDS else SHARD
        with path.open("wb") as file:
            while question is not None and room:
                file.write(question + b"\n")
                question, room = next(questions, None), room - 1
        names.append(str(path))
    return names


def share_out(resources: dict[str, float], of: Writer, *, loads: bool) -> tuple[int, dict[str, float]]:
    """How many workers a cluster has room for, and what each asks of it.

    Args:
        resources: of the cluster, as Ray names them: {"CPU": 8.0, "GPU": 2.0}.
        loads: whether a worker holds a model of its own.

    Raises:
        RecipeError: CUDA is asked for, and the cluster has none.
    """
    cores, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if loads and of.device.startswith("cuda") and not gpus:
        raise RecipeError(f"device: {of.device!r}, and no machine of the Ray cluster has a GPU to lend. Set device to cpu or auto, or add such a machine.")
    if loads and gpus and of.device != "cpu":
        return gpus, {"num_gpus": 1}
    return max(1, cores), {"num_cpus": min(1, cores)}


def _alone(of: Writer, workers: int) -> Writer:
    """A section for one worker of several: Ray shows it a single GPU, and the requests at an endpoint are shared."""
    device = "cuda" if of.device.startswith("cuda") else of.device
    return of.model_copy(update={"device": device, "concurrency": max(1, of.concurrency // workers)})


def _check_visible(recipe: PrepareRecipe) -> None:
    """Every machine reads pictures itself.

    Raises:
        DataError: the delivery is not there.
    """
    source = Path(recipe.source).expanduser()
    if recipe.captioner.part != "none" and not source.exists():
        raise DataError(
            f"{source}: is not on {socket.gethostname()}, and with `engine: ray` every machine reads the pictures itself. "
            "Mount the delivery at the same absolute path on all of them, or use `engine: local`."
        )


def _keep_weights(of: Writer) -> None:
    """Have this process load each checkpoint of LLaVA once: the captioner lets its weights go at the end of each call, and here a call is a shard."""
    if of.part == "llava" and not of.endpoint:
        from kimchi.models.llava import Llava

        Llava.load = staticmethod(cache(Llava.load))


def _failed(answers: tuple[Answer, ...], error: KimchiError) -> Reply:
    return Reply(answers, type(error).__name__, str(error))


def _given(reply: bytes) -> Iterator[Answer]:
    """The answers of a shard, and then the error that ended it.

    Raises:
        KimchiError: the worker's own.
    """
    found = _REPLY.validate_json(reply)
    yield from found.answers
    if found.failure:
        kind = getattr(errors, found.failure, KimchiError)
        raise kind(found.told)


def _import_ray() -> Any:
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError as error:
        raise RecipeError(f"engine: 'ray' needs Ray Data ({error}). Run `pip install 'kimchi-diffusion[scale]'`, or use `engine: local`.") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


@contextmanager
def _told() -> Generator[None]:
    """Faults of the cluster as one paragraph.

    Raises:
        EndpointError: it cannot be reached, or gave up on a shard.
    """
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
        return
    except RayTaskError:
        raise  # an exception in our own code: a bug, and its traceback says where
    except (RayError, ConnectionError) as error:
        said = " ".join(str(error).split())[:300]
    # Not chained: the frames of Ray's own error hold its workers, and those the cores that the next call waits for.
    gc.collect()
    raise EndpointError(
        f"engine ray: the cluster at {os.environ.get('RAY_ADDRESS') or 'this machine'} gave up ({said}). A shard of questions is given out "
        f"{RETRIES + 1} times; a worker that dies each time most often lacks memory. What was answered is kept: run the same command again."
    )
