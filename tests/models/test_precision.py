"""bf16 where it pays."""

import pytest
import torch

from kimchi.models import precision


@pytest.mark.parametrize(("amx", "asked", "device", "bf16"), [
    (True, "bf16", "cpu", True), (False, "bf16", "cpu", False), (True, "fp32", "cpu", False), (False, "bf16", "cuda:1", True), (False, "fp32", "cuda", False),
])  # fmt: skip
def test_a_cpu_that_only_emulates_bf16_computes_in_fp32(monkeypatch: pytest.MonkeyPatch, amx: bool, asked: str, device: str, bf16: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert precision.computes_bf16(asked, device) is bf16


@pytest.mark.parametrize("amx", [True, False])
def test_autocast_on_a_cpu_follows_its_speed(monkeypatch: pytest.MonkeyPatch, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    with precision.autocast_on_cpu():
        made = torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2))
    assert made.dtype == (torch.bfloat16 if amx else torch.float32)
