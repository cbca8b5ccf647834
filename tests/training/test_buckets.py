"""Fitting: nothing is dropped, no shape is missed, and what is cut off is as little as the buckets allow."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kimchi.recipes import Aspect
from kimchi.training.buckets import buckets, fit, summarise

SIDES = st.one_of(st.integers(1, 40), st.integers(40, 5000), st.integers(5000, 60_000))
ASPECTS = st.builds(
    lambda step, largest, crops: Aspect(fit="buckets", step_px=step, largest=largest, crops=crops),
    st.sampled_from([8, 16, 32, 64]), st.floats(1, 4), st.integers(1, 16),
)  # fmt: skip
BUCKETS = Aspect(fit="buckets", step_px=64, largest=2.0)


@given(width=SIDES, height=SIDES, aspect=ASPECTS, resolution=st.sampled_from([64, 128, 256, 512, 768]), crop=st.integers(0, 15), digest=st.text())
def test_any_picture_fits_some_bucket(width: int, height: int, aspect: Aspect, resolution: int, crop: int, digest: str) -> None:
    made = fit(width, height, aspect, resolution, crop, digest)
    x1, y1, x2, y2 = made.box
    assert made.width_px % aspect.step_px == made.height_px % aspect.step_px == 0 < made.width_px
    assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height and 0 <= made.cut < 1
    # One side is kept whole, and nothing is stretched.
    assert x2 - x1 == pytest.approx(width) or y2 - y1 == pytest.approx(height)
    assert (x2 - x1) / (y2 - y1) == pytest.approx(made.width_px / made.height_px, rel=1e-6)
    # No other bucket is nearer in shape.
    others = buckets(resolution, aspect.step_px, aspect.largest)
    away = [abs(np.log(width / height) - np.log(w / h)) for w, h in others]
    assert away[others.index((made.width_px, made.height_px))] <= min(away) + 1e-9


@given(resolution=st.sampled_from([64, 128, 256, 384, 512, 768, 1024]), step=st.sampled_from([8, 16, 32, 64]), largest=st.floats(1, 4))
def test_buckets_are_of_about_one_area_in_both_orientations(resolution: int, step: int, largest: float) -> None:
    found = buckets(resolution, step, largest)
    assert (resolution, resolution) in found and {(h, w) for w, h in found} == set(found) and len(set(found)) == len(found)
    for width, height in found:
        assert max(width, height) / min(width, height) <= largest
        assert abs(width * height / resolution**2 - 1) <= step / max(width, height)


def test_the_square_is_cut_as_it_always_was() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (101, 174, 3), np.uint8))
    old = image.resize((64, 64), Image.Resampling.LANCZOS, box=((174 - 101) // 2, 0, (174 - 101) // 2 + 101, 101))
    assert fit(174, 101, Aspect(), 64).apply(image).tobytes() == old.tobytes()


@settings(max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300), crop=st.integers(0, 3))
def test_even_tiny_and_thin_pictures_become_their_buckets_size(width: int, height: int, crop: int) -> None:
    for aspect in (Aspect(), BUCKETS):
        made = fit(width, height, aspect, 128, crop, "digest")
        assert made.apply(Image.new("RGB", (width, height))).size == (made.width_px, made.height_px)


@pytest.mark.parametrize("kind", ["square", "buckets"])
def test_crops_differ_between_numbers_and_pictures_and_stay_the_same(kind: str) -> None:
    aspect = Aspect(fit=kind, crops=4)  # pyright: ignore[reportArgumentType]
    boxes = {(digest, crop): fit(1000, 300, aspect, 128, crop, digest).box for digest, crop in itertools.product("ab", range(4))}
    assert boxes["a", 0] == boxes["b", 0] and len(set(boxes.values())) == 7
    assert boxes == {(digest, crop): fit(1000, 300, aspect, 128, crop, digest).box for digest, crop in boxes}
    left, _, right, _ = boxes["a", 0]
    assert left + right == pytest.approx(1000, abs=1)


def test_a_summary_counts_every_picture() -> None:
    sizes = [(512, 512), (1024, 1024), (100, 100), (1024, 512), (512, 1024), (9000, 100)]
    told = summarise(sizes, BUCKETS, 512)
    assert sum(told.buckets.values()) == len(sizes) and next(iter(told.buckets.items())) == ((512, 512), 3)
    # 9000 x 100 in the widest bucket keeps less than a fortieth.
    assert told.enlarged == 2 and told.largest_cut > 0.97 and 0 < told.mean_cut < told.largest_cut
    assert summarise([], BUCKETS, 512).mean_cut == 0
