"""The cache cannot lie: what it gives is what the VAE and the encoder would give now, whatever happened to files, weights and words meanwhile."""

import copy
import logging
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image

from kimchi.errors import DataError, OutputError, RecipeError, TrainingError
from kimchi.models.networks import encoded
from kimchi.models.text_encoders.clip import TextEncoder
from kimchi.recipes import Aspect
from kimchi.training.buckets import fits_of
from kimchi.training.cache import (
    LiveStates,
    TextStates,
    build_latents,
    build_states,
    cache_folder,
    encode_pictures,
    open_latents,
    open_states,
    shards,
)  # fmt: skip
from kimchi.training.losses import Noising, noise_loss
from kimchi.training.mini import vae as mini_vae
from kimchi.training.photos import Photo, Stored, in_memory

CAPTIONS = ["라면", "나무 식탁 위 라면", "ramyeon on a wooden table", "김치"]


@pytest.fixture
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return mini_vae.build({"widths": (8, 16, 16)}).eval()


@pytest.fixture
def encoder(encoder_folder: Path) -> TextEncoder:
    return TextEncoder.load(encoder_folder)


def _pixels(size: tuple[int, int] = (32, 32), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)


def _files(folder: Path, count: int = 5, size: tuple[int, int] = (32, 32)) -> list[Photo]:
    for i in range(count):
        Image.fromarray(_pixels(size, i)).save(folder / f"{i}.png")
    return [Stored(str(folder / f"{i}.png")) for i in range(count)]


