"""What samples are asked: losses against what they must equal, their gradients by finite differences, and a base that stays out of them."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from kimchi.data.cultures import load_culture
from kimchi.models import lora
from kimchi.recipes.lora import Lora, Loss
from kimchi.training.align.unet_loss import unet_loss
from kimchi.training.losses import Noising, errors
from kimchi.training.mini.unet import scheduler
from kimchi.training.objectives.ask import Group, Objectives
from kimchi.training.objectives.look_alikes import LookAlikes
from kimchi.training.objectives.prior import draw_latents, prior_seed

CONFIG = dict(scheduler().config)
WIDTH = 16


def make(stirred: float = 0.0, targets: Any = "all", dtype: torch.dtype = torch.float32) -> tuple[UNet2DConditionModel, dict[str, torch.nn.Parameter]]:
    """A small UNet and its adapter, as if trained for a while where stirred."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(8, 16), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=WIDTH, attention_head_dim=2, norm_num_groups=4,
    )  # fmt: skip
    parameters = lora.add(unet, Lora(rank=2, alpha=2, targets=targets))
    for p in parameters.values():
        p.data += stirred * torch.randn(p.shape)
    unet.to(dtype)
    return unet, {name: p for name, p in unet.named_parameters() if p.requires_grad}


def group(count: int = 3, dtype: torch.dtype = torch.float32, **changes: Any) -> Group:
    source = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source).to(dtype)

    values: dict[str, Any] = {
        "clean_BCHW": draw(3, 4, 8, 8)[:count], "noise_BCHW": draw(3, 4, 8, 8)[:count], "t_B": torch.tensor([30, 400, 900])[:count],
        "text_BLD": draw(3, 6, WIDTH)[:count], "teacher_BLD": draw(3, 6, WIDTH)[:count],
    }  # fmt: skip
    return Group(**values | changes)


def asks(unet: UNet2DConditionModel, **changes: Any) -> Objectives:
    return Objectives(unet=unet, noising=Noising(CONFIG), **changes)


CONTRAST = Loss(contrast=0.5, contrast_margin=0.05)
OTHERS: dict[str, Any] = {"other_R": torch.tensor([0, 2]), "other_RLD": torch.randn(2, 6, WIDTH, generator=torch.Generator().manual_seed(8))}
KINDS: dict[str, tuple[Loss, dict[str, Any]]] = {
    "pictures": (Loss(), {}), "huber": (Loss(huber=0.3), {}), "prior": (CONTRAST, {"learn": "prior"}), "base": (Loss(features=0.1), {"learn": "base"}),
    "contrast": (CONTRAST, OTHERS),
}  # fmt: skip


class TestEveryObjective:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_sample_is_asked_as_if_it_were_alone(self, kind: str) -> None:
        # A batch is cut in micro-batches, and over machines: no sample's loss may hang on its neighbours.
        loss, changes = KINDS[kind]
        unet, _ = make(0.05)
        whole = group(**changes)
        together = asks(unet, loss=loss)(whole)
        assert together.shape == (3,) and together.dtype == torch.float32
        for i in range(3):
            own = [k for k, row in enumerate(OTHERS["other_R"]) if row == i] if "other_R" in changes else []
            alone = Group(
                learn=whole.learn, clean_BCHW=whole.clean_BCHW[[i]], noise_BCHW=whole.noise_BCHW[[i]], t_B=whole.t_B[[i]], text_BLD=whole.text_BLD[[i]],
                teacher_BLD=whole.teacher_BLD[[i]], other_R=torch.zeros(1, dtype=torch.long) if own else None,
                other_RLD=OTHERS["other_RLD"][own] if own else None,
            )  # fmt: skip
            assert torch.allclose(asks(unet, loss=loss)(alone)[0], together[i], rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_gradient_is_that_of_finite_differences(self, kind: str) -> None:
        loss, changes = KINDS[kind]
        unet, parameters = make(0.05, dtype=torch.float64)
        shown = group(dtype=torch.float64, **{k: v.double() if k == "other_RLD" else v for k, v in changes.items()})
        ask = asks(unet, loss=loss)
        ask.noising.alphas_cumprod = ask.noising.alphas_cumprod.double()
        ask(shown).sum().backward()
        direction = {name: torch.randn(p.shape, generator=torch.Generator().manual_seed(i), dtype=p.dtype) for i, (name, p) in enumerate(parameters.items())}
        wanted = sum(float((p.grad * direction[name]).sum()) for name, p in parameters.items())

        def at(step: float) -> float:
            with torch.no_grad():
                for name, p in parameters.items():
                    p += step * direction[name]
                value = float(ask(shown).sum())
                for name, p in parameters.items():
                    p -= step * direction[name]
            return value

        assert (at(1e-6) - at(-1e-6)) / 2e-6 == pytest.approx(wanted, rel=1e-5)

    @pytest.mark.parametrize("kind", ["pictures", "base", "contrast"])
    def test_computing_activations_twice_changes_no_gradient(self, kind: str) -> None:
        loss, changes = KINDS[kind]
        unet, parameters = make(0.05)
        unet.train()
        gradients: list[list[torch.Tensor]] = []
        for twice in (False, True):
            if twice:
                unet.enable_gradient_checkpointing()
            asks(unet, loss=loss)(group(**changes)).mean().backward()
            gradients.append([p.grad.clone() for p in parameters.values()])
            unet.zero_grad()
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))

    @pytest.mark.parametrize("kind", ["pictures", "base", "contrast"])
    def test_bf16_is_near_fp32_and_every_weight_learns(self, kind: str) -> None:
        loss, changes = KINDS[kind]
        unet, parameters = make(0.05)
        exact = asks(unet, loss=loss)(group(**changes)).detach()
        rough = asks(unet, loss=loss, bf16=True)(group(**changes))
        assert rough.dtype == torch.float32 and torch.allclose(rough, exact, rtol=0.1, atol=5e-3)
        rough.mean().backward()
        assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in parameters.values())

    def test_what_is_wrapped_around_the_unet_is_called_once_a_group(self) -> None:
        unet, _ = make()
        calls: list[int] = []

        def wrapper(*given: Any) -> Any:
            calls.append(len(given[0]))
            return unet(*given)

        for loss, changes in KINDS.values():
            asks(unet, loss=loss, forward=wrapper)(group(**changes))
        assert calls == [3, 3, 3, 3, 5]


