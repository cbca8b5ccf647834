"""KID: the number against torch-fidelity's, its interval against simulation, and the metric on a random DINOv2."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kimchi.errors import RecipeError
from kimchi.eval.metrics.kid import kid
from kimchi.eval.scoring.run import score
from kimchi.recipes import ScoreRecipe

Make = Callable[..., ScoreRecipe]
TORCH_FIDELITY = 0.49677925360458586
"""torch-fidelity 0.4.0, metric_kid.kernel_mmd on the features of `golden`."""


def golden() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    i, j = np.meshgrid(np.arange(40), np.arange(16), indexing="ij")
    return np.sin(i * 1.7 + j * 0.9), np.cos(i * 1.3 - j * 0.7) + 0.2


def true_distance(shift: float, d: int) -> float:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) of standard normals of which one is moved along an axis: the cube written out, s = x.y / D.

    E (1 + s)^3 = 1 + 3 E s + 3 E s^2 + E s^3; with means a, b: E s = ab / D, E s^2 = (D + a^2 + b^2 + a^2 b^2) / D^2, and
    E s^3 = (3 ab (D + 2) + 3 ab (a^2 + b^2) + a^3 b^3) / D^3.
    """

    def one(a: float, b: float) -> float:
        s1, s2 = a * b / d, (d + a * a + b * b + a * a * b * b) / d**2
        s3 = (3 * a * b * (d + 2) + 3 * a * b * (a * a + b * b) + (a * b) ** 3) / d**3
        return 1 + 3 * s1 + 3 * s2 + s3

    return one(0, 0) + one(shift, shift) - 2 * one(0, shift)


class TestNumber:
    def test_is_torch_fidelitys(self) -> None:
        assert kid(*golden(), subsets=1).estimate.value == pytest.approx(TORCH_FIDELITY, rel=1e-9)

    def test_nothing_differs_from_its_own_kind(self) -> None:
        rng = np.random.default_rng(0)
        found = [kid(rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), subsets=1).estimate.value or 0 for _ in range(200)]
        assert abs(np.mean(found)) < 3 * np.std(found) / 200**0.5

    @pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
    def test_the_interval_holds_the_truth(self, shift: float) -> None:
        rng, held = np.random.default_rng(int(shift) + 3), 0
        move = np.eye(1, 8)[0] * shift
        for _ in range(400):
            of = kid(rng.normal(size=(60, 8)), rng.normal(size=(100, 8)) + move, subsets=1).estimate
            held += of.low is not None and of.high is not None and of.low <= true_distance(shift, 8) <= of.high
        assert held / 400 >= 0.93

    def test_the_same_every_time(self) -> None:
        assert kid(*golden(), seed=4) == kid(*golden(), seed=4)
        assert kid(*golden(), subset=20, seed=4).subset_mean != kid(*golden(), subset=20, seed=5).subset_mean

    def test_no_variation_no_interval(self) -> None:
        assert kid(np.ones((5, 4)), np.ones((5, 4)), subsets=2).estimate.why == "no_variation"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DINOv2, very small."""
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14)).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}).save_pretrained(folder)
    return folder


class TestMetric:
    def test_photographs_are_nearer_to_photographs(self, make: Make, network: Path, world: Path) -> None:
        outcome = score(make({"part": "kid", "model": str(network), "reference": str(world / "arms/photo"), "device": "cpu"}))
        of = {one.condition: one.estimate.value for one in outcome.summaries}
        assert of["photo"] is not None and of["base"] is not None and of["photo"] < of["base"]
        assert "Too few pictures to rank by" in outcome.notes["kid"][0] and "12 photographs" in outcome.notes["kid"][0]
        told = json.loads((outcome.folder / "results.json").read_text())["metrics"][0]
        assert told["details"]["subsets"]["base"]["pictures"] == 12 and len(told["model_hash"]) == 16

    def test_kept_by_content(self, make: Make, network: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = make({"part": "kid", "model": str(network), "reference": str(world / "arms/photo"), "device": "cpu"})
        first = score(recipe)
        monkeypatch.setattr("kimchi.eval.metrics.kid._Features", None)
        assert score(recipe).summaries == first.summaries

    def test_a_network_that_is_not_here_is_skipped(self, make: Make, world: Path) -> None:
        outcome = score(make("recogniser", {"part": "kid", "reference": str(world / "arms/photo")}))
        assert "facebook/dinov2-base" in outcome.skipped["kid"]

    @pytest.mark.parametrize("reference", ["", "nowhere"])
    def test_no_photographs(self, make: Make, reference: str) -> None:
        with pytest.raises(RecipeError, match="must be a folder of photographs"):
            score(make({"part": "kid", "reference": reference}))

    def test_too_few_photographs(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "few").mkdir()
        with pytest.raises(RecipeError, match="holds 0 pictures"):
            score(make({"part": "kid", "reference": str(tmp_path / "few")}))
