"""Held-out loss: that it measures the network alone, disturbs nothing, and that decisions by it are a statistician's."""

import json
import random
from collections.abc import Mapping, Sequence
from math import inf, nan
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from kimchi.errors import DataError
from kimchi.models import lora
from kimchi.recipes import Lora, Source
from kimchi.training.losses import Noising
from kimchi.training.rows import FIRST_SEED as TRAINED
from kimchi.training.rows import HELD_OUT_SEED
from kimchi.training.watch.choosing import choose, source_names
from kimchi.training.watch.held_out import HeldOut, HeldOutPicture, Measurement
from kimchi.training.watch.intervals import Estimate, student, weighted_mean
from kimchi.training.watch.stopping import Stopping

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "prediction_type": "epsilon"}
WEIGHTS = {"korean": 0.75, "general": 0.25}


def _pictures(count: int = 4, side: int = 8) -> list[HeldOutPicture]:
    source = torch.Generator().manual_seed(5)
    return [
        HeldOutPicture(name=f"{s}/{i}", source=s, latents_CHW=torch.randn(4, side, side, generator=source), states_LD=torch.randn(77, 128, generator=source))
        for s in WEIGHTS for i in range(count)
    ]  # fmt: skip


def _held_out(pictures: Sequence[HeldOutPicture] = (), **changes: int) -> HeldOut:
    values = {"levels": 4, "batch": 3} | changes
    return HeldOut(pictures or _pictures(), Noising(SCHEDULE), weights=WEIGHTS, **values)


@pytest.fixture
def unet(base_folder: Path) -> UNet2DConditionModel:
    made = UNet2DConditionModel.from_pretrained(str(base_folder), subfolder="unet", dtype=torch.float32)
    torch.manual_seed(0)
    lora.add(made, Lora(rank=2, alpha=2))
    return made


