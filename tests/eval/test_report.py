"""The pieces reports are made of."""

import base64
import io

import pytest
from jinja2 import UndefinedError
from PIL import Image

from kimchi.eval.report import data_address, interval_svg, loss_svg, percent, points, render, seconds, seconds_ko


def test_a_picture_rides_in_its_address() -> None:
    address = data_address(Image.new("RGB", (16, 16), (200, 30, 30)))
    head, _, body = address.partition(",")
    assert head == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (16, 16)


@pytest.mark.parametrize(
    ("value", "en", "ko"), [(4.24, "4.2 s", "4.2초"), (47.4, "47 s", "47초"), (83.0, "1 min 23 s", "1분 23초"), (3605, "60 min 05 s", "60분 05초")]
)
def test_times_read_as_people_say_them(value: float, en: str, ko: str) -> None:
    assert (seconds(value), seconds_ko(value)) == (en, ko)


def test_differences_carry_their_sign() -> None:
    assert [points(x) for x in (0.416, -0.034, 0.004, -0.004, 0)] == ["+42", "−3", "0", "0", "0"]


def test_shares_are_whole_percents() -> None:
    assert [percent(x) for x in (0, 0.853, 1)] == ["0", "85", "100"]


@pytest.mark.parametrize("losses", [[0.5], [1.0, 0.4, 0.3, 0.25], [0.0, 0.0], [3e-5] * 90, [900.0, *[0.2] * 300]])
def test_any_loss_curve_stays_in_its_frame(losses: list[float]) -> None:
    svg = loss_svg(losses, 'a "label" <here>')
    assert "<here>" not in svg
    for curve in svg.split('points="')[1:]:
        pairs = [tuple(map(float, pair.split(","))) for pair in curve.split('"')[0].split()]
        assert len(pairs) == len(losses)
        assert all(0 <= x <= 720 and 0 <= y <= 240 for x, y in pairs)


def test_an_interval_marks_its_goal_only_if_there_is_one() -> None:
    assert 'class="goal"' in interval_svg(0.5, 0.4, 0.6, 0.55)
    assert 'class="goal"' not in interval_svg(0.5, 0.4, 0.6)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("quickstart.html", {})
