"""The shape of the house: who may import whom, what stays light, where Python may lie, and that everything public is explained."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kimchi"
MODULES = sorted(path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*.py"))
HEAVY = ("torch", "diffusers", "transformers", "peft", "datasets", "gradio", "numpy", "PIL", "rich", "pydantic")


def test_layers(root: Path) -> None:
    script = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([script, "--no-cache"], cwd=root, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_needs_nothing_heavy() -> None:
    code = f"import sys, kimchi.cli; kimchi.cli.main(['--help']); print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_no_python_in_the_recipe_folders(root: Path) -> None:
    assert [str(path) for folder in ("pipelines", "training", "eval", "data") for path in (root / folder).rglob("*.py") if "aihub" not in path.parts] == []


@pytest.mark.parametrize("folder", ["pipelines", "training", "eval", "data"])
def test_every_root_folder_says_what_belongs_there(root: Path, folder: str) -> None:
    text = (root / folder / "README.md").read_text(encoding="utf-8")
    assert "If Python imports it, it lives in `kimchi/`. If a person edits it to run something new, it lives here." in text


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_is_documented(root: Path, module: str) -> None:
    tree = ast.parse((root / module).read_text(encoding="utf-8"))
    silent = [name for name, node in _public(tree) if not ast.get_docstring(node)]
    assert silent == []


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The module, its public classes and functions, and the public methods of those classes."""
    yield "the module", tree
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _counts(node):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            yield from (
                (f"{node.name}.{below.name}", below) for below in node.body if isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef) and _counts(below)
            )


def _counts(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Public, and not merely one more signature or the override of an inherited method."""
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    return not function.name.startswith("_") and not decorators & {"overload", "override"}
