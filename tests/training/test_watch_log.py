"""The log, the meter and the trackers: each step once, honest clocks, and numbers that arrive."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from kimchi.errors import OutputError, RecipeError
from kimchi.models import lora
from kimchi.recipes import Lora
from kimchi.training.watch.held_out import Measurement
from kimchi.training.watch.intervals import Estimate
from kimchi.training.watch.log import LOG, Log, Reading, duration, read_log
from kimchi.training.watch.meter import Meter, Speed, flops_per_picture, peak_flops
from kimchi.training.watch.trackers import Trackers, check_trackers

SPEED = Speed(pictures_per_second=168.2, waiting=0.002, mfu=0.281, memory_gib=41.2, seconds_left=233.0, seconds=100.0)


def _measured(value: float) -> Measurement:
    levels = {500: Estimate(value=value, low=value - 0.01, high=value + 0.01)}
    return Measurement(losses={"korean": (value, value + 0.01, value + 0.02)}, levels=levels, weights={"korean": 1.0})


def _reading(step: int, **changes: Any) -> Reading:
    held_out = _measured(0.2 - step / 10_000) if step % 50 == 0 else None
    values: dict[str, Any] = {"step": step, "steps": 200, "loss": 1 / (step + 7), "learning_rate": 1e-4, "gradient_norm": 0.3, "held_out": held_out}
    return Reading(**values | {"best": held_out is not None, "speed": SPEED} | changes)


def _without_speed(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.to_json().items() if k != "speed"} for r in readings]


def test_a_line_says_it_all() -> None:
    line = _reading(150, loss=0.1321, steps=1000).text()
    assert line == "step 150/1000  loss 0.1321  held-out 0.1950 ±0.0248 best  168 pictures/s  MFU 28 %  41.2 GiB  4 min left"


def test_waiting_is_said_when_it_is_news_and_mfu_when_it_is_known() -> None:
    slow = Speed(pictures_per_second=1.5, waiting=0.24, mfu=None, memory_gib=2.0, seconds_left=None, seconds=1.0)
    assert _reading(10, speed=slow, loss=0.5).text() == "step 10/200  loss 0.5000  1.5 pictures/s  waiting for data 24 %  MFU n/a  2.0 GiB"


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (59.7, "1 min"), (3570, "1 h 00 min"), (7500, "2 h 05 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_killed_and_resumed_log_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    straight = Log(tmp_path / "a", 0)
    for step in range(0, 201, 10):
        straight.write(_reading(step))
    killed = Log(tmp_path / "b", 0)
    for step in range(0, 111, 10):
        killed.write(_reading(step))
    with (tmp_path / "b" / LOG).open("ab") as file:
        file.write(b'{"step": 120, "steps": 200, "lo')
    # The last checkpoint was at step 80: steps 90 to 110 are done again.
    resumed = Log(tmp_path / "b", 80)
    for step in range(90, 201, 10):
        resumed.write(_reading(step))
    assert (tmp_path / "b" / LOG).read_bytes() == (tmp_path / "a" / LOG).read_bytes()
    assert resumed.readings == read_log(tmp_path / "a")
    assert [r.step for r in read_log(tmp_path / "b")] == list(range(0, 201, 10))


def test_a_fresh_run_keeps_no_line_of_another(tmp_path: Path) -> None:
    Log(tmp_path, 0).write(_reading(10))
    assert Log(tmp_path, 0).readings == [] and read_log(tmp_path) == []


def test_a_torn_last_line_that_is_whole_but_for_its_newline_is_dropped(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    log.write(_reading(10))
    log.write(_reading(20))
    path = tmp_path / LOG
    path.write_bytes(path.read_bytes()[:-1])
    assert [r.step for r in read_log(tmp_path)] == [10]


def test_a_log_is_plain_json_even_where_a_loss_is_none(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    log.write(_reading(10, loss=float("nan"), gradient_norm=float("inf")))
    [line] = (tmp_path / LOG).read_text().splitlines()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(name))["loss"] is None
    [back] = read_log(tmp_path)
    assert back.loss is not None and back.loss != back.loss


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).mkdir()
    with pytest.raises(OutputError, match=r"log\.jsonl.*rerun"):
        log.write(_reading(10))


# The meter, by a clock that the test turns.


class Clock:
    """Tells the time the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _meter(clock: Clock, **changes: Any) -> Meter:
    return Meter(**{"start": 0, "steps": 100, "batch": 8, "device": torch.device("cpu"), "clock": clock} | changes)


def test_pauses_count_for_the_time_left_and_not_for_the_speed() -> None:
    clock = Clock()
    meter = _meter(clock)
    clock.now = 10.0
    with meter.aside():
        clock.now = 15.0
    found = meter.read(10)
    assert found.pictures_per_second == pytest.approx(8.0)
    assert found.seconds_left == pytest.approx(90 * (1.0 + 0.5)) and found.seconds == 15.0


