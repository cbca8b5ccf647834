"""The built wheel, in a venv that has only the light dependencies, from a folder that is not ours."""

import importlib.metadata
import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

LIGHT = ("typer", "pydantic", "pyyaml", "rich")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, root, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def kimchi_command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    _link_light(site)
    return folder / "bin" / "kimchi"


def _run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _link_light(site: Path) -> None:
    """Make the light dependencies, with what they need in turn, importable there, and nothing else that is installed here."""
    todo, done = list(LIGHT), set[str]()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        found = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if not file.parts[0].startswith((".", "_"))} | {"_yaml"}:
            source = Path(str(found.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
        needed = map(Requirement, found.requires or ())
        todo += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]


def test_what_it_holds(wheel: Path, root: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"kimchi/py.typed", "kimchi/cli/__init__.py", "kimchi/_recipes/data/README.md"} <= names
    for pattern in ("pipelines/**/*.yaml", "training/**/*.yaml", "eval/**/*.yaml", "data/cultures/*.yaml"):
        assert {f"kimchi/_recipes/{path.relative_to(root).as_posix()}" for path in root.glob(pattern)} <= names
    weights = {path.relative_to(root).as_posix() for path in root.glob("kimchi/weights/**/*.safetensors") if "checkpoints" not in path.parts}
    assert weights <= names
    strays = [name for name in names if "aihub/" in name or "/checkpoints/" in name or name.startswith(("tests/", "runs/", "training/", "data/"))]
    assert strays == []


def test_it_is_really_light(kimchi_command: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('torch', 'numpy', 'PIL', 'diffusers') if u.find_spec(n)])"
    assert _run(kimchi_command.parent / "python", "-c", code, cwd=tmp_path).strip() == "[]"


def test_recipes(kimchi_command: Path, tmp_path: Path, root: Path) -> None:
    listed = json.loads(_run(kimchi_command, "recipes", "list", "--json", cwd=tmp_path).splitlines()[-1])["recipes"]
    shipped = sorted(path.relative_to(root).as_posix() for folder in ("pipelines", "training", "eval") for path in (root / folder).rglob("*.yaml"))
    assert sorted(listed) == shipped
    name = shipped[0]
    assert _run(kimchi_command, "recipes", "copy", name, cwd=tmp_path).strip() == Path(name).name
    assert (tmp_path / Path(name).name).read_bytes() == (root / name).read_bytes()


def test_doctor(kimchi_command: Path, tmp_path: Path) -> None:
    found = json.loads(_run(kimchi_command, "doctor", "--json", cwd=tmp_path).splitlines()[-1])
    assert found["packages"]["torch"] == ""
    assert found["gpu"] is None
    assert "pip install" in found["next_step"]
    assert "unknown: torch is not installed" in _run(kimchi_command, "doctor", cwd=tmp_path)


def test_version(kimchi_command: Path, tmp_path: Path) -> None:
    assert _run(kimchi_command, "--version", cwd=tmp_path).strip() == f"kimchi {importlib.metadata.version('kimchi-diffusion')}"
