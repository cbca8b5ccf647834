"""The whole analysis: of a study, of every wild table, within its time."""

import json
from time import perf_counter, process_time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kimchi.errors import DataError
from kimchi.eval.statistics import Analysis, Design, Plan, Ratings, Why, analyse, from_columns, simulate
from kimchi.eval.statistics.descriptives import cells, position_scores, scores

MODELS = ("kimchi", "dalle3", "gpt4o", "sd21", "photo")
PLAN = Plan(focus="kimchi", photograph="photo", draws=200)
FULL = Design(prompts=20, models=MODELS, criteria=("alignment", "reality", "suitability"), effects={"kimchi": 0.6, "photo": 1.5}, missing=0.03)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    design = Design(raters=15, prompts=12, per_rater=8, models=MODELS, criteria=("alignment", "errors"), effects={"photo": 2}, missing=0.05)
    return analyse(simulate(design, 3), Plan(focus="kimchi", photograph="photo", reversed=("errors",), draws=200))


def test_json_is_plain_and_repeats(analysis: Analysis) -> None:
    read = json.loads(analysis.as_json())
    assert read["criteria"][0]["claim"] == {"inference": "prompts like these", "why": ""}
    assert len(read["criteria"][0]["contrasts"]) == 8 and len(read["criteria"][0]["duels"]) == 20
    assert "NaN" not in analysis.as_json() and read["plan"]["focus"] == "kimchi"
    small = simulate(Design(raters=8, prompts=10, per_rater=5), 1)
    plan = Plan(focus="kimchi", draws=100)
    assert analyse(small, plan).as_json() == analyse(small, plan).as_json()


def test_reversed_criteria_are_turned_everywhere_but_in_the_raw_scores(analysis: Analysis) -> None:
    raw = {one.model: one.mean for one in analysis.scores if one.criterion == "errors"}
    turned = {one.model: one.estimate.value for one in analysis.criteria[1].means}
    for model in MODELS:
        assert turned[model] == pytest.approx(6 - (raw[model] or 0))
    assert analysis.criteria[1].reversed and not analysis.criteria[0].reversed


def test_every_reason_has_its_sentences() -> None:
    assert all(why.english.endswith(".") and why.korean.endswith(".") for why in Why if why)
    assert Why.GIVEN.english == Why.GIVEN.korean == ""


VALUES = st.sampled_from([None, 1, 2, 3, 4, 5])


@st.composite
def tables(draw: st.DrawFn) -> Ratings:
    """Few or many raters, prompts and models, with holes, and values from anything to always the same."""
    raters, prompts = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    models, criteria = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    values = draw(st.sampled_from([VALUES, st.just(3), st.just(None), st.sampled_from([1, 5]), st.sampled_from([4, 5])]))
    share, offset = draw(st.sampled_from([1.0, 0.6, 0.2])), draw(st.sampled_from([0, 10**30]))
    kept = np.random.default_rng(draw(st.integers(0, 9))).random((raters, prompts, models, criteria)) <= share
    kept.flat[0] = True
    rows = np.argwhere(kept)
    cells = draw(st.lists(values, min_size=len(rows), max_size=len(rows)))
    columns = [[int(code) + offset for code in column] for column in rows.T]
    names = [str(offset + k) for k in range(3)]
    return from_columns(dict(zip(("rater", "prompt", "model", "criterion"), columns, strict=True)) | {"value": cells}, models=names)


def wild(table: Ratings) -> None:
    """An answer without one NaN, and a reason wherever a number is not given; nothing is raised, nothing warned of."""
    first, photograph = table.models[0], table.models[-1]
    found = analyse(table, Plan(focus=first, photograph=photograph, draws=100, metrics={"m": {(table.prompts[0], first): 1.0}}))
    json.loads(found.as_json())
    for one in found.criteria:
        for part in (*one.contrasts, *one.mixed.contrasts, *one.deltas):
            assert part.estimate.p is not None or part.estimate.low is not None or part.estimate.why
        wide = [part for part in one.contrasts if part.inference == "prompts like these"]
        assert one.claim.inference == "prompts like these" or all(part.estimate.p is None for part in wide)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_wild_tables_are_answered(table: Ratings) -> None:
    wild(table)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_many_wild_tables_are_answered(table: Ratings) -> None:
    wild(table)