class Silent(nn.Module):
    """Says nothing of what it is shown and remembers it: its error is the target itself, which is known."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, noisy_BCHW: torch.Tensor, t_B: torch.Tensor, states_BLD: torch.Tensor) -> SimpleNamespace:
        self.shown.append((noisy_BCHW, t_B))
        return SimpleNamespace(sample=torch.zeros_like(noisy_BCHW))


def _measured(*by_source: Sequence[float]) -> Measurement:
    return Measurement(losses=dict(zip(WEIGHTS, map(tuple, by_source), strict=False)), levels={}, weights=WEIGHTS)


def test_a_measurement_is_the_same_whenever_and_in_whatever_order_it_is_made(unet: UNet2DConditionModel) -> None:
    first = _held_out().measure(unet)
    torch.manual_seed(99)
    assert _held_out(list(reversed(_pictures()))).measure(unet) == first
    assert list(first.levels) == [125, 375, 625, 875]


def test_every_measurement_stands_alone(unet: UNet2DConditionModel) -> None:
    # Averaged with those before it, 0.1 would be shown as something else for as long as the run lasts.
    held_out, first = _held_out(), _held_out().measure(unet)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.mul_(1.5)
    other = held_out.measure(unet)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.div_(1.5)
    assert other.overall.value != pytest.approx(first.overall.value, rel=1e-3)
    assert held_out.measure(unet).overall.value == pytest.approx(first.overall.value, rel=1e-4)


def test_its_noise_is_the_plain_noise_of_the_schedule() -> None:
    # A noise offset, of any strength, would give every channel a mean of its own and the error of silence a value above 1.
    pictures, silent = _pictures(count=24, side=16), Silent()
    measured = _held_out(pictures).measure(silent)
    assert measured.overall.value == pytest.approx(1, abs=0.01)
    means = torch.cat([_noise_in(noisy_BCHW, t_B, pictures).mean((2, 3)) for noisy_BCHW, t_B in silent.shown])
    # Of 256 unit normals the mean has the variance 1/256; an offset of 0.1 would add 0.01 to it.
    assert float(means.var()) == pytest.approx(1 / 256, rel=0.2)


def _noise_in(noisy_BCHW: torch.Tensor, t_B: torch.Tensor, pictures: Sequence[HeldOutPicture]) -> torch.Tensor:
    """The noise of a noisy batch: the picture whose removal leaves the least is the one that is in it."""
    a_B111 = Noising(SCHEDULE).alphas_cumprod[t_B].view(-1, 1, 1, 1)
    clean_NCHW = torch.stack([p.latents_CHW for p in pictures])
    left_BNCHW = noisy_BCHW[:, None] - a_B111[:, None].sqrt() * clean_NCHW
    return left_BNCHW[torch.arange(len(t_B)), left_BNCHW.square().mean((2, 3, 4)).argmin(1)] / (1 - a_B111).sqrt()


def test_measuring_leaves_no_trace_in_the_training(unet: UNet2DConditionModel) -> None:
    unet.train()
    unet.mid_block.eval()
    unet.conv_out.weight.grad = torch.ones_like(unet.conv_out.weight)
    before = torch.get_rng_state(), random.getstate(), [m.training for m in unet.modules()], [p.requires_grad for p in unet.parameters()]
    _held_out().measure(unet)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert ([m.training for m in unet.modules()], [p.requires_grad for p in unet.parameters()]) == before[2:]
    assert torch.is_grad_enabled() and bool((unet.conv_out.weight.grad == 1).all())


def test_the_networks_dropout_is_off_while_it_measures() -> None:
    class Noisy(Silent):
        def forward(self, noisy_BCHW: torch.Tensor, t_B: torch.Tensor, states_BLD: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(sample=nn.functional.dropout(noisy_BCHW, 0.5, self.training))

    noisy = Noisy().train()
    assert _held_out().measure(noisy) == _held_out().measure(noisy) and noisy.training


def test_pictures_of_several_shapes_are_measured(unet: UNet2DConditionModel) -> None:
    wide = HeldOutPicture(name="wide", source="korean", latents_CHW=torch.zeros(4, 8, 16), states_LD=torch.zeros(77, 128))
    assert len(_held_out([*_pictures(), wide]).measure(unet).losses["korean"]) == 5


def test_a_v_prediction_base_is_asked_for_the_velocity() -> None:
    held_out = HeldOut(_pictures(count=24), Noising(SCHEDULE | {"prediction_type": "v_prediction"}), levels=2, weights=WEIGHTS)
    # Pictures and noise have unit variance, and so has any velocity.
    assert held_out.measure(Silent()).overall.value == pytest.approx(1, abs=0.03)


def test_one_picture_of_a_source_is_refused() -> None:
    with pytest.raises(DataError, match=r"general: 1 held-out picture, .*two.*held_out\.every"):
        HeldOut(_pictures()[:5], Noising(SCHEDULE), levels=2, weights=WEIGHTS)


def test_the_log_gives_back_a_measurement_to_the_last_digit(unet: UNet2DConditionModel) -> None:
    measured = _held_out().measure(unet)
    back = Measurement.from_json(json.loads(json.dumps(measured.to_json(), allow_nan=False)))
    assert back.losses == measured.losses and back.overall == measured.overall and back.levels.keys() == measured.levels.keys()


def test_a_loss_that_is_no_number_stays_none() -> None:
    measured = _measured((nan, 1.0), (1.0, 2.0))
    assert measured.to_json()["overall"] == [None, None, None]
    assert Measurement.from_json(measured.to_json()).overall.value != 0


@pytest.mark.parametrize(("freedom", "wide"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (100, 1.984), (10_000, 1.960)])
def test_student_t_is_that_of_the_tables(freedom: int, wide: float) -> None:
    assert student(freedom) == pytest.approx(wide, abs=6e-4)


def test_an_interval_of_95_percent_holds_the_mean_95_times_in_100() -> None:
    rng, held = random.Random(0), 0
    for _ in range(600):
        values = {"korean": [rng.gauss(1, 0.3) for _ in range(12)], "general": [rng.gauss(2, 1) for _ in range(5)]}
        found = weighted_mean(values, WEIGHTS)
        held += found.low <= 0.75 * 1 + 0.25 * 2 <= found.high
    assert 0.925 <= held / 600 <= 0.98


def test_sources_count_by_their_share_and_not_by_their_pictures() -> None:
    assert weighted_mean({"korean": [1.0] * 2, "general": [3.0] * 50}, WEIGHTS).value == pytest.approx(1.5)


def test_a_paired_difference_sees_what_two_intervals_hide() -> None:
    rng = random.Random(0)
    before = [[rng.uniform(0, 1) for _ in range(20)] for _ in WEIGHTS]
    after = [[v - 0.01 + rng.gauss(0, 0.002) for v in of] for of in before]
    then, now = _measured(*before), _measured(*after)
    assert now.overall.high > then.overall.low
    assert now.since(then).high < 0


# Stopping.


def _run(values: Sequence[float], patience: int, noise: float = 0.0, sure: float = 0.002) -> tuple[Stopping, list[bool]]:
    """Measurements with these means; each picture's own change scatters by `sure`."""
    rng, stopping, stops = random.Random(1), Stopping(patience), list[bool]()
    base = [[rng.uniform(0.1, 0.3) for _ in range(16)] for _ in WEIGHTS]
    for k, value in enumerate(values):
        lift = value + rng.gauss(0, noise)
        stops.append(stopping.tell(100 * (k + 1), _measured(*([v + lift + rng.gauss(0, sure) for v in of] for of in base))).stop)
    return stopping, stops


