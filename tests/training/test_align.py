"""Alignment: the losses against what they must equal, the gap where it is known, and a run that stops, resumes and is opened by stock libraries."""

import itertools
import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi.cli import main
from kimchi.data.parallel import Pair
from kimchi.data.sample_world import Attributes, worlds
from kimchi.errors import DataError, OutputError, RecipeError
from kimchi.models.lanes import Lanes
from kimchi.models.load import load_base, load_model, with_encoder
from kimchi.models.text_encoders.clip import TextEncoder
from kimchi.recipes import AlignRecipe, to_yaml
from kimchi.training.align import gap, layers, pairs
from kimchi.training.align.export import write_pipeline
from kimchi.training.align.latents import make_pool
from kimchi.training.align.plot import gap_svg, gap_table
from kimchi.training.align.run import align, measure_gaps
from kimchi.training.align.text_loss import scale_of, states_of, text_losses
from kimchi.training.align.transport import sinkhorn, transport_cost
from kimchi.training.align.unet_loss import Blocks, InLanes, unet_loss
from kimchi.training.loop import Progress


def exact_transport(cost: np.ndarray) -> float:
    """The least cost between uniform marginals.

    With both sides split into equal parts it is an assignment (Birkhoff and von Neumann: an optimum lies at a permutation).
    """
    n, m = cost.shape
    parts = math.lcm(n, m)
    split = cost.repeat(parts // n, 0).repeat(parts // m, 1)
    return min(sum(split[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(parts))) / parts


class TestTransport:
    @pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 3), (2, 3), (1, 5), (6, 3), (7, 7)])
    def test_equals_the_exact_transport_when_sharp(self, n: int, m: int) -> None:
        source = torch.Generator().manual_seed(n * 10 + m)
        a, b = torch.randn(1, n, 4, generator=source), torch.randn(1, m, 4, generator=source)
        cost = 1 - torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).transpose(1, 2)
        plan = sinkhorn(cost, torch.ones(1, n, dtype=torch.bool), torch.ones(1, m, dtype=torch.bool), sharpness=0.004, rounds=4000)
        assert float((plan * cost).sum()) == pytest.approx(exact_transport(cost[0].double().numpy()), abs=2e-3)

    def test_the_plan_has_uniform_marginals_over_the_points_that_count(self) -> None:
        a_BN = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
        b_BM = torch.tensor([[1, 0], [1, 1]], dtype=torch.bool)
        plan = sinkhorn(torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(0)), a_BN, b_BM, rounds=500)
        assert torch.allclose(plan.sum(2), a_BN / a_BN.sum(1, keepdim=True), atol=1e-4)
        assert torch.allclose(plan.sum(1), b_BM / b_BM.sum(1, keepdim=True), atol=1e-4)

    def test_order_does_not_matter_and_an_empty_side_costs_nothing(self) -> None:
        a = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
        whole = torch.ones(1, 5, dtype=torch.bool)
        assert float(transport_cost(a, a.flip(1), whole, whole)) == pytest.approx(0, abs=0.02)
        empty = transport_cost(a.requires_grad_(), a.detach(), torch.zeros_like(whole), whole)
        empty.sum().backward()
        assert float(empty.detach()) == 0 and torch.isfinite(a.grad).all()

    def test_the_gradient_is_that_of_the_regularised_optimum(self) -> None:
        torch.manual_seed(0)
        a, b = torch.randn(1, 3, 4, dtype=torch.float64), torch.randn(1, 3, 4, dtype=torch.float64)
        mask = torch.ones(1, 3, dtype=torch.bool)
        leaf = a.float().requires_grad_()
        transport_cost(leaf, b.float(), mask, mask, sharpness=0.5).sum().backward()

        def regularised(x: torch.Tensor) -> float:
            # The optimum of <G, C> + sharpness * KL(G | a x b): its gradient in C is G itself.
            unit = torch.nn.functional.normalize
            cost = 1 - unit(x, dim=-1) @ unit(b, dim=-1).transpose(1, 2)
            plan = sinkhorn(cost, mask, mask, sharpness=0.5, rounds=400)
            return float((plan * cost).sum() + 0.5 * (plan * (plan * 9).log()).sum())

        step = torch.zeros_like(a)
        step[0, 1, 2] = 1e-5
        slope = (regularised(a + step) - regularised(a - step)) / 2e-5
        assert float(leaf.grad[0, 1, 2]) == pytest.approx(slope, abs=1e-4)


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Path:
    """The tiny base, with the projection that its CLIP would keep beside it."""
    torch.manual_seed(3)
    save_file({"text_projection.weight": torch.randn(128, 128) / 11}, base_folder / "text_encoder" / "text_projection.safetensors")
    return base_folder