@torch.no_grad()
def _live(vae: AutoencoderKL, image: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """What a trainer without a cache would compute of an upright RGB picture."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    posterior = encoded(vae, pixels)
    scale = vae.config["scaling_factor"]
    return posterior.mean * scale, posterior.std * scale


def _never(module: torch.nn.Module) -> None:
    module.register_forward_pre_hook(lambda *_: pytest.fail("computed again"))


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_cached_latents_are_those_of_the_live_vae(vae: AutoencoderKL, tmp_path: Path) -> None:
    latents = encode_pictures(vae, _files(tmp_path), folder=tmp_path / "cache", batch=2)
    mean, std = latents.posterior([3, 0, 3])
    assert mean.dtype == std.dtype == torch.float32 and mean.device.type == "cpu" and latents.shape(3) == mean.shape[1:]
    for i, row in enumerate((3, 0, 3)):
        live_mean, live_std = _live(vae, Image.open(tmp_path / f"{row}.png"))
        assert torch.allclose(mean[i], live_mean[0], rtol=2e-3, atol=1e-4) and torch.allclose(std[i], live_std[0], rtol=2e-3)


def test_cached_and_live_losses_agree_to_rounding(vae: AutoencoderKL, encoder: TextEncoder, base_folder: Path, tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(base_folder / "unet", dtype=torch.float32)
    noising = Noising(dict(DDIMScheduler.from_pretrained(base_folder / "scheduler").config))
    photos = _files(tmp_path, 4)
    build_states(encoder, CAPTIONS, tmp_path / "cache")
    states = open_states(encoder, CAPTIONS, tmp_path / "cache").of(CAPTIONS)
    cached = encode_pictures(vae, photos, folder=tmp_path / "cache").posterior(range(4))
    live = tuple(torch.cat(column) for column in zip(*(_live(vae, photo.open()) for photo in photos), strict=True))
    noise, other = torch.randn(2, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([10, 300, 600, 990])
    losses: list[float] = []
    for (mean, std), words in ((cached, states), (live, encoder.encode(CAPTIONS))):
        with torch.no_grad():
            predicted = unet(noising.add(mean + std * other, noise, t), t, words).sample
        losses.append(float(noise_loss(predicted, noise, noising.min_snr_weight(t, 5.0))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_each_draw_is_a_new_sample_of_the_posterior(vae: AutoencoderKL, tmp_path: Path) -> None:
    latents, source = encode_pictures(vae, _files(tmp_path, 1), folder=tmp_path / "cache"), torch.Generator().manual_seed(0)
    drawn = torch.cat([latents.sample([0] * 50, source) for _ in range(20)])
    mean, std = latents.posterior([0])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.allclose(drawn.mean(0), mean[0], atol=0.2 * float(std.max())) and torch.allclose(drawn.std(0), std[0], rtol=0.2)


def test_a_second_run_computes_nothing(vae: AutoencoderKL, encoder: TextEncoder, tmp_path: Path) -> None:
    photos, folder = _files(tmp_path), tmp_path / "cache"
    assert build_latents(vae, photos, None, folder) == 5 and build_states(encoder, CAPTIONS, folder) == 5
    first = open_latents(vae, photos, None, folder).posterior([0, 1])[0]
    _never(vae.encoder)
    assert build_latents(vae, photos[::-1], None, folder) == 0 and build_states(encoder, [*CAPTIONS, "떡"], folder) == 1
    assert torch.equal(open_latents(vae, photos[::-1], None, folder).posterior([4, 3])[0], first)


def test_what_was_there_before_changes_no_bit(vae: AutoencoderKL, encoder: TextEncoder, tmp_path: Path) -> None:
    photos, one, two = _files(tmp_path), tmp_path / "one", tmp_path / "two"
    build_latents(vae, photos[1:3], None, two)
    build_states(encoder, CAPTIONS[1:3], two)
    for folder in (one, two):
        build_latents(vae, photos, None, folder)
        build_states(encoder, CAPTIONS, folder)
    for i in range(len(photos)):
        first, second = (open_latents(vae, photos, None, folder).posterior([i], [0]) for folder in (one, two))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(open_states(encoder, CAPTIONS, one).of(CAPTIONS), open_states(encoder, CAPTIONS, two).of(CAPTIONS))


def test_a_picture_that_stands_twice_is_encoded_once(vae: AutoencoderKL, tmp_path: Path) -> None:
    photos = _files(tmp_path, 1)
    shutil.copy(tmp_path / "0.png", tmp_path / "again.png")
    assert build_latents(vae, [*photos, Stored(str(tmp_path / "again.png")), *photos], None, tmp_path / "cache") == 1


def test_a_changed_picture_of_the_same_name_is_encoded_anew(vae: AutoencoderKL, tmp_path: Path) -> None:
    old = encode_pictures(vae, _files(tmp_path, 1), folder=tmp_path / "cache").posterior([0])[0]
    Image.fromarray(_pixels(seed=9)).save(tmp_path / "0.png")
    photos: list[Photo] = [Stored(str(tmp_path / "0.png"))]
    assert build_latents(vae, photos, None, tmp_path / "cache") == 1
    assert not torch.equal(open_latents(vae, photos, None, tmp_path / "cache").posterior([0])[0], old)


def test_another_vae_or_type_never_takes_these_latents_and_another_decoder_does(vae: AutoencoderKL, tmp_path: Path) -> None:
    photos, folder = _files(tmp_path, 2), tmp_path / "cache"
    assert build_latents(vae, photos, None, folder) == 2
    assert build_latents(vae, photos, None, folder, dtype=torch.bfloat16) == 2
    with torch.no_grad():
        next(vae.decoder.parameters()).add_(1)
        assert build_latents(vae, photos, None, folder) == 0
        next(vae.encoder.parameters())[0, 0, 0, 0].add_(1e-3)
    with pytest.raises(TrainingError, match="2 of 2 latents"):
        open_latents(vae, photos, None, folder)
    assert build_latents(vae, photos, None, folder) == 2


def test_fp16_is_refused(vae: AutoencoderKL, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="fp32 or bf16"):
        encode_pictures(vae, _files(tmp_path, 1), dtype=torch.float16)
    with pytest.raises(RecipeError, match="fp32 or bf16"):
        encode_pictures(vae.half(), _files(tmp_path, 1))


def _turned(upright: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def _palette(upright: Image.Image, path: Path) -> None:
    upright.quantize(256).save(path)


def _alpha(upright: Image.Image, path: Path) -> None:
    # White where it is transparent, though the colour below is black.
    rgba = np.dstack([np.asarray(upright), np.full((24, 40), 255, np.uint8)])
    rgba[:, 20:] = 0
    Image.fromarray(rgba).save(path)


@pytest.mark.parametrize("save", [_turned, _palette, _alpha])
def test_odd_pictures_are_encoded_as_people_see_them(vae: AutoencoderKL, tmp_path: Path, save: Callable[[Image.Image, Path], None]) -> None:
    colours = np.repeat(np.repeat(_pixels((10, 6)), 4, 0), 4, 1)
    if save is _alpha:
        colours[:, 20:] = 255
    save(Image.fromarray(colours), tmp_path / "odd.png")
    photo = Stored(str(tmp_path / "odd.png"))
    assert photo.size == (40, 24) and photo.open().mode == "RGB"
    mean, _ = encode_pictures(vae, [photo], folder=tmp_path / "cache").posterior([0])
    assert torch.allclose(mean, _live(vae, Image.fromarray(colours))[0], rtol=2e-3, atol=1e-4)


def test_cmyk_is_encoded_as_rgb(vae: AutoencoderKL, tmp_path: Path) -> None:
    plain = Image.new("RGB", (32, 32), (200, 40, 40))
    plain.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    mean, _ = encode_pictures(vae, [Stored(str(tmp_path / "print.jpg"))], folder=tmp_path / "cache").posterior([0])
    assert torch.allclose(mean, _live(vae, plain)[0], atol=0.02)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_pictures_that_encode_to_nan_or_infinity_are_named_and_the_others_kept(vae: AutoencoderKL, tmp_path: Path, value: float) -> None:
    photos = _files(tmp_path, 5)
    for i in (1, 3):
        Image.new("RGB", (32, 32), (255, 255, 254 + i // 3)).save(tmp_path / f"{i}.png")

    def give(_: torch.nn.Module, given: Sequence[torch.Tensor], made: torch.Tensor) -> torch.Tensor:
        white = given[0].flatten(1).amin(1) > 0.98
        return torch.where(white[:, None, None, None], torch.full_like(made, value), made)

    hook = vae.encoder.register_forward_hook(give)
    with pytest.raises(TrainingError, match=r"1\.png, .*3\.png: the VAE encodes .* to NaN"):
        build_latents(vae, photos, None, tmp_path / "cache", batch=2)
    hook.remove()
    assert build_latents(vae, photos, None, tmp_path / "cache") == 2


def test_a_damaged_picture_is_named(vae: AutoencoderKL, tmp_path: Path) -> None:
    photos = _files(tmp_path, 2)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:300])
    with pytest.raises(DataError, match=r"1\.png: cannot be decoded"):
        build_latents(vae, photos, None, tmp_path / "cache")


def _flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[: len(c) // 2], lambda c: c[:-1], lambda c: b"", lambda c: b"x" * len(c), lambda c: _flip(c, len(c) - 1), lambda c: _flip(c, len(c) // 2)],
)
def test_a_damaged_shard_is_told_and_only_its_entries_are_built_again(
    vae: AutoencoderKL, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    photos, folder = _files(tmp_path), tmp_path / "cache"
    build_latents(vae, photos[:2], None, folder)
    [sound] = _shards(folder)
    build_latents(vae, photos, None, folder)
    [hurt] = set(_shards(folder)) - {sound}
    before = open_latents(vae, photos, None, folder).posterior(range(5))
    hurt.write_bytes(damage(hurt.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert build_latents(vae, photos, None, folder) == 3
    assert hurt.name in caplog.text and "damaged" in caplog.text and sound.name not in caplog.text
    after = open_latents(vae, photos, None, folder).posterior(range(5))
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(before, after, strict=True))


def test_a_killed_build_goes_on_where_it_was(vae: AutoencoderKL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LIMIT_BYTES", 1)
    photos, folder = _files(tmp_path, 6), tmp_path / "cache"
    calls: list[int] = []

    def kill(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 5:
            # As after a kill: nothing more is written, and half a file lies about.
            monkeypatch.setattr(shards.Writer, "flush", lambda self: None)
            raise KeyboardInterrupt

    hook = vae.encoder.register_forward_pre_hook(kill)
    with monkeypatch.context(), pytest.raises(KeyboardInterrupt):
        build_latents(vae, photos, None, folder, batch=1, threads=1)
    monkeypatch.undo()
    hook.remove()
    (folder / "latents" / ".abc.safetensors.x.part").write_bytes(b"half")
    left = build_latents(vae, photos, None, folder)
    assert 0 < left < 6 and len(open_latents(vae, photos, None, folder)) == 6


def test_two_that_build_at_once_do_no_harm(vae: AutoencoderKL, tmp_path: Path) -> None:
    photos, folder = _files(tmp_path, 8), tmp_path / "cache"
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda part: build_latents(vae, part, None, folder, batch=2), (photos, photos[::-1])))
    assert sum(made) >= 8
    latents = open_latents(vae, photos, None, folder)
    assert torch.allclose(latents.posterior([5])[0], _live(vae, photos[5].open())[0], rtol=2e-3, atol=1e-4)


def test_a_full_disk_is_told_before_the_work(vae: AutoencoderKL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))  # pyright: ignore
    _never(vae.encoder)
    with pytest.raises(OutputError, match=r"machine\.cache"):
        build_latents(vae, _files(tmp_path, 1), None, tmp_path / "cache")


def test_crops_and_buckets_are_all_there(vae: AutoencoderKL, tmp_path: Path) -> None:
    photos = [*_files(tmp_path, 2, (96, 40)), in_memory(torch.from_numpy(_pixels((64, 64), 7)).permute(2, 0, 1)[None], ["square"])[0]]
    fits = fits_of(photos, Aspect(fit="buckets", step_px=16, largest=2, crops=3), 64)
    latents = encode_pictures(vae, photos, fits, folder=tmp_path / "cache", batch=4)
    assert latents.shape(0) == latents.shape(1, 2) == (4, fits[0][0].height_px // 4, fits[0][0].width_px // 4) != latents.shape(2)
    mean, _ = latents.posterior([0, 0, 0, 1], [0, 1, 2, 2])
    assert not torch.equal(mean[0], mean[1]) and not torch.equal(mean[1], mean[2])
    for at, (row, crop) in enumerate(((0, 0), (0, 1), (0, 2), (1, 2))):
        live, _ = _live(vae, fits[row][crop].apply(photos[row].open()))
        assert torch.allclose(mean[at], live[0], rtol=2e-3, atol=1e-4)


def test_bf16_is_near_fp32(vae: AutoencoderKL, tmp_path: Path) -> None:
    photos = _files(tmp_path, 1)
    whole, half = (encode_pictures(vae, photos, dtype=dtype).posterior([0])[0] for dtype in (torch.float32, torch.bfloat16))
    assert not torch.equal(whole, half) and torch.allclose(whole, half, atol=0.05 * float(whole.abs().max()))


# Captions


def test_cached_states_are_the_encoders_and_dropped_captions_are_its_empty_prompt(encoder: TextEncoder, tmp_path: Path) -> None:
    build_states(encoder, CAPTIONS, tmp_path)
    states = open_states(encoder, CAPTIONS, tmp_path).of(["", *CAPTIONS])
    assert states.dtype == torch.float32
    assert torch.allclose(states[:1], encoder.empty(), atol=5e-3) and torch.allclose(states[1:], encoder.encode(CAPTIONS), atol=5e-3)
    assert torch.equal(states, TextStates(encoder, CAPTIONS).of(["", *CAPTIONS])) and torch.allclose(states, LiveStates(encoder).of(["", *CAPTIONS]), atol=5e-3)


def test_loose_jamo_and_whole_syllables_are_one_caption(encoder: TextEncoder, tmp_path: Path) -> None:
    loose = unicodedata.normalize("NFD", "라면")
    assert build_states(encoder, ["라면", loose], tmp_path) == 2  # and the empty prompt
    for states in (open_states(encoder, [loose], tmp_path), TextStates(encoder, [loose]), LiveStates(encoder)):
        assert torch.equal(*states.of([loose, "라면"]))


def test_another_encoder_or_tokenizer_never_takes_these_states(encoder: TextEncoder, make_text_folder: Callable[..., None], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert build_states(encoder, CAPTIONS, folder) == 5
    # Weights, vocabulary, width and length are the same, and short captions are padded with another token.
    other = copy.deepcopy(encoder.tokenizer)
    other.add_special_tokens({"pad_token": other.bos_token})
    assert build_states(TextEncoder(encoder.model, other, "other padding"), CAPTIONS, folder) == 5
    with torch.no_grad():
        next(encoder.model.parameters())[0, 0].add_(1e-3)
    with pytest.raises(TrainingError, match="no states of"):
        open_states(encoder, CAPTIONS, folder)
    assert build_states(encoder, CAPTIONS, folder) == 5


def test_using_a_tokenizer_does_not_change_its_name(encoder: TextEncoder, encoder_folder: Path, tmp_path: Path) -> None:
    build_states(encoder, CAPTIONS, tmp_path)
    encoder.encode(["가나다"])
    encoder.token_count("가나다")
    assert build_states(encoder, CAPTIONS, tmp_path) == build_states(TextEncoder.load(encoder_folder), CAPTIONS, tmp_path) == 0


def test_an_unknown_caption_is_an_error_and_not_another_caption(encoder: TextEncoder) -> None:
    with pytest.raises(TrainingError, match="떡볶이"):
        TextStates(encoder, CAPTIONS).of(["떡볶이"])


def test_an_encoder_that_gives_nan_is_refused(encoder: TextEncoder, tmp_path: Path) -> None:
    with torch.no_grad():
        encoder.model.get_input_embeddings().weight.fill_(float("nan"))
    for states in (lambda: build_states(encoder, CAPTIONS, tmp_path), lambda: LiveStates(encoder).of(CAPTIONS), lambda: TextStates(encoder, CAPTIONS)):
        with pytest.raises(TrainingError, match="NaN"):
            states()


def test_live_states_remember_so_many_and_no_more(encoder: TextEncoder) -> None:
    live, asked = LiveStates(encoder, remember=2), []
    encoder.model.register_forward_pre_hook(lambda _, given, named: asked.append(len(named["input_ids"])), with_kwargs=True)
    first = live.of(["라면", "김치", "떡", "라면"])
    assert asked == [1, 1, 1] and torch.equal(first[0], first[3])
    assert torch.equal(live.of(["라면"])[0], first[0]) and asked == [1, 1, 1]
    assert torch.equal(live.of(["김치"])[0], first[1]) and asked == [1, 1, 1, 1]


def test_the_cache_lies_where_kimchi_home_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIMCHI_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cache" and cache_folder(str(tmp_path / "own")) == tmp_path / "own"
    monkeypatch.delenv("KIMCHI_HOME")
    assert "kimchi" in cache_folder().parts