def grid(values: dict[str, list[int]], raters: int = 8, prompts: int = 12) -> Ratings:
    rows = [(f"r{r}", f"p{p}", m, "x", v[(3 * r + 5 * p) % len(v)]) for r in range(raters) for p in range(prompts) for m, v in values.items()]
    return from_columns(dict(zip(("rater", "prompt", "model", "criterion", "value"), zip(*rows, strict=True), strict=True)))


def test_complete_separation_is_said_and_not_fitted() -> None:
    one = analyse(grid({"a": [5], "b": [1, 2, 3, 4, 2], "c": [2, 3, 1, 4, 4]}), Plan(focus="a", draws=100)).criteria[0]
    assert one.mixed.left_out == ("a",)
    assert {part.estimate.why for part in one.mixed.contrasts} == {Why.SEPARATED}
    assert one.contrasts[0].estimate.value is not None
    apart = analyse(grid({"a": [4, 5], "b": [1, 2]}), Plan(focus="a", draws=100)).criteria[0]
    assert apart.mixed.contrasts[0].estimate.why == Why.SEPARATED and apart.mixed.contrasts[0].odds_ratio is None


def test_empty_categories_have_no_threshold() -> None:
    one = analyse(grid({"a": [1, 5, 5], "b": [5, 1, 1, 1]}), Plan(focus="a", draws=100)).criteria[0]
    assert one.mixed.values == (1, 5) and len(one.mixed.thresholds) == 1


def test_a_rater_of_one_value_is_told_apart_from_an_estimate() -> None:
    rows = [(f"r{r}", f"p{p}", m, "x", 1 + r % 5) for r in range(8) for p in range(12) for m in "ab"]
    table = from_columns(dict(zip(("rater", "prompt", "model", "criterion", "value"), zip(*rows, strict=True), strict=True)))
    one = analyse(table, Plan(focus="a", draws=100)).criteria[0]
    assert one.contrasts[0].estimate.why == Why.NO_VARIATION and one.mixed.why == Why.UNSTABLE


def test_a_study_of_full_size_in_time() -> None:
    table, wall, cpu = simulate(FULL, 1), perf_counter(), process_time()
    found = analyse(table, Plan(focus="kimchi", photograph="photo"))
    print(f"53 x 20 x 5 x 3 in full: {perf_counter() - wall:.1f} s, {process_time() - cpu:.1f} s of CPU")
    assert process_time() - cpu < 60
    assert all(one.mixed.why == Why.GIVEN for one in found.criteria)


@pytest.mark.slow
def test_a_million_ratings_described_in_time() -> None:
    table = simulate(Design(raters=16_700, prompts=60, models=MODELS[:3], per_rater=20), 1)
    names = {key: [getattr(table, names)[k] for k in getattr(table, key)] for key, names in (("rater", "raters"), ("prompt", "prompts"), ("model", "models"))}
    columns = names | {"criterion": ["alignment"] * len(table), "value": table.value.tolist(), "position": table.position.tolist()}
    cpu = process_time()
    read = from_columns(columns)
    built = process_time() - cpu
    described = (scores(read), cells(read), position_scores(read))
    print(f"{len(read):,} ratings: table from columns {built:.1f} s, described {process_time() - cpu - built:.1f} s of CPU")
    assert len(read) >= 1_000_000 and all(described)
    assert process_time() - cpu < 10


def test_a_table_without_the_focus_is_refused() -> None:
    with pytest.raises(DataError, match="'kimchi' is no model of these ratings; they have a, b"):
        analyse(grid({"a": [1, 2], "b": [3, 4]}), PLAN)