def _recipe(base: Path, encoder: Path, out: Path, **changes: object) -> AlignRecipe:
    values: dict[str, object] = {
        "kind": "align", "name": "test", "base": str(base), "text_encoder": str(encoder), "out": str(out), "checkpoint_every": 2, "device": "cpu",
        "sources": [
            {"pairs": "sample-world:parallel", "share": 0.75, "per_concept": 2},
            {"pairs": "sample-world:glosses", "share": 0.25, "per_concept": 1, "through_unet": False},
        ],
        "latents": {"count": 8}, "a0": {"steps": 4, "batch": 4}, "a1": {"steps": 4, "batch": 2, "text_batch": 2},
        "measure": {"pairs": 6, "levels": 2, "batch": 4},
    }  # fmt: skip
    return AlignRecipe.model_validate(values | changes)


class TestPairs:
    def test_one_combination_in_eight_is_never_read(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        [table, _] = pairs.read_pairs(_recipe(base, encoder_folder, tmp_path))
        for pair in table.pairs:
            shown = pairs.drawn_picture(pair.picture)
            assert not pairs.held_out(shown.concept, shown.attributes)
        every = [
            pairs.held_out(c, Attributes(colour=colour, place=place, time="day", number=1, side="left"))
            for c in worlds("general")
            for colour in ("red", "blue", "green", "white")
            for place in ("city", "seaside", "stone_slab")
        ]
        assert sum(every) / len(every) == pytest.approx(1 / pairs.HELD_OUT, abs=0.04)

    def test_nothing_that_measures_is_learned_from(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        for table in pairs.read_pairs(_recipe(base, encoder_folder, tmp_path)):
            assert table.test and not {p.ko for p in table.test} & {p.ko for p in table.pairs}

    def test_korean_things_have_no_picture_in_the_pool(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        recipe = _recipe(base, encoder_folder, tmp_path)
        tables = pairs.read_pairs(recipe)
        pool = make_pool(recipe, load_base(str(base)), tables, tables[0].test)
        assert pool.index and all(pairs.drawn_picture(name).concept.world == "general" for name in pool.index)

    def test_batches_follow_the_shares(self) -> None:
        tables = [pairs.Table(pairs=[Pair(en=name, ko=name)], test=[], share=share, through_unet=True) for name, share in (("a", 0.8), ("b", 0.2))]
        found = pairs.draw(tables, 4000, torch.Generator().manual_seed(0))
        assert sum(p.en == "a" for p in found) / 4000 == pytest.approx(0.8, abs=0.03)


@pytest.fixture(scope="module")
def encoders(base: Path, encoder_folder: Path) -> tuple[TextEncoder, TextEncoder]:
    """Student and teacher."""
    return TextEncoder.load(encoder_folder), TextEncoder.load(base / "text_encoder", tokenizer=base / "tokenizer")


class TestLosses:
    def test_a_student_that_is_the_teacher_pays_nothing(self, encoders: tuple[TextEncoder, TextEncoder]) -> None:
        _, teacher = encoders
        words = ["a red car in the city", "kimono", "two green vases"] * 4
        states, projection = states_of(teacher, words), torch.randn(128, 128)
        paid = text_losses(states, states_of(teacher, words, whole=False), states, projection, scale_of(states, projection))
        # The entropy of the plan leaves a little.
        assert {k: float(v) for k, v in paid.items() if k != "content"} == pytest.approx({"eos": 0, "pads": 0, "start": 0}, abs=1e-4)
        assert float(paid["content"]) < 0.05

    def test_a_term_is_one_where_a_student_says_the_same_of_everything(self, encoders: tuple[TextEncoder, TextEncoder]) -> None:
        _, teacher = encoders
        words = [f"{colour} {thing}" for colour in ("red", "blue", "green", "black") for thing in ("car", "vase", "kimono", "ramen bowl", "tower", "hat")]
        states, projection = states_of(teacher, words), torch.randn(128, 128) / 11
        mean = type(states)(h_BLD=states.h_BLD.mean(0, keepdim=True).expand_as(states.h_BLD), end_B=states.end_B)
        same = type(states)(h_BLD=mean.h_BLD.clone(), end_B=states.end_B)
        same.h_BLD[torch.arange(len(words)), states.end_B] = states.at_end().mean(0)
        paid = text_losses(same, None, states, projection, scale_of(states, projection))
        assert float(paid["eos"]) == pytest.approx(1, abs=0.1)
        assert 0.5 < float(paid["pads"]) < 1.5

    def test_padding_may_be_left_out_without_changing_the_end(self, encoders: tuple[TextEncoder, TextEncoder]) -> None:
        student, _ = encoders
        words = ["라면", "바닷가에 있는 빨간 자동차"]
        assert torch.allclose(states_of(student, words).at_end(), states_of(student, words, whole=False).at_end(), atol=1e-5)

    def test_equal_states_make_equal_predictions_and_the_hooks_go_away(self, base: Path) -> None:
        unet = load_base(str(base)).unet
        noisy, t = torch.randn(2, 4, 32, 32), torch.tensor([10, 900])
        heard = torch.randn(2, 77, 128)
        assert float(unet_loss(unet, noisy, t, heard, heard, 0.1)) == pytest.approx(0, abs=1e-9)
        other = torch.randn(2, 77, 128, requires_grad=True)
        plain, more = (unet_loss(unet, noisy, t, other, heard, features) for features in (0.0, 0.1))
        assert 0 < float(plain.detach()) < float(more.detach())
        more.backward()
        assert other.grad is not None and float(other.grad.abs().sum()) > 0
        with Blocks(unet) as blocks:
            unet(noisy, t, heard)
            assert len(blocks.take()) == len(unet.down_blocks) + 1 + len(unet.up_blocks)
        unet(noisy, t, heard)
        assert blocks.take() == []

    def test_lanes_find_the_same_loss_and_slope(self, base: Path) -> None:
        unet = load_base(str(base)).unet.requires_grad_(False)
        noisy, t, wanted = torch.randn(5, 4, 32, 32), torch.tensor([10, 900, 400, 3, 700]), torch.randn(5, 77, 128)
        said = torch.randn(5, 77, 128, requires_grad=True)
        alone = unet_loss(unet, noisy, t, said, wanted, 0.1)
        [slope] = torch.autograd.grad(alone, said)
        # Lanes of three samples and of two: no mean of means.
        with Lanes(2) as lanes:
            loss = InLanes(unet, lanes, nullcontext)(noisy, t, said, wanted, 0.1)
        [found] = torch.autograd.grad(loss, said)
        assert float(loss.detach()) == pytest.approx(float(alone.detach()), rel=1e-5)
        assert torch.allclose(found, slope, rtol=1e-3, atol=1e-3 * float(slope.abs().max()))


class TestLayers:
    def test_a_slowed_weight_moves_by_its_rate_and_is_whole_again_after(self) -> None:
        net = torch.nn.Sequential(torch.nn.Linear(3, 3))
        before = net[0].weight.detach().clone()
        trained = layers.trainable(net, -1, 0.05)
        optimiser = torch.optim.Adam(trained.values(), lr=0.1)
        net(torch.ones(1, 3)).sum().backward()
        optimiser.step()
        layers.settle(net)
        assert sorted(net.state_dict()) == ["0.bias", "0.weight"]
        assert torch.allclose((net[0].weight - before).abs(), torch.full((3, 3), 0.005), atol=1e-5)

    def test_the_last_layers_only(self, encoder_folder: Path) -> None:
        model = CLIPTextModel.from_pretrained(str(encoder_folder), dtype=torch.float32)
        names = layers.trainable(model, 1, 1.0)
        assert names and all(name.startswith(("encoder.layers.0.", "final_layer_norm.")) for name in names)


class TestGap:
    def test_is_nought_for_the_teacher_and_one_for_silence(self, base: Path) -> None:
        model = load_base(str(base))
        recipe = _recipe(base, base, base)
        test = [Pair(en=text, ko=text) for text in ("a red car", "a kimono in the city", "ramen bowl")]
        pool = make_pool(recipe.model_copy(update={"latents": recipe.latents.model_copy(update={"source": "teacher", "steps": 1})}), model, [], test)

        def off() -> torch.autocast:
            return torch.autocast("cpu", torch.bfloat16, enabled=False)

        found = [gap.measure(model.text, model.text, torch.eye(128), model, pool, said, levels=2, batch=2, autocast=off) for said in (test, _silent(test))]
        assert found[0].overall.value == pytest.approx(0, abs=1e-6) and found[0].eos_cosine == pytest.approx(1) and found[0].pad_norm_ratio == pytest.approx(1)
        assert found[1].overall.value == pytest.approx(1, abs=1e-4)
        assert found[0].per_level[0].name == "t 250" and sum(e.n for e in found[0].per_length) == 3

    def test_the_interval_holds_the_ratio_of_sums(self) -> None:
        rng = np.random.default_rng(0)
        heard = rng.uniform(1, 2, (60, 3))
        found = gap.estimate("all", heard * rng.uniform(0.2, 0.4, (60, 3)), heard)
        assert found.low < 0.3 < found.high and found.low < found.value < found.high
        assert found.high - found.low < 0.05


def _silent(test: list[Pair]) -> list[Pair]:
    return [Pair(en=p.en, ko="") for p in test]


@pytest.fixture(scope="module")
def run(base: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aligned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        align(_recipe(base, encoder_folder, folder))
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders are written below the current folder."""
    monkeypatch.chdir(tmp_path)


class TestRun:
    def test_the_folder_is_complete(self, run: Path) -> None:
        assert {"model.safetensors", "config.json", "tokenizer.json", "recipe.yaml", "losses.json", "gap.json", "card.json"} <= {p.name for p in run.iterdir()}
        card = json.loads((run / "card.json").read_text())
        assert card["steps"] == 8 and card["gaps"].keys() == {"raw", "a0", "a1"}
        assert {k: len(v) for k, v in json.loads((run / "losses.json").read_text()).items()} == {"a0": 4, "a1": 4}

    @pytest.mark.parametrize("at", [3, 7])
    def test_a_killed_run_gives_the_same_encoder(self, at: int, run: Path, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        recipe = _recipe(base, encoder_folder, tmp_path / "again")

        def kill(progress: Progress) -> None:
            if progress.step == at:
                raise RuntimeError("power cut")

        with pytest.raises(RuntimeError):
            align(recipe, kill)
        assert not (tmp_path / "again" / "card.json").exists()
        align(recipe)
        for name in ("model.safetensors", "losses.json", "gap.json"):
            assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()

    def test_a_finished_run_is_not_trained_again(self, run: Path, base: Path, encoder_folder: Path) -> None:
        outcome = align(_recipe(base, encoder_folder, run), lambda progress: pytest.fail("trained again"))
        assert outcome.seconds == 0 and outcome.steps == 8 and outcome.gaps.keys() == {"raw", "a0", "a1"}

    def test_stock_diffusers_draws_with_it(self, run: Path, base: Path) -> None:
        encoder, tokenizer = CLIPTextModel.from_pretrained(str(run), dtype=torch.float32), CLIPTokenizer.from_pretrained(str(run))
        pipe = StableDiffusionPipeline.from_pretrained(str(base), text_encoder=encoder, tokenizer=tokenizer, dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        assert pipe("바닷가의 자동차", num_inference_steps=1).images[0].size == (128, 128)

    def test_a_pipeline_folder_draws_the_same_in_stock_diffusers(self, run: Path, base: Path, tmp_path: Path) -> None:
        ours = with_encoder(load_base(str(base)), str(run), "x")
        heard = ours.text.encode(["바닷가의 자동차"])
        write_pipeline(ours, tmp_path / "pipe", torch.float32)
        pipe = StableDiffusionPipeline.from_pretrained(str(tmp_path / "pipe"), dtype=torch.float32)
        assert type(pipe.text_encoder) is CLIPTextModel and type(pipe.tokenizer) is CLIPTokenizer and pipe.safety_checker is None
        assert torch.allclose(pipe.encode_prompt("바닷가의 자동차", "cpu", 1, False)[0], heard, atol=1e-5)
        again = load_base(str(tmp_path / "pipe"))
        assert torch.allclose(again.text.encode(["바닷가의 자동차"]), heard, atol=1e-5)
        with pytest.raises(OutputError, match="not empty"):
            write_pipeline(ours, tmp_path / "pipe")

    def test_only_what_is_asked_for_changes(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        align(_recipe(base, encoder_folder, tmp_path / "last", trained_layers=1, layers_rate=0.05, a1={"steps": 1, "batch": 2}, dtype="fp32"))
        before, after = load_file(encoder_folder / "model.safetensors"), load_file(tmp_path / "last" / "model.safetensors")
        changed = {k for k in before if not torch.equal(before[k].float(), after[k])}
        assert before.keys() == after.keys() and changed and all(k.startswith(("encoder.layers.0.", "final_layer_norm.")) for k in changed)

    def test_the_gap_can_be_measured_alone(self, run: Path, base: Path, encoder_folder: Path) -> None:
        found = measure_gaps(_recipe(base, encoder_folder, run))
        assert found.keys() == {"raw", "aligned"}
        assert gap_table(found)[1].startswith("all ") and gap_svg(found).startswith("<svg")
        assert Path("runs/test/gap.svg").is_file() and json.loads(Path("runs/test/gap.json").read_text())["raw"]["overall"]["n"] == 6

    def test_the_teachers_own_pictures_serve(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        align(_recipe(base, encoder_folder, tmp_path / "own", latents={"source": "teacher", "count": 3, "steps": 1}, a1={"steps": 1, "batch": 2}))
        assert (tmp_path / "own" / "card.json").is_file()

    def test_an_encoder_of_another_width_is_refused(self, base: Path, make_text_folder: object, tmp_path: Path) -> None:
        make_text_folder(tmp_path / "wide", tmp_path / "wide", width=64)  # type: ignore[operator]
        with pytest.raises(RecipeError, match=r"64.*128.*adapter: mlp"):
            align(_recipe(base, tmp_path / "wide", tmp_path / "run"))


class TestRecipe:
    def test_something_must_be_trained(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="nothing would be trained"):
            _recipe(base, encoder_folder, tmp_path, trained_layers=0)

    def test_a1_needs_a_source(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="through_unet"):
            _recipe(base, encoder_folder, tmp_path, sources=[{"pairs": "sample-world:glosses", "share": 1, "through_unet": False}])

    def test_an_unknown_sample_world(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="sample-world:parallel or sample-world:glosses"):
            align(_recipe(base, encoder_folder, tmp_path, sources=[{"pairs": "sample-world:korean", "share": 1}]))


class TestFiles:
    def test_rows_of_a_file_are_learned_from_and_the_refused_are_kept(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        lines = [f"{i} 번째 바닷가의 빨간 자동차\ta red car by the sea, number {i}" for i in range(300)]
        (tmp_path / "pairs.tsv").write_text("\n".join([*lines, lines[0], "한국어만\t"]), encoding="utf-8")
        changes = {"sources": [{"pairs": str(tmp_path / "pairs.tsv"), "share": 1}], "latents": {"source": "teacher", "count": 7, "steps": 1}}
        align(_recipe(base, encoder_folder, tmp_path / "run", a0={"steps": 2, "batch": 4}, a1={"steps": 1, "batch": 2}, **changes))
        card = json.loads((tmp_path / "run" / "card.json").read_text())
        assert card["rows"] == [{"kept": 300, "swapped": 0, "duplicate": 1, "empty": 1}]
        refused = [json.loads(line)["reason"] for line in Path("runs/test/pairs.dropped.jsonl").read_text().splitlines()]
        assert refused == ["duplicate", "empty"]

    def test_a_missing_corpus_is_told_before_weights_are_read(self, base: Path, encoder_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no parallel text there"):
            align(_recipe(tmp_path / "no-base", encoder_folder, tmp_path, sources=[{"pairs": "none.tsv", "share": 1}]))


class TestWidths:
    def test_a_known_width_is_refused_when_the_recipe_is_read(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["align", "mini_align", "--dry-run", "--set", "encoder=korean_clip"]) == 1
        assert "768-wide states; mini-base reads 128. Add `adapter: mlp`" in capsys.readouterr().err

    def test_open_clip_needs_an_adapter(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["align", "mini_align", "--dry-run", "--set", "encoder=open_clip"]) == 1
        assert "Add `adapter: mlp`" in capsys.readouterr().err

    @pytest.mark.parametrize("trained_layers", [0, 1])
    def test_another_width_goes_through_an_adapter(self, base: Path, make_text_folder: Any, tmp_path: Path, trained_layers: int) -> None:
        make_text_folder(tmp_path / "wide", tmp_path / "wide", width=64)
        recipe = _recipe(base, tmp_path / "wide", tmp_path / "run", adapter="mlp", trained_layers=trained_layers, layers_rate=0.05)
        align(recipe)
        text = load_model(str(base)).text
        made = with_encoder(load_base(str(base)), str(tmp_path / "run"), "x").text
        assert made.encode(["라면"]).shape == text.encode(["라면"]).shape
        kept = set(load_file(tmp_path / "run" / "model.safetensors"))
        assert any(key.startswith("tower.") for key in kept) == bool(trained_layers)


class TestCommand:
    def test_align_and_measure(self, base: Path, encoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "r.yaml").write_text(to_yaml(_recipe(base, encoder_folder, tmp_path / "out")), encoding="utf-8")
        assert main(["align", "r.yaml", "--json", "--set", "a0.steps=1", "--set", "a1.steps=1"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out.splitlines()[-1])["gaps"].keys() == {"raw", "a0", "a1"}
        assert f"Next: kimchi train RECIPE --set text_encoder={tmp_path / 'out'}" in captured.err
        assert main(["align", "--measure", "r.yaml", "--json"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["alignment", "gap", "raw", "aligned"] and json.loads(lines[-1])["aligned"]["overall"]["n"] == 6
