"""`engine: ray` on a real Ray of two workers: the records that come out are the local engine's, whatever dies on the way."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from kimchi.data.cultures import load_culture
from kimchi.errors import EndpointError, ModelError, RecipeError
from kimchi.models.places import weights_folder
from kimchi.pipelines.answers import Answers
from kimchi.pipelines.engines import ray as engine
from kimchi.pipelines.engines.ray import share_out, write_shards
from kimchi.pipelines.run import prepare
from kimchi.recipes import PrepareRecipe, Writer

FILES = ("captions.jsonl", "drafts.jsonl", "captions.dropped.jsonl")
MINIATURES = all((weights_folder() / name / "model.safetensors").is_file() for name in ("mini-llava", "mini-llama"))
PARTS = '''
"""Parts that fail on purpose. Files in the folder of $KIMCHI_TEST_FOLDER say what happened: nothing else outlives a worker."""

import os
import signal
from pathlib import Path

from kimchi.errors import ModelError
from kimchi.pipelines.captioners.none import Captioner as Nothing
from kimchi.pipelines.refiners.template import Refiner as Template

HERE = Path(os.environ["KIMCHI_TEST_FOLDER"])


class Looks(Nothing):
    """Wants to be shown pictures."""

    looks = True


class Dies(Template):
    """Kills its process the first time it is asked, in the middle of a shard."""

    def refine(self, requests):
        for number, answer in enumerate(super().refine(requests)):
            if number == 3 and not (HERE / "died").exists():
                (HERE / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield answer


class Deadly(Template):
    """Kills its process whenever it is asked, until a file says otherwise."""

    def refine(self, requests):
        if not (HERE / "healed").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().refine(requests)


class Stops(Template):
    """Answers a few questions of a shard and gives up, until a file says otherwise."""

    def refine(self, requests):
        for number, answer in enumerate(super().refine(requests)):
            if number == 3 and not (HERE / "mended").exists():
                raise ModelError("the weights are gone. Bring them back.")
            yield answer
'''


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The folder where the parts above can be imported from, here and by whatever is started from here."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "ray_test_parts.py").write_text(PARTS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIMCHI_TEST_FOLDER", str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="class")
def cluster(parts: Path) -> Generator[ModuleType]:
    """Two workers, started once for all that need them. An engine finds them there and leaves them alone."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install -e '.[scale]'")
    pytest.importorskip("ray.data", reason="needs Ray Data: pip install -e '.[scale]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray's workers give way to everything else (15), and on a busy machine nothing would come of these tests.
        patch.setenv("RAY_worker_niceness", "0")
        # Twelve questions are two shards, so that both workers have one.
        patch.setattr(engine, "FIRST_SHARD", 6)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield ray
        ray.shutdown()


def recipe(source: Path, out: Path, **changes: Any) -> PrepareRecipe:
    return PrepareRecipe.model_validate({"kind": "prepare", "name": "t", "reader": "aihub_food", "source": str(source), "out": str(out), **changes})


def both(delivery: Path, folder: Path, **changes: Any) -> None:
    """Both engines write the same files; the one that is asked second finds nothing of the first."""
    here = prepare(recipe(delivery, folder / "local", **changes))
    there = prepare(recipe(delivery, folder / "ray", engine="ray", **changes))
    assert (there.kept, there.dropped, there.asked) == (here.kept, here.dropped, here.asked) and here.kept
    for name in FILES:
        assert (folder / "local" / name).read_bytes() == (folder / "ray" / name).read_bytes(), name


@pytest.mark.usefixtures("cluster")
class TestCluster:
    def test_the_records_are_those_of_the_local_engine(self, delivery: Path, tmp_path: Path, cluster: ModuleType) -> None:
        both(delivery, tmp_path)
        assert cluster.is_initialized(), "a Ray that was there is left alone"
        # Engines share their answers: where one has been, the other has nothing to ask.
        assert prepare(recipe(delivery, tmp_path / "ray", validation_share=0.2)).asked == 0

    @pytest.mark.slow  # every worker loads both models: a minute and more
    @pytest.mark.skipif(not MINIATURES, reason="needs mini-llava and mini-llama: make mini")
    def test_so_they_are_with_models(self, delivery: Path, tmp_path: Path) -> None:
        both(delivery, tmp_path, captioner={"part": "llava", "model": "mini", "batch": 2}, refiner={"part": "llama", "model": "mini", "batch": 2})

    def test_a_worker_that_dies_loses_nothing(self, delivery: Path, tmp_path: Path, parts: Path) -> None:
        outcome = prepare(recipe(delivery, tmp_path / "run", engine="ray", refiner="ray_test_parts:Dies"))
        assert (parts / "died").exists() and (outcome.kept, outcome.asked) == (12, 24)

    @pytest.mark.slow  # Ray 2.60 now and then never gives out again what two workers held that died at once, and the run waits until it is interrupted
    def test_ray_gives_up_on_what_kills_every_worker(self, delivery: Path, tmp_path: Path, parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "RETRIES", 1)
        job = recipe(delivery, tmp_path / "run", engine="ray", refiner="ray_test_parts:Deadly")
        with pytest.raises(EndpointError, match="run the same command again"):
            prepare(job)
        (parts / "healed").touch()
        outcome = prepare(job)
        assert (outcome.kept, outcome.asked) == (12, 12), "the drafts that were there are not asked for again"

    @pytest.mark.slow  # half a minute of starting workers; the local engine's twin of it is quick
    def test_what_was_answered_before_an_error_is_kept(self, delivery: Path, tmp_path: Path, parts: Path) -> None:
        job = recipe(delivery, tmp_path / "run", engine="ray", refiner="ray_test_parts:Stops")
        with pytest.raises(ModelError, match="the weights are gone"):
            prepare(job)
        (parts / "mended").touch()
        outcome = prepare(job)
        assert (outcome.kept, outcome.asked) == (12, 9)

    @pytest.mark.slow  # half a minute of starting workers; that a worker's death loses nothing is tested above
    def test_interrupted_the_same_call_goes_on(self, delivery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        keep = Answers.put

        def interrupted(self: Answers, *answer: str) -> None:
            keep(self, *answer)
            raise KeyboardInterrupt

        job = recipe(delivery, tmp_path / "run", engine="ray")
        with monkeypatch.context() as patch:
            patch.setattr(Answers, "put", interrupted)
            with pytest.raises(KeyboardInterrupt):
                prepare(job)
        outcome = prepare(job)
        assert (outcome.kept, outcome.asked) == (12, 23)


@pytest.mark.slow  # half a minute for a second cluster; what the engine does on one is tested above
def test_the_command_starts_a_ray_of_its_own_and_ends_it(delivery: Path, tmp_path: Path) -> None:
    """Nothing that Ray prints reaches stdout, which is data."""
    pytest.importorskip("ray.data", reason="needs Ray Data: pip install -e '.[scale]'")
    before = _raylets()
    changes = [f"source={delivery}", f"out={tmp_path / 'run'}", "captioner=none", "refiner=template", "engine=ray"]
    command = [sys.executable, "-m", "kimchi", "prepare", "pipelines/mini_food.yaml", *(word for change in changes for word in ("--set", change)), "--json"]
    done = subprocess.run(command, env=os.environ | {"RAY_ADDRESS": "local", "RAY_worker_niceness": "0"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == str(tmp_path / "run" / "captions.jsonl") and json.loads(second)["kept"] == 12
    assert _raylets() <= before


def _raylets() -> set[int]:
    return {process.pid for process in psutil.process_iter(["name"]) if process.info["name"] in ("raylet", "gcs_server")}


def worker(job: PrepareRecipe, stage: engine.Stage) -> dict[str, Any]:
    """What a worker, here in this process, makes of one shard of one question."""
    given = job.model_dump(mode="json"), load_culture("ko").model_dump(mode="json"), str(Path.cwd())
    record = json.dumps(["k", {"id": "0" * 16, "path": "x.jpg", "labels": ["면", "라면"]}])
    return json.loads(engine.Worker(stage, *given)({"path": ["0"], "bytes": [record.encode()]})["reply"][0])


def test_a_machine_that_cannot_see_the_pictures_says_so(tmp_path: Path, parts: Path) -> None:
    told = worker(recipe(tmp_path / "far.zip", tmp_path, captioner="ray_test_parts:Looks"), "describe")
    assert (told["answers"], told["failure"]) == ([], "DataError")
    assert "far.zip" in told["told"] and "Mount the delivery" in told["told"]


def test_a_machine_that_lacks_a_part_says_so(delivery: Path, tmp_path: Path) -> None:
    told = worker(recipe(delivery, tmp_path, captioner="not_installed_there:Captioner"), "describe")
    assert told["failure"] == "RecipeError" and "not_installed_there" in told["told"]


def test_shards_are_bounded_and_small_at_first(tmp_path: Path) -> None:
    names = write_shards(tmp_path, (str(i).encode() for i in range(64 * 32 + 600)))
    sizes = [len(Path(name).read_bytes().splitlines()) for name in names]
    assert sizes == [32] * 64 + [512, 88]
    assert b"".join(Path(name).read_bytes() for name in names).split() == [str(i).encode() for i in range(64 * 32 + 600)]
    assert write_shards(tmp_path, iter(())) == []


def test_workers_are_as_many_as_the_recipe_s_device_has() -> None:
    big = {"CPU": 16.0, "GPU": 4.0}
    auto, cuda, cpu = (Writer(part="llava", device=device) for device in ("auto", "cuda:1", "cpu"))
    assert share_out(big, auto, loads=True) == share_out(big, cuda, loads=True) == (4, {"num_gpus": 1})
    assert share_out(big, cpu, loads=True) == share_out(big, cuda, loads=False) == (16, {"num_cpus": 1})
    assert share_out({"CPU": 2.0}, auto, loads=True) == (2, {"num_cpus": 1})
    with pytest.raises(RecipeError, match="no machine of the Ray cluster has a GPU"):
        share_out({"CPU": 2.0}, cuda, loads=True)


def test_without_ray_the_extra_is_named(delivery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match=r"pip install 'kimchi-diffusion\[scale\]'"):
        prepare(recipe(delivery, tmp_path / "run", engine="ray"))
