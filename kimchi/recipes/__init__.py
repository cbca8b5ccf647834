"""Recipes: YAML files that say everything a run does. Finding, listing, copying and reading them; the schemas lie beside."""

import difflib
import hashlib
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, get_args, overload

import yaml
from pydantic import BaseModel, ValidationError

from kimchi.errors import OutputError, RecipeError

from .align import AlignRecipe, Latents, Measure, Parallel, TextStage, UnetStage
from .lora import Aspect, HeldOut, Lora, LoraRecipe, Loss, Machine, Optimiser, Samples, Source
from .mini import MiniPartRecipe
from .prepare import PrepareRecipe, Writer
from .score import Metric, ScoreRecipe
from .strict import Strict
from .study import StudyRecipe

__all__ = [
    "FOLDERS",
    "HOME",
    "AlignRecipe",
    "Aspect",
    "HeldOut",
    "Latents",
    "Lora",
    "LoraRecipe",
    "Loss",
    "Machine",
    "Measure",
    "Metric",
    "MiniPartRecipe",
    "Optimiser",
    "Parallel",
    "Planned",
    "PrepareRecipe",
    "Recipe",
    "Samples",
    "ScoreRecipe",
    "Source",
    "Strict",
    "StudyRecipe",
    "TextStage",
    "UnetStage",
    "Writer",
    "copy_recipe",
    "find_recipe",
    "headline",
    "list_recipes",
    "load_recipe",
    "recipe_hash",
    "to_yaml",
]
_PACKAGE = Path(__file__).parent.parent
_BUNDLED = _PACKAGE / "_recipes"
HOME = _BUNDLED if _BUNDLED.is_dir() else _PACKAGE.parent
"""Where the recipe folders lie: bundled in a wheel, beside the package in a checkout."""
FOLDERS = ("pipelines", "training", "eval")
"""The folders that hold recipes; data/ holds cultures and terms, which are not run."""


Planned = PrepareRecipe | LoraRecipe | MiniPartRecipe | AlignRecipe
"""Recipes whose cost can be foreseen."""
Recipe = Planned | ScoreRecipe | StudyRecipe
"""Any recipe; its `kind` says which."""
_KINDS: dict[str, type[Recipe]] = {
    "prepare": PrepareRecipe,
    "lora": LoraRecipe,
    "mini": MiniPartRecipe,
    "align": AlignRecipe,
    "score": ScoreRecipe,
    "study": StudyRecipe,
}


def list_recipes() -> list[str]:
    """Every shipped recipe, as folder/name.yaml."""
    return [path.relative_to(HOME).as_posix() for folder in FOLDERS for path in sorted((HOME / folder).rglob("*.yaml"))]


def headline(path: Path) -> str:
    """The first comment line of a recipe: what it makes."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def find_recipe(name: str, kinds: tuple[str, ...] = ()) -> Path:
    """A path as given, or a shipped recipe by its name with or without folder and suffix: "training/mini_food.yaml", "mini_food".

    Args:
        kinds: settles which one is meant where two folders ship a recipe of one name; empty for any.

    Raises:
        RecipeError: nothing of that name, or several; the message lists them.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = list_recipes()
    found = [one for one in shipped if name in (one, one.removesuffix(".yaml"), Path(one).name, Path(one).stem)]
    if len(found) > 1 and kinds:
        found = [one for one in found if _read(HOME / one).get("kind") in kinds] or found
    if len(found) == 1:
        return HOME / found[0]
    if found:
        raise RecipeError(f"{name}: {' and '.join(found)} share that name. Give the folder too.")
    near = difflib.get_close_matches(Path(name).stem, [Path(one).stem for one in shipped], n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise RecipeError(
        f"{name}: no such file, and no shipped recipe has that name.{hint} Shipped: {', '.join(shipped) or 'none'}. `kimchi recipes list` describes them."
    )


def copy_recipe(name: str, destination: Path) -> Path:
    """Copy a recipe to a file, or into a folder under its own name, for editing. Never overwrites.

    Raises:
        RecipeError: no such recipe.
        OutputError: something of that name is there already, or the place cannot be written.
    """
    source = find_recipe(name)
    target = destination / source.name if destination.is_dir() else destination
    if target.exists():
        raise OutputError(f"{target}: is there already, and copying never overwrites. Name another file, or remove this one.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            _write_whole(file, source.read_bytes(), target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror}). Name a folder that is yours and has room.") from error
    return target


def _write_whole(file: BinaryIO, content: bytes, target: Path) -> None:
    try:
        file.write(content)
        file.flush()
    except OSError:
        target.unlink()
        raise


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: PyYAML keeps the last in silence, and the run is not the one that was read."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key `{name}` is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8-sig"), _OnceLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        # A YAML error tells its place on lines of its own; ours are one paragraph.
        raise RecipeError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}). Mend that place; `kimchi recipes list` names examples.") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: is {reprlib.repr(data)}, and a recipe is a YAML mapping of keys to values. `kimchi recipes list` names examples.")
    return cast(dict[str, Any], data)


