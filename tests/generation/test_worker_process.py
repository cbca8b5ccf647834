"""A worker in a process of its own: the same pictures, and what happens when one of the two processes dies. Few tests: each start imports torch."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kimchi.errors import CancelledError, LostError, ModelError, PromptError, RequestError
from kimchi.generation.engine import BASE, KIMCHI, Drawn, Engine, Preview, Request
from kimchi.generation.generate import Kimchi

QUICK = Request(prompts=("라면",), steps=2, seed=7)
LONG = Request(prompts=("라면",), steps=1000, seed=7)


@pytest.fixture(scope="module")
def engine(base_folder: Path) -> Iterator[Engine]:
    made = Engine.load(str(base_folder), device="cpu", base=str(base_folder), apart=True)
    made.start()
    made.wait_ready(300)
    yield made
    made.close()


def _until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie is dead; only its parent has not looked yet.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_draws_what_this_process_draws(engine: Engine, base_folder: Path) -> None:
    here = Kimchi.load(str(base_folder), "cpu", lambda _: None)
    ticket = engine.submit(replace(QUICK, steps=10, previews=4))
    updates = list(ticket.updates())
    (drawn,) = ticket.result()[KIMCHI]
    assert drawn.image.tobytes() == here.generate("라면", steps=10, seed=7).image.tobytes()
    assert drawn.provenance["made_by"]["model_hash"] == engine.identity["model_hash"] == here.model.hash
    steps = [one.step for one in updates if isinstance(one, Preview)]
    assert steps == sorted(steps) and isinstance(updates[-1], Drawn)
    both = engine.submit(replace(QUICK, arms=(BASE, KIMCHI))).result(120)
    assert both[BASE][0].provenance["seed"] == both[KIMCHI][0].provenance["seed"] == 7


@pytest.mark.parametrize(("wrong", "why"), [({"prompts": ("그려줘",)}, PromptError), ({"steps": 0}, RequestError), ({"arms": ("translated",)}, RequestError)])
def test_what_cannot_be_drawn_is_refused_at_once(engine: Engine, wrong: dict[str, Any], why: type[Exception]) -> None:
    with pytest.raises(why):
        engine.submit(replace(QUICK, **wrong))
    assert not engine.stats().waiting


def test_cancelled_between_two_steps(engine: Engine) -> None:
    ticket = engine.submit(LONG)
    _until(lambda: engine.stats().drawing)
    ticket.cancel()
    with pytest.raises(CancelledError):
        ticket.result(60)
    assert engine.submit(QUICK).result(60)


def test_killed_it_is_started_again_and_what_waited_is_drawn(engine: Engine) -> None:
    first, under, waits = engine._worker.pid, engine.submit(LONG), engine.submit(QUICK)  # type: ignore[attr-defined]
    _until(lambda: engine.stats().drawing)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(LostError, match="signal 9"):
        under.result(60)
    assert waits.result(300) and engine.state == "ready"
    assert engine._worker.pid != first and engine.stats().failed == 1  # type: ignore[attr-defined]


def test_killed_while_nothing_is_drawn(engine: Engine) -> None:
    # Ctrl-C and SIGTERM reach the whole group, and are the server's affair.
    for kind in (signal.SIGINT, signal.SIGTERM):
        os.kill(engine._worker.pid, kind)  # type: ignore[attr-defined]
    assert engine.submit(QUICK).result(60)
    os.kill(engine._worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    _until(lambda: engine.state == "starting")
    # Who found the engine ready a moment ago is refused, and does not wait for a process that cannot answer yet.
    with pytest.raises(LostError):
        engine._worker.check(QUICK)  # type: ignore[attr-defined]
    # Told to stop while it loads: at once.
    began_s, pid = time.monotonic(), engine._worker.pid  # type: ignore[attr-defined]
    engine.close()
    assert time.monotonic() - began_s < 20 and engine.state == "stopped"
    _until(lambda: not _alive(pid) and not _alive(engine._worker.pid))  # type: ignore[attr-defined]


@pytest.mark.slow  # the far end imports torch before it looks
def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    broken = Engine.load(str(tmp_path / "nothing"), device="cpu", apart=True)
    broken.start()
    with pytest.raises(ModelError, match="nothing"):
        broken.wait_ready(300)
    assert broken.state == "failed"
    broken.close()


SERVER = """
import sys
from kimchi.generation.engine import Engine, Request
engine = Engine.load(sys.argv[1], device="cpu", apart=True)
engine.start()
engine.wait_ready(300)
engine.submit(Request(prompts=("라면",), steps=2, seed=7)).result(300)
print([name for name in ("torch", "diffusers", "transformers") if name in sys.modules], engine._worker.pid, flush=True)
engine.submit(Request(prompts=("라면",), steps=1000)).result()
"""


def test_the_server_stays_light_and_takes_its_worker_along(base_folder: Path) -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(base_folder)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    heavy, _, pid = server.stdout.readline().strip().rpartition(" ")
    assert heavy == "[]"
    server.kill()
    server.wait()
    server.stdout.close()
    _until(lambda: not _alive(int(pid)), 20)
