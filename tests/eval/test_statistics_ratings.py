"""The table of ratings: what is read, what is refused and in which words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kimchi.errors import DataError
from kimchi.eval.statistics import Plan, analyse, from_columns, read_csv
from kimchi.eval.statistics.descriptives import cells, position_scores, scores

COLUMNS: dict[str, list[Any]] = {
    "rater": [10**18, 10**18, "b", "b"],
    "prompt": ["김치", "김치", "김치", "김치"],
    "model": ["kimchi", "sd21", "kimchi", "sd21"],
    "criterion": ["alignment"] * 4,
    "value": [5, "4", None, 2.0],
    "position": [1, 2, 2, 1],
    "seconds": [1.5, "", 3, None],
}


def test_columns_become_codes_and_names() -> None:
    table = from_columns(COLUMNS, models=("sd21", "kimchi", "photo"))
    assert table.raters == ("1000000000000000000", "b") and table.models == ("sd21", "kimchi", "photo")
    assert table.value.tolist() == [5, 4, 0, 2] and table.model.tolist() == [1, 0, 1, 0]
    assert np.isnan(table.seconds).tolist() == [False, True, False, True]
    assert len(table.known) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": [6, 1, 1, 1]}, "value 6: a rating is a whole number from 1 to 5"),
        ({"value": [2.5, 1, 1, 1]}, "value 2.5"),
        ({"value": ["five", 1, 1, 1]}, "value 'five'"),
        ({"value": [True, 1, 1, float("inf")]}, "value inf"),
        ({"value": [1]}, "not as long as value"),
        ({"rater": [None, "b", "c", "d"]}, "a rating without a rater"),
        ({"model": ["kimchi"] * 4}, "rated 김치 / kimchi on 'alignment' twice"),
        ({"position": [-1, 1, 1, 1]}, "position -1"),
        ({"seconds": ["soon", 1, 1, 1]}, "seconds 'soon'"),
    ],
)
def test_what_is_no_rating_is_refused(change: dict[str, list[Any]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_columns(COLUMNS | change)


def test_a_missing_column_and_an_unexpected_model_are_named() -> None:
    with pytest.raises(DataError, match="without rater"):
        from_columns({key: cells for key, cells in COLUMNS.items() if key != "rater"})
    with pytest.raises(DataError, match="model 'kimchi' is none of those expected: sd21"):
        from_columns(COLUMNS, models=("sd21",))


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("rater,prompt,model,criterion,value\nr1,p1,a,x,판단 불가\nr1,p1,b,x,3\n", encoding="utf-8-sig")
    assert read_csv(path).value.tolist() == [0, 3]
    path.write_text("rater,prompt,model,criterion,value\nr1,p1,a\n")
    with pytest.raises(DataError, match="line 2: 3 cells under a header of 5"):
        read_csv(path)
    with pytest.raises(DataError, match="cannot be read as ratings"):
        read_csv(tmp_path / "nowhere.csv")
    path.write_text("")
    with pytest.raises(DataError, match="Ratings without"):
        read_csv(path)


def test_turning_and_narrowing() -> None:
    table = from_columns(COLUMNS)
    assert table.turned(["alignment"]).value.tolist() == [1, 2, 0, 4]
    two = from_columns(COLUMNS | {"prompt": ["b", "b", "a", "a"]})
    assert two.about(["b"]).prompts == ("b",) and two.about(["b"]).value.tolist() == [5, 4]
    with pytest.raises(DataError, match="'c' is no prompt of these ratings; they have a, b"):
        two.about(["c"])


def test_scores_as_the_source_reports_them() -> None:
    first, second = scores(from_columns(COLUMNS))
    assert (first.mean, first.n, first.top_two, first.missing, first.histogram, first.sd) == (5, 1, 1, 0.5, (0, 0, 0, 0, 1), None)
    assert (second.mean, second.n, second.top_two, second.missing) == (3, 2, 0.5, 0)
    assert second.sd == pytest.approx(2**0.5)
    assert [(cell.model, cell.mean, cell.n) for cell in cells(from_columns(COLUMNS))] == [("kimchi", 5, 1), ("sd21", 3, 2)]
    assert [(at.position, at.mean, at.n) for at in position_scores(from_columns(COLUMNS))] == [(1, 3.5, 2), (2, 4, 1)]


def test_a_plan_that_does_not_fit_is_refused() -> None:
    table = from_columns(COLUMNS)
    for plan, words in (
        (Plan(focus="dalle"), "'dalle' is no model"),
        (Plan(focus="kimchi", reversed=("errors",)), "'errors' is no criterion"),
        (Plan(focus="kimchi", margin=-1), "margin = -1"),
        (Plan(focus="kimchi", draws=5), "draws = 5"),
        (Plan(focus="kimchi", contrasts=(("kimchi", "kimchi"),)), "itself is always zero"),
        (Plan(focus="kimchi", metrics={"clip": {("김치", "photo"): 1.0}}), "no picture of this study"),
        (Plan(focus="kimchi", metrics={"clip": {("김치", "kimchi"): float("nan")}}), "not a number"),
    ):
        with pytest.raises(DataError, match=words):
            analyse(table, plan)
    with pytest.raises(DataError, match="0 ratings"):
        analyse(table.where(table.value > 5), Plan(focus="kimchi"))
