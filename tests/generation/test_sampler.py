"""The sampler against diffusers' own, and against what goes wrong without a word."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from kimchi.errors import ModelError
from kimchi.generation.sampler import decode, initial_noise, sample

SHAPE = (4, 8, 8)


def draw(tiny: Any, seeds: list[int], **changes: Any) -> torch.Tensor:
    asked: dict[str, Any] = {"steps": 4, "guidance": 5.0, "latent_shape": SHAPE} | changes
    return sample(tiny.unet, tiny.scheduler_config, tiny.text.encode(["라면"] * len(seeds)), tiny.text.empty(), seeds=seeds, **asked)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_equals_diffusers_where_its_strides_are_whole(tiny: Any, prediction: str) -> None:
    config = {**tiny.scheduler_config, "prediction_type": prediction}
    text, empty = tiny.text.encode(["라면"]), tiny.text.empty()
    ours = sample(tiny.unet, config, text, empty, seeds=[7], steps=5, guidance=3.0, latent_shape=SHAPE)
    scheduler = DDIMScheduler.from_config({**config, "timestep_spacing": "trailing", "clip_sample": False})
    scheduler.set_timesteps(5)
    latents = initial_noise([7], SHAPE)
    with torch.inference_mode():
        for time in scheduler.timesteps:
            alone, told = tiny.unet(torch.cat([latents] * 2), time, encoder_hidden_states=torch.cat([empty, text])).sample.chunk(2)
            latents = scheduler.step(alone + 3.0 * (told - alone), time, latents).prev_sample
    torch.testing.assert_close(ours, latents, rtol=1e-4, atol=1e-5)


class _TrueNoise(torch.nn.Module):
    """A UNet that knows the clean latents are zero: any right schedule then ends at zero, whatever its steps."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.alphas = DDIMScheduler.from_config(config).alphas_cumprod

    def forward(self, latents: torch.Tensor, time: int, encoder_hidden_states: torch.Tensor) -> Any:
        return type("Output", (), {"sample": latents / (1 - self.alphas[time]) ** 0.5})


@pytest.mark.parametrize("steps", [1, 2, 30, 300, 600, 1000])
def test_every_number_of_steps_reaches_the_clean_picture(tiny: Any, steps: int) -> None:
    config = {**tiny.scheduler_config, "set_alpha_to_one": True}
    states = torch.zeros(1, 77, 32)
    latents = sample(_TrueNoise(config), config, states, states, seeds=[1], steps=steps, guidance=1.0, latent_shape=SHAPE)
    assert latents.abs().max() < 1e-3


def test_a_picture_does_not_depend_on_its_neighbours(tiny: Any) -> None:
    ours = draw(tiny, [5, 6, 7])[1]
    assert torch.equal(draw(tiny, [1, 6, 2])[1], ours)
    torch.testing.assert_close(draw(tiny, [6])[0], ours, rtol=1e-4, atol=1e-4)


def test_chunks_change_nothing_but_rounding_and_steps_are_counted_over_all(tiny: Any) -> None:
    heard: list[tuple[int, int, int]] = []
    chunked = draw(tiny, [1, 2, 3], chunk=2, on_step=lambda done, total, latents: heard.append((done, total, len(latents))))
    torch.testing.assert_close(chunked, draw(tiny, [1, 2, 3]), rtol=1e-4, atol=1e-4)
    assert heard == [(i, 8, 2 if i <= 4 else 1) for i in range(1, 9)]


def test_on_step_can_stop_the_drawing(tiny: Any) -> None:
    def stop(done: int, total: int, latents: torch.Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(tiny, [1], on_step=stop)


def test_guidance_moves_the_picture(tiny: Any) -> None:
    assert not torch.allclose(draw(tiny, [1], guidance=1.0), draw(tiny, [1], guidance=9.0))


def test_decode_states_both_ends(tiny: Any) -> None:
    (picture,) = decode(tiny.vae, torch.zeros(1, 4, 32, 16))
    assert (picture.mode, picture.size) == ("RGB", (32, 64))


def test_damaged_weights_are_no_black_picture(tiny: Any) -> None:
    with pytest.raises(ModelError, match="NaN"):
        decode(tiny.vae, torch.full((1, 4, 8, 8), float("nan")))
