"""Parity of noising, targets and weights with diffusers, both predictions; what is refused; and today's numbers, by the plain formula."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.training_utils import compute_snr

from kimchi.errors import ModelError, RecipeError
from kimchi.training.losses import Noising, errors, noise_loss
from kimchi.training.mini.unet import scheduler

T = torch.tensor([0, 10, 500, 998])
V_ZERO = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def config(**changes: object) -> dict[str, Any]:
    return dict(scheduler().config) | changes


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return torch.randn(4, 4, 8, 8, generator=source), torch.randn(4, 4, 8, 8, generator=source)


class TestParity:
    @pytest.mark.parametrize("changes", [{}, V_ZERO, {"beta_schedule": "squaredcos_cap_v2"}, {"beta_schedule": "linear", "prediction_type": "v_prediction"}])
    def test_noising_and_targets_equal_diffusers(self, changes: dict[str, Any], pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
        x, noise = pictures
        theirs: Any = DDPMScheduler.from_config({k: v for k, v in config(**changes).items() if k != "_use_default_values"})
        ours = Noising(config(**changes))
        assert torch.allclose(ours.add(x, noise, T), theirs.add_noise(x, noise, T), atol=1e-6)
        wanted = theirs.get_velocity(x, noise, T) if changes.get("prediction_type") else noise
        assert torch.allclose(ours.target(x, noise, T), wanted, atol=1e-6)

    @pytest.mark.parametrize("changes", [{}, V_ZERO])
    def test_snr_is_that_of_the_schedule_in_use(self, changes: dict[str, Any]) -> None:
        # Rescaled betas come first: the SNR of the schedule before them weighs the noisy half wrongly.
        theirs: Any = DDIMScheduler.from_config({k: v for k, v in config(**changes).items() if k != "_use_default_values"})
        snr = compute_snr(theirs, T)
        assert torch.allclose(Noising(config(**changes)).snr(T), snr, rtol=1e-5, atol=1e-6)
        assert bool(changes) == (not torch.allclose(Noising(config()).snr(T), snr, rtol=1e-2))

    def test_the_prediction_of_a_v_base_gives_back_the_picture(self, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
        x, noise = pictures
        noising = Noising(config(prediction_type="v_prediction"))
        a = noising.alphas_cumprod[T].view(-1, 1, 1, 1)
        assert torch.allclose(a.sqrt() * noising.add(x, noise, T) - (1 - a).sqrt() * noising.target(x, noise, T), x, atol=1e-5)


class TestWeights:
    def test_min_snr_never_exceeds_one_and_falls_for_clean_steps(self) -> None:
        noising = Noising(config())
        weight = noising.min_snr_weight(torch.arange(1000), 5.0)
        assert float(weight.max()) <= 1 and float(weight[0]) < 0.01 and float(weight[-1]) == 1
        assert torch.equal(noising.min_snr_weight(torch.arange(3), 0.0), torch.ones(3))

    @pytest.mark.parametrize(("changes", "more"), [({}, 0), (V_ZERO, 1)])
    def test_both_forms(self, changes: dict[str, Any], more: int) -> None:
        noising = Noising(config(**changes))
        snr = noising.alphas_cumprod[T] / (1 - noising.alphas_cumprod[T])
        assert torch.allclose(noising.min_snr_weight(T, 5.0), torch.minimum(snr, torch.tensor(5.0)) / (snr + more), rtol=1e-6)

    def test_both_forms_weigh_the_same_error_of_the_picture_the_same(self, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
        # A guess of the picture that is off by d is off by sqrt(snr) d in eps, and by sqrt(snr + 1) d in v.
        eps, v = Noising(config()), Noising(config(prediction_type="v_prediction"))
        snr = eps.snr(T)
        assert torch.allclose(eps.min_snr_weight(T, 5.0) * snr, v.min_snr_weight(T, 5.0) * (snr + 1), rtol=1e-4)

    def test_every_weight_of_a_zero_snr_schedule_is_a_number_and_the_last_is_nought(self) -> None:
        weight = Noising(config(**V_ZERO)).min_snr_weight(torch.arange(1000), 5.0)
        assert torch.isfinite(weight).all() and float(weight[-1]) == 0


class TestRefused:
    def test_noise_prediction_with_zero_terminal_snr(self) -> None:
        with pytest.raises(ModelError, match=r"rescale_betas_zero_snr.*0 / 0.*v_prediction"):
            Noising(config(rescale_betas_zero_snr=True))

    def test_a_prediction_nobody_trains(self) -> None:
        with pytest.raises(ModelError, match="'sample'"):
            Noising(config(prediction_type="sample"))

    def test_a_noise_offset_with_zero_terminal_snr(self) -> None:
        with pytest.raises(RecipeError, match="noise_offset"):
            Noising(config(**V_ZERO)).offset(torch.zeros(1, 4, 2, 2), torch.ones(1, 4), 0.1)


class TestErrors:
    def test_a_perfect_prediction_costs_nothing(self) -> None:
        noise = torch.randn(2, 4, 8, 8)
        assert float(noise_loss(noise, noise, torch.ones(2))) == pytest.approx(0)
        assert torch.equal(errors(noise, noise, 0.1), torch.zeros(2))

    def test_the_loss_is_the_plain_formula_to_the_bit(self, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
        said, noise = pictures
        alphas = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float32) ** 2).cumprod(0)
        weight = (alphas[T] / (1 - alphas[T])).clamp(max=5) / (alphas[T] / (1 - alphas[T]))
        plain = (((said - noise) ** 2).mean((1, 2, 3)) * weight).mean()
        assert torch.equal(noise_loss(said, noise, Noising(config()).min_snr_weight(T, 5.0)), plain)

    def test_samples_are_told_apart_and_a_batch_is_their_mean(self, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
        said, noise = pictures
        each = errors(said, noise)
        assert torch.allclose(torch.cat([errors(said[i : i + 1], noise[i : i + 1]) for i in range(4)]), each)
        assert float(each.mean()) == pytest.approx(float(torch.nn.functional.mse_loss(said, noise)), rel=1e-6)

    def test_bf16_is_squared_in_fp32(self) -> None:
        said = torch.full((1, 1, 1, 3), 1.0078125, dtype=torch.bfloat16)
        assert errors(said, torch.zeros(1, 1, 1, 3)).dtype == torch.float32
        assert float(errors(said, torch.zeros(1, 1, 1, 3))) == pytest.approx(1.0078125**2, rel=1e-7)

    def test_huber_is_the_square_below_and_a_line_of_the_same_slope_above(self) -> None:
        error = torch.tensor([0.05, 0.1, 0.3, 2.0]).view(4, 1, 1, 1).requires_grad_()
        made = errors(error, torch.zeros(4, 1, 1, 1), 0.1)
        assert torch.allclose(made, torch.tensor([0.0025, 0.01, 0.05, 0.39]))
        [slope] = torch.autograd.grad(made.sum(), error)
        assert torch.allclose(slope.flatten(), torch.tensor([0.1, 0.2, 0.2, 0.2]))

    def test_huber_works_on_each_element(self) -> None:
        # One outlier among a hundred elements counts as a line though the sample's mean error is small.
        said = torch.zeros(1, 1, 10, 10)
        said[0, 0, 0, 0] = 5.0
        assert float(errors(said, torch.zeros_like(said), 0.1)) == pytest.approx((2 * 0.1 * 5 - 0.01) / 100, rel=1e-5)


def test_an_offset_shifts_whole_channels_and_nought_changes_no_bit() -> None:
    noising, noise, shift = Noising(config()), torch.randn(2, 4, 8, 8), torch.randn(2, 4)
    assert torch.allclose((noising.offset(noise, shift, 0.1) - noise).amax((2, 3)), 0.1 * shift, atol=1e-6)
    assert noising.offset(noise, shift, 0.0) is noise


def test_settings_written_over_a_configuration_from_memory_count() -> None:
    # It lists prediction_type among the settings left at their default, and from_config drops whatever is listed.
    assert "prediction_type" in scheduler().config["_use_default_values"]
    assert Noising(config(**V_ZERO)).prediction == "v_prediction" and Noising(config(**V_ZERO)).zero_terminal
