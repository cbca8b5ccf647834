"""Parity of our noising with diffusers, and the weights of Min-SNR."""

from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from kimchi.training.losses import Noising, noise_loss
from kimchi.training.mini.unet import scheduler


def test_noising_equals_diffusers() -> None:
    config = dict(scheduler().config)
    x, noise, t = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8), torch.tensor([0, 10, 500, 999])
    theirs: Any = DDPMScheduler.from_config(config)
    assert torch.allclose(Noising(config).add(x, noise, t), theirs.add_noise(x, noise, t), atol=1e-6)


def test_min_snr_never_exceeds_one_and_falls_for_clean_steps() -> None:
    noising = Noising(dict(scheduler().config))
    weight = noising.min_snr_weight(torch.arange(1000), 5.0)
    assert float(weight.max()) <= 1 and float(weight[0]) < 0.01 and float(weight[-1]) == 1
    assert torch.equal(noising.min_snr_weight(torch.arange(3), 0.0), torch.ones(3))


def test_a_perfect_prediction_costs_nothing() -> None:
    noise = torch.randn(2, 4, 8, 8)
    assert float(noise_loss(noise, noise, torch.ones(2))) == pytest.approx(0)


def test_v_prediction_is_refused_rather_than_trained_wrongly() -> None:
    with pytest.raises(NotImplementedError, match="v_prediction"):
        Noising(dict(scheduler().config) | {"prediction_type": "v_prediction"})