class TestBase:
    def test_a_fresh_adapter_that_hears_what_the_base_hears_pays_nothing(self) -> None:
        unet, _ = make()
        same = group(learn="base")
        assert torch.equal(asks(unet)(group(learn="base", text_BLD=same.teacher_BLD)), torch.zeros(3))

    def test_a_sample_pays_what_alignment_would_charge_it(self) -> None:
        unet, _ = make()
        shown = group(1, learn="base")
        noisy = Noising(CONFIG).add(shown.clean_BCHW, shown.noise_BCHW, shown.t_B)
        assert shown.teacher_BLD is not None
        wanted = unet_loss(unet, noisy, shown.t_B, shown.text_BLD, shown.teacher_BLD, 0.3)
        assert float(asks(unet, loss=Loss(features=0.3))(shown).detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)

    def test_the_base_side_has_no_gradient_and_the_students_words_have_one(self) -> None:
        unet, parameters = make(0.05)
        taught, heard = torch.randn(3, 6, WIDTH, requires_grad=True), torch.randn(3, 6, WIDTH, requires_grad=True)
        asks(unet)(group(learn="base", teacher_BLD=taught, text_BLD=heard)).mean().backward()
        assert taught.grad is None and heard.grad is not None and float(heard.grad.abs().max()) > 0
        assert all(p.grad is not None for p in parameters.values())
        assert all(p.grad is None for name, p in unet.named_parameters() if name not in parameters)

    def test_a_bent_adapter_is_led_back_to_the_base(self) -> None:
        unet, parameters = make(0.1)
        shown = group(learn="base")
        same = group(learn="base", text_BLD=shown.teacher_BLD)
        optimiser = torch.optim.Adam(parameters.values(), lr=0.02)
        ask, losses = asks(unet), []
        for _ in range(25):
            loss = ask(same).mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.2 * losses[0]

    def test_the_adapter_is_on_again_after_an_error_and_is_trained_on(self) -> None:
        unet, parameters = make(0.05)
        before = asks(unet)(group()).detach()
        with pytest.raises(RuntimeError):
            asks(unet)(group(learn="base", teacher_BLD=torch.randn(3, 6, WIDTH + 1)))
        assert torch.equal(asks(unet)(group()).detach(), before)
        assert [n for n, p in unet.named_parameters() if p.requires_grad] == list(parameters)

    def test_features_weigh_as_the_recipe_says(self) -> None:
        unet, _ = make(0.05)
        none, one, two = (asks(unet, loss=Loss(features=f))(group(learn="base")).detach() for f in (0.0, 1.0, 2.0))
        assert torch.allclose(two - none, 2 * (one - none), rtol=1e-4) and bool((one > none).all())


