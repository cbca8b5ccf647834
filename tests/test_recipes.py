"""Recipes: every shipped one is whole and documented, and every way to get one wrong is explained."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kimchi import parts, recipes
from kimchi.errors import OutputError, RecipeError

LORA = """\
# A LoRA for tests.
kind: lora
name: test
sources:
  - {captions: "sample-world:korean", share: 0.6}
  - {captions: "sample-world:general", share: 0.4}
steps: 10
"""
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, name: str = "test.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return _write


@pytest.mark.parametrize("name", recipes.list_recipes())
class TestShipped:
    def test_parses_and_survives_its_own_yaml(self, name: str, write: Write) -> None:
        recipe = recipes.load_recipe(name)
        again = recipes.load_recipe(write(recipes.to_yaml(recipe)))
        assert again == recipe
        assert recipes.recipe_hash(again) == recipes.recipe_hash(recipe)

    def test_opens_with_its_manual(self, name: str) -> None:
        text = (recipes.HOME / name).read_text(encoding="utf-8")
        header = text.split("kind:")[0]
        assert len(recipes.headline(recipes.HOME / name)) > 20
        assert "kimchi " in header, "the header gives the command"

    def test_is_found_by_its_bare_name(self, name: str) -> None:
        kind = recipes.load_recipe(name).kind
        assert recipes.find_recipe(Path(name).stem, (kind,)) == recipes.HOME / name

    def test_stands_in_the_table_of_its_folder(self, name: str) -> None:
        folder, _, file = name.partition("/")
        assert file in (recipes.HOME / folder / "README.md").read_text(encoding="utf-8")


def test_something_is_shipped() -> None:
    assert recipes.list_recipes()


@pytest.mark.parametrize(
    "schema",
    [
        *(recipes.PrepareRecipe, recipes.LoraRecipe, recipes.MiniPartRecipe, recipes.Lora, recipes.Source),
        *(recipes.AlignRecipe, recipes.Parallel, recipes.Latents, recipes.TextStage, recipes.UnetStage, recipes.Measure),
        *(recipes.ScoreRecipe, recipes.Metric),
    ],
)
def test_every_knob_is_described(schema: type[recipes.Lora]) -> None:
    silent = [name for name, field in schema.model_fields.items() if not field.description and name != "kind"]
    assert silent == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("stepz: 3\n", r"`stepz` is not a key here; did you mean `steps`\?"),
        ("lora: {rnk: 3}\n", r"`lora\.rnk` is not a key here; did you mean `rank`\?"),
        ("lora: {quux: 3}\n", r"`lora\.quux` is not a key here; the keys are alpha, dora, rank, rslora, targets\."),
        ("lora: {rank: 0}\n", r"`lora\.rank` is 0: Input should be greater than or equal to 1\."),
        ("batch: many\n", r"`batch` is 'many': Input should be a valid integer"),
        ("steps: 20\n", r"the key `steps` is given twice"),
        ("a: [\n", r"cannot be read as YAML"),
        ("1: 2\n", r"test\.yaml"),
    ],
)
def test_a_mistake_is_explained(write: Write, change: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        recipes.load_recipe(write(LORA + change))
    assert "\n" not in str(caught.value)


def test_a_key_of_another_section_is_no_suggestion(write: Write) -> None:
    with pytest.raises(RecipeError, match=r"`sources\.0\.shares` is not a key here; did you mean `share`"):
        recipes.load_recipe(write(LORA.replace("share: 0.6", "share: 0.6, shares: 1")))


def test_a_misspelt_key_is_told_the_keys_of_its_own_section(write: Write) -> None:
    recipe = recipes.load_recipe(write(LORA), kind="lora")
    sections = {name: value for name, value in recipe if isinstance(value, recipes.Strict)}
    assert {"timesteps", "optimiser", "machine"} <= sections.keys()
    for name, section in sections.items():
        with pytest.raises(RecipeError, match=rf"`{name}\.qqqq` is not a key here; the keys are {', '.join(sorted(type(section).model_fields))}\."):
            recipes.load_recipe(write(LORA), (f"{name}.qqqq=1",))


def test_shares_fill_a_batch(write: Write) -> None:
    with pytest.raises(RecipeError, match=r"add up to 0\.9, and must add up to 1"):
        recipes.load_recipe(write(LORA), ("sources.0.share=0.5",))


def test_missing_keys_are_named_and_counted(write: Write) -> None:
    with pytest.raises(RecipeError, match=r"`name` is missing; add it, or pass --set name=VALUE\..*And 3 more\."):
        recipes.load_recipe(write("kind: mini\n"), ("seed=-1", "minutes=5"))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n"])
def test_not_a_mapping(write: Write, text: str) -> None:
    with pytest.raises(RecipeError, match="a recipe is a YAML mapping"):
        recipes.load_recipe(write(text))


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match="cannot be read as YAML"):
        recipes.load_recipe(str(tmp_path / "x.yaml"))


def test_a_byte_order_mark_and_korean_are_read(write: Write) -> None:
    recipe = recipes.load_recipe(write("\ufeff" + LORA.replace("name: test", "name: 한국 음식")), kind="lora")
    assert recipe.name == "한국 음식"


@pytest.mark.parametrize("kind", ["train", "[lora]", "null", "{}"])
def test_an_unknown_kind_lists_the_kinds(write: Write, kind: str) -> None:
    with pytest.raises(RecipeError, match="a recipe is one of prepare, lora, mini"):
        recipes.load_recipe(write(LORA.replace("kind: lora", f"kind: {kind}")))


def test_a_wrong_kind_names_the_right_one(write: Write) -> None:
    with pytest.raises(RecipeError, match="kind is 'lora', and this command runs prepare"):
        recipes.load_recipe(write(LORA), kind="prepare")


def test_an_unknown_recipe_lists_the_shipped_ones_and_the_nearest() -> None:
    near = Path(recipes.list_recipes()[0]).stem
    with pytest.raises(RecipeError, match=rf"Did you mean {near}\?.*Shipped: .*{near}\.yaml"):
        recipes.find_recipe(f"{near}x")


def test_two_recipes_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "HOME", tmp_path)
    for folder, text in (("training", LORA), ("pipelines", "kind: prepare\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "food.yaml").write_text(text)
    assert recipes.find_recipe("food", ("lora", "mini")) == tmp_path / "training/food.yaml"
    with pytest.raises(RecipeError, match=r"pipelines/food\.yaml and training/food\.yaml share that name"):
        recipes.find_recipe("food")


class TestSet:
    def test_reaches_sections_and_lists(self, write: Write) -> None:
        changes = ("lora.rank=8", "learning_rate=1e-3", "sources.1.per_concept=5", "name=김치=백김치", "out=")
        recipe = recipes.load_recipe(write(LORA), changes, kind="lora")
        assert (recipe.lora.rank, recipe.learning_rate, recipe.sources[1].per_concept, recipe.name, recipe.out) == (8, 1e-3, 5, "김치=백김치", "")

    @pytest.mark.parametrize(
        ("assignment", "said"),
        [
            ("steps", "must read key=value"),
            ("=3", "must read key=value"),
            ("steps.deep=3", "has nothing under 'deep'"),
            ("sources.7.share=1", "has nothing under '7'"),
            ("sources.x.share=1", "has nothing under 'x'"),
            ("steps=[", "is not YAML"),
            ("stepz=3", "did you mean `steps`"),
        ],
    )
    def test_a_bad_one_is_explained(self, write: Write, assignment: str, said: str) -> None:
        with pytest.raises(RecipeError, match=said.replace("[", r"\[")):
            recipes.load_recipe(write(LORA), (assignment,))

    @given(st.text(max_size=20))
    def test_nothing_typed_is_a_bug(self, assignment: str) -> None:
        name = recipes.list_recipes()[0]
        try:
            recipes.load_recipe(name, (assignment,))
        except RecipeError as error:
            assert str(error)


class TestHash:
    def test_what_changes_nothing_learned_does_not_count(self, write: Write) -> None:
        path = write(LORA)
        plain, moved, longer = (recipes.load_recipe(path, sets) for sets in ((), ("name=x", "out=y"), ("steps=11",)))
        assert recipes.recipe_hash(plain) == recipes.recipe_hash(moved) != recipes.recipe_hash(longer)


class TestCopy:
    def test_copies_and_never_overwrites(self, tmp_path: Path) -> None:
        name = recipes.list_recipes()[0]
        target = recipes.copy_recipe(name, tmp_path)
        assert target == tmp_path / Path(name).name
        assert yaml.safe_load(target.read_text(encoding="utf-8"))
        target.write_text("mine")
        with pytest.raises(OutputError, match="never overwrites"):
            recipes.copy_recipe(name, tmp_path)
        assert target.read_text() == "mine"

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot be written"):
            recipes.copy_recipe(recipes.list_recipes()[0], tmp_path / "file" / "below.yaml")


class TestParts:
    FAMILY = "kimchi.training.mini"

    def test_listing_the_folder_is_the_register(self, root: Path) -> None:
        files = {path.stem for path in (root / "kimchi/training/mini").glob("[!_]*.py")}
        assert set(parts.names(self.FAMILY)) == files

    def test_an_unknown_part_lists_the_known(self) -> None:
        with pytest.raises(RecipeError, match=r"mini: 'vea' is not one of .*vae"):
            parts.find(self.FAMILY, "Part", "vea")

    def test_ones_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "my_lab_part.py").write_text("class Mine: pass\nclass_of_none = 3\n")
        (tmp_path / "my_lab_broken.py").write_text("import no_such_library_at_all\n")
        monkeypatch.syspath_prepend(tmp_path)
        assert parts.find(self.FAMILY, "Part", "my_lab_part:Mine").__name__ == "Mine"
        for name in ("my_lab_part:Yours", "my_lab_part:class_of_none", "my_lab_part:"):
            with pytest.raises(RecipeError, match="holds no class"):
                parts.find(self.FAMILY, "Part", name)
        for name in ("no_lab:Mine", "my_lab_part.deeper:Mine", ":Mine", ".x:Mine"):
            with pytest.raises(RecipeError, match="Python finds no module"):
                parts.find(self.FAMILY, "Part", name)
        with pytest.raises(ModuleNotFoundError, match="no_such_library_at_all"):
            parts.find(self.FAMILY, "Part", "my_lab_broken:Mine")
