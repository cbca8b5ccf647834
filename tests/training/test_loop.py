"""The loop: what a stopped run owes to an uninterrupted one, and clipping that clips."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kimchi.errors import OutputError, TrainingError
from kimchi.recipes import Optimiser
from kimchi.training import checkpoints, loop
from kimchi.training.prefetch import Prefetch
from kimchi.training.state import State, make_schedule


def _problem() -> tuple[dict[str, nn.Parameter], loop.Watcher]:
    torch.manual_seed(0)
    net = nn.Linear(8, 8)
    return dict(net.named_parameters()), lambda progress: None


def _loss(parameters: dict[str, nn.Parameter]) -> Callable[[int], torch.Tensor]:
    def loss_at(step: int) -> torch.Tensor:
        x = torch.randn(4, 8, generator=loop.seed_of(3, step))
        return (x @ parameters["weight"].T + parameters["bias"] - x.flip(1)).square().mean()

    return loss_at


def _plan(**changes: Any) -> loop.Plan:
    values: dict[str, Any] = {"steps": 12, "learning_rate": 0.05, "warmup_steps": 2, "ema": 0.9, "checkpoint_every": 3}
    return loop.Plan(**(values | changes))


class _Look:
    """Looks after every step."""

    def __init__(self, look: Callable[[State], bool]) -> None:
        self.look = look

    def due(self, step: int) -> bool:
        return True


def test_a_stopped_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    straight, _ = _problem()
    losses = loop.run(straight, _loss(straight), _plan(), tmp_path / "a", "x")

    stopped, _ = _problem()

    def stop(progress: loop.Progress) -> None:
        if progress.step == 8:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        loop.run(stopped, _loss(stopped), _plan(), tmp_path / "b", "x", stop)
    resumed, _ = _problem()
    again = loop.run(resumed, _loss(resumed), _plan(), tmp_path / "b", "x")
    assert again == losses
    for name in straight:
        assert torch.equal(straight[name], resumed[name])


def test_a_checkpoint_cut_in_half_gives_way_to_the_one_before(tmp_path: Path) -> None:
    parameters, _ = _problem()
    loop.run(parameters, _loss(parameters), _plan(steps=6), tmp_path, "x")
    newest = sorted(tmp_path.glob("step-*"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    found = checkpoints.load_newest(tmp_path, "x")
    assert found is not None and found[0] == 3


def test_a_checkpoint_of_another_run_is_not_resumed(tmp_path: Path) -> None:
    parameters, _ = _problem()
    loop.run(parameters, _loss(parameters), _plan(), tmp_path, "x")
    assert checkpoints.load_newest(tmp_path, "y") is None


def test_clipping_clips(tmp_path: Path) -> None:
    # SGD-like check through Adam's first moment: after one step it is (1 - beta1) times the clipped gradient.
    parameters, _ = _problem()
    loss_at = _loss(parameters)
    loop.run(parameters, lambda step: 1e4 * loss_at(step), _plan(steps=1, clip_norm=0.5, ema=0.0, checkpoint_every=1), tmp_path, "x")
    found = checkpoints.load_newest(tmp_path, "x")
    assert found is not None
    moments = [v for k, v in found[1].items() if k.startswith("adam/exp_avg/")]
    norm = math.sqrt(sum(float((m / 0.1).square().sum()) for m in moments))
    assert norm == pytest.approx(0.5, rel=1e-3)


def test_nan_stops_with_the_last_good_checkpoint_kept(tmp_path: Path) -> None:
    parameters, _ = _problem()
    loss_at = _loss(parameters)
    with pytest.raises(TrainingError, match="step 7"):
        loop.run(parameters, lambda step: loss_at(step) * (float("nan") if step == 7 else 1), _plan(), tmp_path, "x")
    found = checkpoints.load_newest(tmp_path, "x")
    assert found is not None and found[0] == 6


def test_bf16_weights_are_refused(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    with pytest.raises(TrainingError, match="float32"):
        loop.run({"w": weight}, lambda step: weight.float().sum(), _plan(), tmp_path, "x")


@pytest.mark.parametrize("schedule", ["cosine", "constant", "linear", "polynomial", "cosine_with_restarts"])
def test_the_rate_warms_up_and_follows_its_curve(schedule: str) -> None:
    section = Optimiser.model_validate({"schedule": schedule, "restarts": 2})
    rate_at = make_schedule(section, torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), 10, 100)
    rates = [rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(rates) == pytest.approx(1.0) and min(rates) > -1e-9
    last = {"cosine": 0.02, "constant": 1.0, "linear": 0.0, "polynomial": 0.0, "cosine_with_restarts": 0.0}[schedule]
    assert rates[-1] == pytest.approx(last, abs=1e-6)


def test_a_weight_may_have_a_rate_of_its_own(tmp_path: Path) -> None:
    # Adam's first step is as long as the rate, whatever the gradient.
    weights = {"fast": nn.Parameter(torch.zeros(3)), "slow": nn.Parameter(torch.zeros(3))}
    plan = _plan(steps=1, ema=0.0, warmup_steps=0, optimiser=Optimiser(weight_decay=0, schedule="constant"))
    loop.run(weights, lambda step: (weights["fast"] + weights["slow"]).sum(), plan, tmp_path, "x", rates={"slow": 0.1})
    assert weights["fast"].tolist() == pytest.approx([-0.05] * 3) and weights["slow"].tolist() == pytest.approx([-0.005] * 3)


def test_pieces_of_a_batch_give_the_gradient_of_the_whole(tmp_path: Path) -> None:
    whole, _ = _problem()
    pieces, _ = _problem()

    def in_pieces(step: int) -> Iterator[loop.Piece]:
        x = torch.randn(4, 8, generator=loop.seed_of(3, step))
        for part in (x[:1], x[1:]):
            # Unequal: the mean of their means would weigh the first sample three times.
            error = (part @ pieces["weight"].T + pieces["bias"] - part.flip(1)).square()
            yield lambda lane, error=error: error.sum() / x.numel()

    losses = loop.run(whole, _loss(whole), _plan(), tmp_path / "a", "x")
    assert loop.run(pieces, in_pieces, _plan(), tmp_path / "b", "x") == pytest.approx(losses, rel=1e-5)
    for name in whole:
        assert torch.allclose(whole[name], pieces[name], atol=1e-5)


def test_losses_that_are_read_seldom_are_the_same(tmp_path: Path) -> None:
    often, seldom = _problem()[0], _problem()[0]
    losses = loop.run(often, _loss(often), _plan(steps=11), tmp_path / "a", "x")
    told: list[int] = []
    assert loop.run(seldom, _loss(seldom), _plan(steps=11, report_every=4), tmp_path / "b", "x", lambda p: told.append(p.step)) == losses
    assert told == [3, 4, 6, 8, 9, 11]


def test_a_bad_gradient_is_never_saved_though_losses_are_read_seldom(tmp_path: Path) -> None:
    parameters, _ = _problem()
    loss_at = _loss(parameters)

    def poisoned(step: int) -> torch.Tensor:
        # The square root of zero: a finite loss with an infinite slope.
        return loss_at(step) + ((parameters["bias"] * 0).sum().sqrt() if step == 5 else 0)

    with pytest.raises(TrainingError, match=r"gradient of step 5 .*record 17"):
        loop.run(parameters, poisoned, _plan(report_every=100), tmp_path, "x", blame=lambda step: "record 17")
    found = checkpoints.load_newest(tmp_path, "x")
    assert found is not None and found[0] == 3


def test_the_best_is_kept_over_the_last_and_through_a_resume(tmp_path: Path) -> None:
    def keep(state: State, stop: int) -> bool:
        if state.step == 4:
            state.keep_best()
            best.append([w.clone() for w in state.best])
        if state.step == stop:
            raise RuntimeError("power cut")
        return False

    best: list[list[torch.Tensor]] = []
    parameters, _ = _problem()
    with pytest.raises(RuntimeError):
        loop.run(parameters, _loss(parameters), _plan(), tmp_path, "x", pause=_Look(lambda state: keep(state, 8)))
    again, _ = _problem()
    loop.run(again, _loss(again), _plan(), tmp_path, "x", pause=_Look(lambda state: keep(state, 99)))
    assert len(best) == 1 and all(torch.equal(a, b) for a, b in zip(again.values(), best[0], strict=True))


def test_a_pause_sees_the_average_and_gives_the_weights_back(tmp_path: Path) -> None:
    parameters, _ = _problem()
    seen: list[bool] = []

    def look(state: State) -> bool:
        before = [w.detach().clone() for w in state.weights]
        with state.averaged():
            seen.append(all(torch.equal(w, a) for w, a in zip(state.weights, state.average, strict=True)))
        return not all(torch.equal(w, b) for w, b in zip(state.weights, before, strict=True))

    assert len(loop.run(parameters, _loss(parameters), _plan(), tmp_path, "x", pause=_Look(look))) == 12
    assert seen == [True] * 13


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, _ = _problem()
    saved = checkpoints.save_file

    def full(tensors: Any, path: Any, **rest: Any) -> None:
        if rest["metadata"]["step"] == "6":
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        saved(tensors, path, **rest)

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        loop.run(parameters, _loss(parameters), _plan(), tmp_path, "x")
    found = checkpoints.load_newest(tmp_path, "x")
    assert found is not None and found[0] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["step-0000003.safetensors"]


def test_sigterm_saves_and_stops(tmp_path: Path) -> None:
    straight, stopped = _problem()[0], _problem()[0]
    losses = loop.run(straight, _loss(straight), _plan(), tmp_path / "a", "x")

    def ask(progress: loop.Progress) -> None:
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        loop.run(stopped, _loss(stopped), _plan(checkpoint_every=100), tmp_path / "b", "x", ask)
    again, _ = _problem()
    assert loop.run(again, _loss(again), _plan(checkpoint_every=100), tmp_path / "b", "x") == losses
    assert all(torch.equal(straight[name], again[name]) for name in straight)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_batches_are_made_in_order_ahead_and_errors_reach_the_taker(steps: int) -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        if step == 5:
            raise ValueError("spoiled")
        return 10 * step

    with Prefetch(make, steps) as batches:
        for step in range(min(steps, 5)):
            assert batches.take(step) == 10 * step
        if steps > 5:
            with pytest.raises(ValueError, match="spoiled"):
                batches.take(5)
    assert made == sorted(made) and max(made) < steps


def test_batches_are_made_by_a_thread_of_one_core_and_nobody_else_loses_any() -> None:
    cores = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with Prefetch(lambda step: torch.get_num_threads(), 3) as batches:
            assert [batches.take(step) for step in range(3)] == [1, 1, 1]
            assert torch.get_num_threads() == 3
        seen: list[int] = []
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen == [3]
    finally:
        torch.set_num_threads(cores)
