"""Lanes, replicas, and LoRA layers computed as one: faster, and nothing else."""

import copy
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from kimchi.models import lora
from kimchi.models.lanes import Lanes, replica
from kimchi.models.lora_whole import whole_where_cheaper
from kimchi.recipes.lora import Lora

_SOURCE = torch.Generator().manual_seed(5)
NOISY, TIME, STATES = torch.randn(2, 4, 16, 16, generator=_SOURCE), torch.tensor([3, 700]), torch.randn(2, 77, 128, generator=_SOURCE)


@pytest.fixture
def unet(base_folder: Path) -> UNet2DConditionModel:
    net = UNet2DConditionModel.from_pretrained(base_folder / "unet", dtype=torch.float32)
    assert isinstance(net, UNet2DConditionModel)
    return net


def _adapted(unet: UNet2DConditionModel, **shape: Any) -> dict[str, torch.nn.Parameter]:
    parameters = lora.add(unet, Lora(**({"rank": 16, "alpha": 8, "targets": "all"} | shape)))
    torch.manual_seed(3)
    for parameter in parameters.values():
        torch.nn.init.normal_(parameter, std=0.05)
    return parameters


def _gradients(unet: Any, parameters: dict[str, torch.nn.Parameter]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    out: torch.Tensor = unet(NOISY, TIME, STATES).sample
    return out.detach(), list(torch.autograd.grad(out.square().mean(), list(parameters.values())))


class TestLanes:
    def test_results_come_in_the_order_of_the_items_and_every_lane_works(self) -> None:
        together = threading.Barrier(3, timeout=20)

        def work(lane: int, item: int) -> tuple[int, int]:
            if item < 3:
                together.wait()
            time.sleep(0.01 * (item % 3))
            return lane, item * item

        with Lanes(3) as lanes:
            made = lanes.map(work, range(12))
        assert [square for _, square in made] == [n * n for n in range(12)]
        assert {lane for lane, _ in made} == {0, 1, 2}

    def test_each_has_its_share_of_the_cores_and_gives_it_back(self) -> None:
        cores = torch.get_num_threads()
        with Lanes(2) as lanes:
            assert set(lanes.map(lambda lane, _: torch.get_num_threads(), range(4))) == {max(1, cores // 2)}
        assert torch.get_num_threads() == cores
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert seen == [cores]

    def test_what_an_item_raises_is_raised_and_nothing_more_is_begun(self) -> None:
        begun: list[int] = []

        def work(lane: int, item: int) -> None:
            begun.append(item)
            if item == 1:
                raise ValueError("item 1")
            time.sleep(0.02)

        with Lanes(1) as lanes, pytest.raises(ValueError, match="item 1"):
            lanes.map(work, range(50))
        assert len(begun) < 10

    def test_a_replica_shares_weights_and_not_switches(self, unet: UNet2DConditionModel) -> None:
        parameters = _adapted(unet)
        whole_where_cheaper(unet)
        other = replica(unet)
        assert all(a is b for a, b in zip(unet.parameters(), other.parameters(), strict=True))
        with torch.no_grad(), lora.without_adapters(unet):
            plain = unet(NOISY, TIME, STATES).sample
            stirred = other(NOISY, TIME, STATES).sample
            assert all(parameter.requires_grad for parameter in parameters.values())
        assert not torch.allclose(plain, stirred, atol=1e-3)


class TestWhole:
    @pytest.mark.parametrize("rank", [12, 16])
    @pytest.mark.parametrize("targets", ["attention", "all"])
    def test_it_is_what_peft_computes(self, unet: UNet2DConditionModel, rank: int, targets: str) -> None:
        parameters = _adapted(unet, rank=rank, targets=targets)
        out, gradients = _gradients(unet, parameters)
        assert whole_where_cheaper(unet) > 0
        again, same = _gradients(unet, parameters)
        assert torch.allclose(out, again, atol=1e-5)
        for a, b in zip(gradients, same, strict=True):
            assert float((a - b).norm()) <= 1e-4 * float(a.norm())
        with torch.no_grad(), lora.without_adapters(unet):
            plain = copy.deepcopy(unet)(NOISY, TIME, STATES).sample
        assert not torch.allclose(plain, again, atol=1e-4)

    def test_a_small_rank_stays_as_it_is(self, unet: UNet2DConditionModel) -> None:
        _adapted(unet, rank=1)
        assert whole_where_cheaper(unet) == 0

    def test_dora_stays_as_it_is(self, unet: UNet2DConditionModel) -> None:
        _adapted(unet, dora=True)
        assert whole_where_cheaper(unet) == 0

    def test_no_layer_of_sd15_is_cheaper_at_the_ranks_people_use(self) -> None:
        with torch.device("meta"):
            unet = UNet2DConditionModel(cross_attention_dim=768)
            lora.add(unet, Lora(rank=16, alpha=16, targets="attention"))
        assert whole_where_cheaper(unet) == 0