class TestContrast:
    def test_without_a_weight_or_a_look_alike_it_is_the_diffusion_loss_to_the_bit(self) -> None:
        unet, _ = make(0.05)
        plain = asks(unet)(group())
        assert torch.equal(asks(unet, loss=CONTRAST)(group()), plain)
        assert torch.equal(asks(unet)(group(**OTHERS)), plain)

    def test_it_costs_the_margin_where_both_names_sound_the_same_and_only_there(self) -> None:
        unet, _ = make(0.05)
        shown = group()
        more = asks(unet, loss=CONTRAST)(group(other_R=torch.tensor([2]), other_RLD=shown.text_BLD[[2]])) - asks(unet)(shown)
        assert torch.allclose(more, torch.tensor([0, 0, 0.5 * 0.05]), atol=1e-6)

    def test_it_is_nought_once_the_own_name_fits_better_by_the_margin(self) -> None:
        unet, _ = make(0.05)
        shown = group(1)
        noisy = Noising(CONFIG).add(shown.clean_BCHW, shown.noise_BCHW, shown.t_B)
        texts = [shown.text_BLD, OTHERS["other_RLD"][:1]]
        with torch.no_grad():
            found = [float(errors(unet(noisy, shown.t_B, text).sample, shown.noise_BCHW)) for text in texts]
        own, other = texts if found[0] < found[1] else texts[::-1]
        better_by = abs(found[0] - found[1])
        for margin, cost in ((0.9 * better_by, 0.0), (1.5 * better_by, 0.5 * better_by)):
            pair = group(1, text_BLD=own, other_R=torch.tensor([0]), other_RLD=other)
            more = asks(unet, loss=Loss(contrast=1.0, contrast_margin=margin))(pair) - asks(unet)(pair)
            assert float(more.detach()) == pytest.approx(cost, abs=1e-5)

    def test_its_gradient_makes_the_own_name_fit_better_than_the_other(self) -> None:
        unet, parameters = make(0.05)
        shown = group(**OTHERS)
        ask, plain = asks(unet, loss=Loss(contrast=1.0, contrast_margin=1.0)), asks(unet)
        optimiser = torch.optim.Adam(parameters.values(), lr=0.01)
        hinge: list[float] = []
        for _ in range(8):
            loss = (ask(shown) - plain(shown)).sum()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            hinge.append(float(loss.detach()))
        assert hinge[-1] < hinge[0] - 0.005


class TestPrior:
    def test_it_is_the_diffusion_loss(self) -> None:
        unet, _ = make(0.05)
        assert torch.equal(asks(unet, loss=CONTRAST)(group(learn="prior", **OTHERS)), asks(unet)(group()))

    def test_the_base_draws_them_the_same_whatever_stands_beside_them_and_whatever_is_trained(self) -> None:
        captions = ["a red car", "two cups", "a tower at night"]
        clean, _ = make(0.0)
        bent, _ = make(0.2)
        all_of_them = drawn(clean, captions)
        assert torch.allclose(drawn(bent, captions), all_of_them, atol=1e-5)
        assert torch.allclose(drawn(clean, captions[:0:-1], batch=1).flip(0), all_of_them[1:], atol=1e-4)
        assert not all_of_them.is_inference() and not torch.allclose(all_of_them[0], all_of_them[1], atol=0.1)

    def test_seeds_follow_the_run_and_the_caption(self) -> None:
        seeds = {prior_seed(run, caption) for run in (0, 1) for caption in ("a car", "a cup")}
        assert len(seeds) == 4 and all(0 <= seed < 2**32 for seed in seeds) and prior_seed(0, "a car") in seeds


class Words:
    """A text encoder for the sampler: states that follow from the caption's letters."""

    def encode(self, prompts: list[str]) -> torch.Tensor:
        return torch.stack([torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(prior_seed(0, p))) for p in prompts])

    def empty(self) -> torch.Tensor:
        return self.encode([""])


def drawn(unet: UNet2DConditionModel, captions: list[str], batch: int = 2) -> torch.Tensor:
    seeds = [prior_seed(3, caption) for caption in captions]
    return draw_latents(unet, CONFIG, Words(), captions, seeds, latent_shape=(4, 8, 8), steps=2, batch=batch)


@pytest.fixture(scope="module")
def look_alikes() -> LookAlikes:
    return LookAlikes(load_culture("ko"))


class TestLookAlikes:
    @pytest.mark.parametrize(
        ("words", "noun", "wanted"),
        [
            ("한복", "한복", "기모노"),
            ("분홍색 한복을 입고 한복이 보이는", "한복", "분홍색 기모노를 입고 기모노가 보이는"),
            ("라면은 한국의 면 요리", "라면", "라멘은 한국의 면 요리"),
            ("나무 탁자 위 배추김치와 한복", "배추김치", "나무 탁자 위 츠케모노와 한복"),
            ("막걸리로도 만든", "막걸리", "사케로도 만든"),
            ("송편으로", "송편", "모찌로"),
            ("한옥이고 나무", "한옥", "일본식 가옥이고 나무"),
        ],
    )
    def test_the_name_is_exchanged_and_its_particle_follows(self, words: str, noun: str, wanted: str, look_alikes: LookAlikes) -> None:
        assert look_alikes.swap(words, noun) == wanted

    @pytest.mark.parametrize(
        ("words", "noun"), [("", "한복"), ("a pink hanbok", "한복"), ("한복집 앞", "한복"), ("첨성대, 낮", "첨성대"), ("떡국", "떡국 또는 만두국")]
    )
    def test_there_is_none_where_the_words_do_not_say_it(self, words: str, noun: str, look_alikes: LookAlikes) -> None:
        assert look_alikes.swap(words, noun) is None

    def test_several_take_turns_and_none_is_a_manner_or_in_latin_letters(self, look_alikes: LookAlikes) -> None:
        found = [look_alikes.swap("한복", "한복", pick) for pick in range(len(look_alikes.of("한복")))]
        assert len(set(found)) == len(found) > 3 and found == list(look_alikes.of("한복"))
        assert not {"일본식", "kimono", "한복"} & set(found)