def test_speed_is_that_of_late() -> None:
    clock = Clock()
    meter = _meter(clock, reports=2)
    for step, now in ((10, 100.0), (20, 110.0), (30, 115.0), (40, 120.0)):
        clock.now = now
        found = meter.read(step)
    # Compiling made the first ten steps slow: nobody waits for that again.
    assert found.pictures_per_second == pytest.approx(16.0) and found.seconds_left == pytest.approx(30.0)


def test_a_resumed_part_reckons_by_its_own_steps() -> None:
    clock = Clock()
    meter = _meter(clock, start=80)
    clock.now = 5.0
    found = meter.read(90)
    assert found.pictures_per_second == pytest.approx(16.0) and found.seconds_left == pytest.approx(5.0)


def test_waiting_for_data_is_a_share() -> None:
    clock = Clock()
    meter = _meter(clock)
    with meter.waiting():
        clock.now = 1.0
    clock.now = 4.0
    assert meter.read(4).waiting == pytest.approx(0.25)


def test_before_the_first_step_nothing_is_promised() -> None:
    found = _meter(Clock()).read(0)
    assert found.seconds_left is None and found.pictures_per_second == 0 and found.memory_gib > 0


def test_mfu_is_what_the_model_needs_over_what_the_machine_can_do() -> None:
    clock = Clock()
    meter = _meter(clock, flops_per_picture=2e12, peak_flops=80e12)
    clock.now = 1.0
    assert meter.read(2).mfu == pytest.approx(16 * 2e12 / 80e12)


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H200", "bf16", 989), ("NVIDIA H100 80GB HBM3", "bf16", 989), ("NVIDIA H100 PCIe", "bf16", 756), ("NVIDIA A100-SXM4-80GB", "bf16", 312),
        ("NVIDIA A100 80GB PCIe", "bf16", 312), ("NVIDIA GeForce RTX 4090", "bf16", 165.2), ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", None),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", "bf16", None), ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", None), ("cpu", "bf16", None),
        ("NVIDIA H200", "fp32", None),
    ],
)  # fmt: skip
def test_only_known_gpus_have_a_peak(name: str, precision: str, tera: float | None) -> None:
    assert peak_flops(name, precision, devices=2) == (None if tera is None else pytest.approx(2 * tera * 1e12))


def test_the_arithmetic_of_stable_diffusion_is_what_was_measured() -> None:
    # 0.803 TFLOP forward at 512 px, 1.725 with the backward of a LoRA of rank 16 on attention: counted once on the whole UNet.
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        lora.add(unet, Lora(rank=16, alpha=16))
    assert flops_per_picture(unet, (4, 64, 64), (77, 768)) == pytest.approx(1.725e12, rel=0.001)


# Trackers.


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_tracker_is_refused_with_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(RecipeError, match=rf"'{name}' is not installed\. `pip install {name}`"):
        check_trackers((name,))


def test_no_tracker_starts_that_is_not_named(tmp_path: Path) -> None:
    trackers = Trackers((), "run", tmp_path, "f", {})
    trackers.log(_reading(10))
    trackers.finish()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_is_told_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs tensorboardX: pip install -e '.[dev]'")
    trackers = Trackers(("tensorboard",), "run", tmp_path, "f", {"seed": 0})
    for step in (50, 60):
        trackers.log(_reading(step))
    trackers.finish()
    told = _scalars(tmp_path / "tensorboard")
    assert told["train/loss"] == {50: pytest.approx(1 / 57), 60: pytest.approx(1 / 67)}
    assert told["held_out/loss"] == {50: pytest.approx(0.205)} and told["held_out/korean"].keys() == {50}
    assert told["speed/mfu"][60] == pytest.approx(0.281)
    assert not list(tmp_path.glob("tensorboard/*/hparams.yml"))


def test_a_resumed_tensorboard_drops_what_will_be_done_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs tensorboardX: pip install -e '.[dev]'")
    for step, start in ((90, 0), (90, 80)):
        trackers = Trackers(("tensorboard",), "run", tmp_path, "f", {}, start)
        trackers.log(_reading(step))
        trackers.finish()
    # The session that starts at step 81 tells TensorBoard to hide what lies at or after it.
    assert 81 in {event.step for event in _events(tmp_path / "tensorboard") if event.HasField("session_log")}


def _events(folder: Path) -> list[Any]:
    """TensorBoard's files: records of a length, its checksum, an event, its checksum."""
    from tensorboardX.proto import event_pb2

    events: list[Any] = []
    for path in sorted(folder.glob("events*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack("<Q", content[at : at + 8])
            events.append(event_pb2.Event.FromString(content[at + 12 : at + 12 + size]))
            at += size + 16
    return events


def _scalars(folder: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for event in _events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found