def _below(target: Any, key: str, assignment: str) -> Any:
    """What lies under a key of a section, or under a number of a list; an absent section is made."""
    if isinstance(target, dict):
        return cast(dict[str, Any], target).setdefault(key, {})
    if isinstance(target, list) and key.isdecimal() and int(key) < len(cast(list[Any], target)):
        return cast(list[Any], target)[int(key)]
    raise RecipeError(
        f"--set {assignment}: the recipe has nothing under {key!r}. Sections are reached by name, lists by number: lora.rank=8, sources.0.share=0.5."
    )


def _override(data: dict[str, Any], assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    if not separator or not key.strip():
        raise RecipeError(f"--set {assignment}: must read key=value, for example --set steps=300 or --set lora.rank=8.")
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {assignment}: {text!r} is not YAML. Quote it, or write it into a copy of the recipe.") from error
    target: Any = data
    *parents, last = key.strip().split(".")
    for parent in parents:
        target = _below(target, parent, assignment)
    _below(target, last, assignment)
    target[int(last) if isinstance(target, list) else last] = value


@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["prepare"]) -> PrepareRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["lora"]) -> LoraRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["mini"]) -> MiniPartRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["align"]) -> AlignRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["score"]) -> ScoreRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: Literal["study"]) -> StudyRecipe: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: tuple[Literal["lora"], Literal["mini"]]) -> LoraRecipe | MiniPartRecipe: ...
@overload
def load_recipe(
    name: str, overrides: tuple[str, ...] = (), *, kind: tuple[Literal["prepare"], Literal["align"], Literal["lora"], Literal["mini"]]
) -> Planned: ...
@overload
def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: tuple[()] = ()) -> Recipe: ...


def load_recipe(name: str, overrides: tuple[str, ...] = (), *, kind: str | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, apply key=value overrides, and check it against its schema.

    Args:
        name: a path or the name of a shipped recipe.
        overrides: "key=value" with dots for sections; values are YAML.
        kind: the kinds the caller can run; empty for any.

    Raises:
        RecipeError: unreadable YAML, an unknown key (the nearest known one is named), a value out of range, a wrong kind.
    """
    wanted = (kind,) if isinstance(kind, str) else kind
    path = find_recipe(name, wanted)
    data = _read(path)
    for assignment in overrides:
        _override(data, assignment)
    found = data.get("kind")
    if not isinstance(found, str) or found not in (wanted or _KINDS):
        rule = f"this command runs {' or '.join(wanted)}" if wanted else f"a recipe is one of {', '.join(_KINDS)}"
        raise RecipeError(f"{path}: kind is {reprlib.repr(found)}, and {rule}. `kimchi recipes list` shows which recipe is which.")
    try:
        return _KINDS[found].model_validate(data)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    except ValidationError as error:
        raise RecipeError(_explain(path, _KINDS[found], error)) from error


def _explain(path: Path, schema: type[BaseModel], error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    said = [_explain_one(schema, cast(dict[str, Any], problem)) for problem in problems[:3]]
    if len(problems) > 3:
        said.append(f"And {len(problems) - 3} more.")
    return f"{path}: " + " ".join(said)


def _explain_one(schema: type[BaseModel], problem: dict[str, Any]) -> str:
    """One problem as value, rule, next step."""
    place = [str(part) for part in problem["loc"]]
    where = ".".join(place)
    if problem["type"] == "extra_forbidden":
        known = sorted(_section(schema, place[:-1]).model_fields)
        near = difflib.get_close_matches(place[-1], known, n=1)
        return f"`{where}` is not a key here; " + (f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(known)}.")
    if problem["type"] == "missing":
        return f"`{where}` is missing; add it, or pass --set {where}=VALUE."
    return f"`{where}` is {reprlib.repr(problem['input'])}: {problem['msg']}."


def _section(schema: type[BaseModel], place: list[str]) -> type[BaseModel]:
    """The schema of what lies at a place; names of a mapping's entries and numbers of a list's lead nowhere further."""
    for part in place:
        field = schema.model_fields.get(part)
        schema = next(_schemas(field.annotation), schema) if field else schema
    return schema


def _schemas(annotation: Any) -> Iterator[type[BaseModel]]:
    """The schemas that a field's type speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _schemas(part)


def to_yaml(recipe: BaseModel) -> str:
    """A resolved recipe, every default written out, as YAML that load_recipe reads back to the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False)


def recipe_hash(recipe: Strict) -> str:
    """First 16 hex digits of the SHA-256 of what counts of a resolved recipe: places and speeds change nothing made."""
    return hashlib.sha256(json.dumps(recipe.hashed(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
