"""The engine on a tiny random model: order, places, previews, cancelling, time, draining, and what goes wrong."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from kimchi.errors import BlockedError, BusyError, CancelledError, ClosedError, LateError, ModelError, PromptError, RequestError
from kimchi.generation.arms import Arms
from kimchi.generation.engine import BASE, KIMCHI, TRANSLATED, Drawn, Engine, Preview, Request, Waiting
from kimchi.generation.generate import Kimchi
from kimchi.generation.worker import LocalWorker
from kimchi.models.load import Model

QUICK = Request(prompts=("라면",), steps=2, seed=7)
LONG = Request(prompts=("라면",), steps=1000, seed=7)


@pytest.fixture
def make(tiny: Model) -> Generator[Callable[..., Engine]]:
    made: list[Engine] = []

    def engine(source: Callable[[], Arms] = lambda: Arms(Kimchi(tiny, "cpu", lambda _: None)), arms: tuple[str, ...] = (KIMCHI,), **settings: Any) -> Engine:
        made.append(Engine(LocalWorker(source, arms=arms), **settings))
        made[-1].start()
        return made[-1]

    yield engine
    for one in made:
        one.close()


@pytest.fixture
def engine(make: Callable[..., Engine]) -> Engine:
    ready = make(queue=3)
    ready.wait_ready(60)
    return ready


def test_draws_what_kimchi_draws(engine: Engine, kimchi: Kimchi) -> None:
    (drawn,) = engine.submit(QUICK).result(60)[KIMCHI]
    assert drawn.image.tobytes() == kimchi.generate("라면", steps=2, seed=7).image.tobytes()
    assert drawn.provenance["made_by"]["model_hash"] == engine.identity["model_hash"]


def test_many_prompts_are_drawn_a_few_at_a_time_and_keep_their_order(engine: Engine, kimchi: Kimchi) -> None:
    words = ("라면", "갓", "한복", "김치", "장구", "한옥")
    ticket = engine.submit(replace(QUICK, prompts=words, previews=1))
    updates = list(ticket.updates())
    images = ticket.result()[KIMCHI]
    assert [i.provenance["prompt"] for i in images] == list(words) and [i.provenance["seed"] for i in images] == list(range(7, 13))
    assert {u.index for u in updates if isinstance(u, Preview)} <= set(range(6))
    assert all((u.step, u.steps) == (1, 2) for u in updates if isinstance(u, Preview))


def test_without_a_seed_all_arms_share_one(make: Callable[..., Engine], tiny: Model) -> None:
    engine = make(lambda: Arms(Kimchi(tiny, "cpu", lambda _: None), base="tiny"))
    engine.wait_ready(60)
    engine._worker.arms._base = Kimchi(tiny, "cpu", lambda _: None)  # type: ignore[attr-defined]
    found = engine.submit(replace(QUICK, seed=None, arms=(BASE, KIMCHI))).result(60)
    assert found[BASE][0].provenance["seed"] == found[KIMCHI][0].provenance["seed"]


def test_previews_come_in_order_and_the_picture_last(engine: Engine) -> None:
    heard: list[Any] = []
    ticket = engine.submit(replace(LONG, steps=20, previews=5))
    ticket.on_update(heard.append)
    ticket.result(60)
    previews = [u for u in heard if isinstance(u, Preview)]
    assert [p.step for p in previews] == sorted(p.step for p in previews) and 4 <= len(previews) <= 6
    assert all(p.steps == 20 and p.image.mode == "RGB" and p.image.size == (32, 32) for p in previews)
    assert isinstance(heard[-2], Drawn) and heard[-1] is None


def test_a_reader_who_is_slow_finds_only_the_newest_preview(engine: Engine) -> None:
    ticket = engine.submit(replace(LONG, steps=30, previews=30))
    ticket.result(60)
    kinds = [type(u) for u in ticket.updates()]
    assert kinds == [Preview, Drawn]


def test_places_move_up(engine: Engine) -> None:
    first = engine.submit(LONG)
    _until(lambda: engine.stats().drawing)
    second, third = engine.submit(QUICK), engine.submit(QUICK)
    assert (first.place, second.place, third.place) == (0, 1, 2)
    second.cancel()
    assert third.place == 1 and next(third.updates()) == Waiting(place=1)
    first.cancel()
    assert third.result(60)


def test_a_full_queue_says_when_to_come_back(engine: Engine) -> None:
    tickets = [engine.submit(LONG)]
    _until(lambda: engine.stats().drawing)
    tickets += [engine.submit(LONG) for _ in range(3)]
    with pytest.raises(BusyError) as refused:
        engine.submit(QUICK)
    assert refused.value.retry_after_s >= 1 and engine.stats().refused == 1
    for ticket in tickets:
        ticket.cancel()
    assert engine.submit(QUICK).result(60)


def test_cancelling_stops_between_two_steps(engine: Engine) -> None:
    ticket = engine.submit(LONG)
    _until(lambda: engine.stats().drawing)
    began = time.monotonic()
    ticket.cancel()
    ticket.cancel()
    with pytest.raises(CancelledError):
        ticket.result(30)
    assert time.monotonic() - began < 20
    assert engine.submit(QUICK).result(60) and engine.stats().cancelled == 1


def test_cancelling_what_is_done_changes_nothing(engine: Engine) -> None:
    ticket = engine.submit(QUICK)
    ticket.result(60)
    ticket.cancel()
    assert ticket.result() and engine.stats().done == 1


def test_late_work_ends_whether_it_waits_or_is_drawn(engine: Engine) -> None:
    drawn, waits = engine.submit(replace(LONG, timeout_s=1.0)), engine.submit(replace(LONG, timeout_s=0.2))
    for ticket in (waits, drawn):
        with pytest.raises(LateError):
            ticket.result(60)
    assert engine.stats().late == 2 and engine.submit(QUICK).result(60)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (replace(QUICK, prompts=("그려줘",)), PromptError),
        (replace(QUICK, prompts=()), RequestError),
        (replace(QUICK, arms=()), RequestError),
        (replace(QUICK, arms=("elephant",)), RequestError),
        (replace(QUICK, arms=(BASE,)), RequestError),
        (replace(QUICK, steps=0), RequestError),
        (replace(QUICK, seed=-1), RequestError),
        (replace(QUICK, size_px=65), RequestError),
        (replace(QUICK, guidance=99.0), RequestError),
    ],
    ids=str,
)
def test_bad_requests_are_refused_before_they_wait(engine: Engine, request_: Request, error: type[Exception]) -> None:
    with pytest.raises(error):
        engine.submit(request_)
    assert engine.stats().waiting == 0


def test_draining_finishes_what_was_accepted(engine: Engine) -> None:
    tickets = [engine.submit(replace(QUICK, steps=20)) for _ in range(3)]
    assert engine.drain(60)
    assert all(ticket.result(0)[KIMCHI] for ticket in tickets)
    with pytest.raises(ClosedError):
        engine.submit(QUICK)
    assert engine.state == "stopped"


def test_draining_gives_up_in_time(engine: Engine) -> None:
    ticket = engine.submit(LONG)
    assert not engine.drain(0.2)
    with pytest.raises(CancelledError):
        ticket.result(30)


def test_nothing_is_taken_before_it_is_ready_and_closing_ends_the_thread(tiny: Model, make: Callable[..., Engine]) -> None:
    gate = threading.Event()

    def slow() -> Arms:
        gate.wait(30)
        return Arms(Kimchi(tiny, "cpu", lambda _: None))

    engine = make(slow)
    assert engine.state == "starting"
    with pytest.raises(ClosedError, match="loaded"):
        engine.submit(QUICK)
    with pytest.raises(LateError):
        engine.wait_ready(0.05)
    gate.set()
    engine.wait_ready(60)
    engine.close()
    assert engine.state == "stopped" and engine._thread is not None and not engine._thread.is_alive()


def test_a_model_that_cannot_be_loaded_is_told(make: Callable[..., Engine]) -> None:
    engine = Engine.load("no-such-model")
    engine.start()
    with pytest.raises(ModelError, match="no such model"):
        engine.wait_ready(60)
    with pytest.raises(ClosedError, match="no such model"):
        engine.submit(QUICK)
    assert engine.state == "failed"


def test_a_bug_in_one_picture_leaves_the_next_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(engine._worker.arms.kimchi, "generate", broken)  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            engine.submit(QUICK).result(60)
    assert engine.submit(QUICK).result(60) and engine.stats().failed == 1 and "drawing failed" in caplog.text


class _Guard:
    """Refuses 칼, and every picture that is asked for with `hide`."""

    hide = False

    def check_prompts(self, prompts: Sequence[str]) -> None:
        if any("칼" in prompt for prompt in prompts):
            raise BlockedError("Not here.")

    def check_images(self, images: Sequence[Image.Image]) -> Sequence[bool]:
        return [self.hide] * len(images)


def test_the_guard_stands_before_and_after(make: Callable[..., Engine]) -> None:
    guard = _Guard()
    engine = make(guard=guard)
    engine.wait_ready(60)
    with pytest.raises(BlockedError):
        engine.submit(replace(QUICK, prompts=("칼",)))
    assert engine.submit(replace(QUICK, negative="칼")).result(60)
    guard.hide = True
    with pytest.raises(BlockedError):
        engine.submit(QUICK).result(60)
    guard.hide = False
    assert engine.submit(QUICK).result(60) and engine.stats().blocked == 2


def test_asyncio_hears_the_same(engine: Engine) -> None:
    async def hear() -> list[Any]:
        return [update async for update in engine.submit(replace(LONG, steps=20, previews=20)).aupdates()]

    async def refused() -> None:
        ticket = engine.submit(LONG)
        asyncio.get_running_loop().call_later(0.1, ticket.cancel)
        async for _ in ticket.aupdates():
            pass

    assert isinstance(asyncio.run(hear())[-1], Drawn)
    with pytest.raises(CancelledError):
        asyncio.run(refused())


def test_many_threads_at_once_all_get_an_answer(engine: Engine) -> None:
    answers: list[str] = []

    def ask() -> None:
        try:
            engine.submit(QUICK).result(60)
            answers.append("picture")
        except BusyError:
            answers.append("busy")

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 24 and "picture" in answers


def test_finished_tickets_are_forgotten(engine: Engine) -> None:
    import weakref

    ticket = engine.submit(replace(QUICK, previews=2))
    ticket.result(60)
    seen = weakref.ref(ticket)
    del ticket
    _until(lambda: gc.collect() is not None and seen() is None)


def test_stream_gives_previews_then_the_picture_and_can_be_left(kimchi: Kimchi) -> None:
    found = list(kimchi.stream("라면", previews=3, steps=6, seed=7))
    assert all(isinstance(one, Preview) for one in found[:-1]) and 2 <= len(found[:-1]) <= 4
    assert found[-1].image.tobytes() == kimchi.generate("라면", steps=6, seed=7).image.tobytes()
    left = kimchi.stream("라면", previews=500, steps=1000)
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert kimchi.generate("라면", steps=1, seed=1)
    with pytest.raises(PromptError):
        kimchi.stream("그려줘")


def _until(true: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize("arm", [BASE, TRANSLATED])
def test_what_cannot_be_compared_says_what_is_missing(kimchi: Kimchi, arm: str) -> None:
    with pytest.raises(RequestError, match="--base"):
        Arms(kimchi).check(arm)
    assert Arms(kimchi).possible() == [KIMCHI]


def test_mini_is_compared_with_its_base_and_a_translation() -> None:
    """The whole story in one call, on the shipped miniature."""
    found = Kimchi.load("mini", "cpu").compare("한국의 라면을 그려줘", steps=2, seed=7)
    assert "ramyeon" in found.prompt_en and found.translated.provenance["prompt"] == found.prompt_en
    assert {found.base.provenance["model"], found.translated.provenance["model"]} == {"mini-base"} and found.kimchi.provenance["model"] == "mini"
    assert len({one.image.tobytes() for one in (found.base, found.translated, found.kimchi)}) == 3