def test_the_lowest_mean_is_kept_and_of_equals_the_earlier() -> None:
    stopping = Stopping()
    for step, value in ((100, 0.5), (200, 0.3), (300, 0.3), (400, 0.4)):
        stopping.tell(step, _measured((value, value + 0.1), (value, value)))
    assert stopping.best is not None and stopping.best[0] == 200


def test_a_step_that_has_learned_nothing_is_never_the_best() -> None:
    stopping = Stopping()
    first = stopping.tell(0, _measured((0.1, 0.2), (0.1, 0.2)))
    after = stopping.tell(100, _measured((0.2, 0.3), (0.2, 0.3)))
    assert not first.improved and first.best_step is None and after.improved and after.best_step == 100


def test_nan_is_never_the_best_and_uses_patience_up() -> None:
    stopping = Stopping(2)
    stopping.tell(100, _measured((0.1, 0.2), (0.1, 0.2)))
    verdicts = [stopping.tell(step, _measured((nan, 0.2), (inf, 0.2))) for step in (200, 300)]
    assert [v.improved for v in verdicts] == [False, False] and verdicts[-1].best_step == 100 and verdicts[-1].stop


def test_a_finished_run_stops_though_chance_finds_lower_losses() -> None:
    # Forty measurements of one and the same quality: some are lower than all before, none is better.
    _, stops = _run([0.0] * 40, patience=5, sure=0.01)
    assert True in stops and stops.index(True) < 20


def test_slow_progress_adds_up_until_it_is_sure() -> None:
    # Each step is far smaller than its own noise; the one that counts is the sum since the last sure one.
    _, stops = _run([-0.002 * k for k in range(40)], patience=8, sure=0.01)
    assert True not in stops


def test_without_patience_nothing_stops() -> None:
    assert True not in _run([0.0] * 30, patience=0)[1]


def test_a_resumed_run_decides_as_if_it_had_not_stopped() -> None:
    rng = random.Random(3)
    told = [(100 * k, _measured(*([rng.uniform(0, 1) for _ in range(6)] for _ in WEIGHTS))) for k in range(12)]
    straight, verdicts = Stopping(3), []
    for step, measured in told:
        verdicts.append(straight.tell(step, measured))
    for cut in range(len(told)):
        log = [(step, Measurement.from_json(json.loads(json.dumps(m.to_json())))) for step, m in told[:cut]]
        resumed = Stopping.after(3, log)
        assert [resumed.tell(step, m) for step, m in told[cut:]] == verdicts[cut:]


# Choosing.


def test_held_out_drawings_are_of_seeds_that_nothing_else_draws() -> None:
    from kimchi.training.mini.world import FIRST_SEED

    others = {*FIRST_SEED.values(), *TRAINED.values(), 8_000_000, 8_200_000, 8_500_000, 9_800_000, 10_000_000, 10_500_000}
    assert max(others) + 500_000 <= min(HELD_OUT_SEED.values())


def test_a_choice_moves_little_when_rows_are_added() -> None:
    ids = [f"row{i}" for i in range(200)]
    before = {ids[i] for i in choose(ids, 40)}
    after = {[*ids, "new1", "new2"][i] for i in choose([*ids, "new1", "new2"], 40)}
    assert len(before) == 40 and len(before & after) >= 38


def test_a_scene_is_taken_twice_only_when_every_scene_has_been() -> None:
    ids, groups = [f"row{i}" for i in range(30)], [f"scene{i % 10}" for i in range(30)]
    assert len({groups[i] for i in choose(ids, 10, groups)}) == 10
    assert len(choose(ids, 100, groups)) == 30


def test_no_two_sources_have_one_name() -> None:
    places = ["runs/food/captions.jsonl", "other/food/captions.jsonl", "sample-world:korean", "sample-world:korean", "captions.jsonl"]
    names = source_names([Source(captions=p, share=0.2) for p in places])
    assert names[:3] == ["food", "food (2)", "sample-world:korean"] and len(set(names)) == len(names)


def test_an_estimate_knows_its_half() -> None:
    estimates: Mapping[str, Estimate] = {"a": Estimate(value=1.0, low=0.5, high=1.5)}
    assert estimates["a"].half == 0.5
