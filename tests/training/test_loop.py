"""The loop: what a stopped run owes to an uninterrupted one, and clipping that clips."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kimchi.errors import TrainingError
from kimchi.training import checkpoints, loop


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


def test_the_rate_warms_up_and_comes_down() -> None:
    plan = _plan(steps=100, warmup_steps=10)
    rates = [loop.learning_rate(plan, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.005) and max(rates) == pytest.approx(0.05) and rates[-1] < 0.002
