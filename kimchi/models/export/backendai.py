"""A model folder for Backend.AI's model service: the merged pipeline, and beside it what each of its variants reads.

One folder serves all of them: stock diffusers, and so vLLM, find the pipeline at its root; `kimchi serve` opens the same.

What is written satisfies both its documentation and its code, where the two differ:
- deployment settings stand flat, as the loader reads them, and under the variant's name, as the manuals show them;
- `initial_delay` is half an hour: the manuals call it the wait before the first probe, and the code ends a replica that is not healthy by then;
- no command holds a brace: `start_command` goes through an interpolator that takes {...} for a variable.
"""

import json
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from kimchi.data.files import write_text

from . import merged
from ._base import Run

PORT = 8000
"""Of the service. 2000 and 2001 are Backend.AI's own."""
MOUNT = "/models"
"""Where the folder is mounted, read-only."""
CACHE = "/home/work/.kimchi"
"""Where everything is written that is written at all."""
VERSION = version("kimchi-diffusion")
IMAGE = f"kimchi-serve:{VERSION}"
"""What `docker build` of the folder is asked to make."""
COMMAND = f"kimchi serve --model {MOUNT} --host 0.0.0.0 --port {PORT} --behind-backendai --no-demo --cache-dir {CACHE}"
"""0.0.0.0: the manager probes from outside the container."""
_DELAY_S = 1800.0


class Format(merged.Format):
    """The merged pipeline with the files of a model service."""

    def write(self, run: Run, folder: Path, dtype: torch.dtype | None) -> str:
        """A model folder; None for fp16."""
        main = super().write(run, folder, dtype)
        _write_yaml(folder / "model-definition.yaml", _MODEL_HEAD, model_definition(run))
        _write_yaml(folder / "deployment-config.yaml", _DEPLOYMENT_HEAD, deployment_config())
        write_text(folder / "service-definition.toml", _TOML_HEAD + _toml(deployment_config()))
        for name in ("Dockerfile", "SERVING.md"):
            write_text(folder / name, _filled(name, run))
        # A build needs a wheel at most, and would else send gigabytes of weights to the builder.
        write_text(folder / ".dockerignore", "*\n!*.whl\n")
        return main

    def notices(self, run: Run) -> list[str]:
        """What a person must be told, a sentence or two each."""
        return [f"Backend.AI에 올리는 방법은 SERVING.md에 있습니다. How to deploy it is in SERVING.md. The image `{IMAGE}` has to be built first."]


_MODEL_HEAD = "# For a Backend.AI model service of the variant `custom`. SERVING.md explains it.\n"
_DEPLOYMENT_HEAD = """\
# Image, resources and environment of the service. Said twice, and both must agree: the keys at the top are what the manager reads,
# those under `custom` what its manual shows.
"""
_TOML_HEAD = "# For managers before 26.4, which do not know deployment-config.yaml.\n"


def model_definition(run: Run) -> dict[str, Any]:
    """What model-definition.yaml says."""
    health = {"path": "/health", "interval": 10.0, "max_retries": 10, "max_wait_time": 15.0, "expected_status_code": 200, "initial_delay": _DELAY_S}
    service = {
        "pre_start_actions": [{"action": "mkdir", "args": {"path": CACHE}}],
        "start_command": COMMAND,
        "port": PORT,
        "health_check": health,
    }
    return {"models": [{"name": run.name, "model_path": MOUNT, "service": service, "metadata": _metadata(run)}]}


def _metadata(run: Run) -> dict[str, Any]:
    return {
        "title": f"KIMCHI {run.name}",
        "version": run.digest[:16],
        "description": "Pictures from Korean prompts, behind OpenAI's images API.",
        "task": "text-to-image",
        "category": "Image",
        "architecture": "Stable Diffusion, LoRA merged in",
        "framework": ["pytorch", "diffusers"],
        "label": ["korean", "text-to-image", *(["miniature"] if run.card.get("miniature") else [])],
        "license": "Apache-2.0" if run.card.get("miniature") else "see README.md",
        "min_resource": {"cpu": 2, "mem": "8g"},
    }


def deployment_config() -> dict[str, Any]:
    """What deployment-config.yaml says: flat, and once more under the variant."""
    slots, options = {"cpu": 4, "mem": "16g"}, {"shmem": "1g"}
    environ = {
        "KIMCHI_HOME": f"{CACHE}/home", "HF_HOME": f"{CACHE}/huggingface", "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
        "HF_HUB_OFFLINE": "1", "MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    flat: dict[str, Any] = {"image": IMAGE, "architecture": "x86_64", "resource_slots": slots, "resource_opts": options, "environ": environ}
    nested = {
        "environment": {"image": IMAGE, "architecture": "x86_64"},
        "resource_slots": dict(slots),
        "resource_opts": dict(options),
        "environ": dict(environ),
    }
    return {**flat, "custom": nested}


def _write_yaml(path: Path, head: str, value: dict[str, Any]) -> None:
    import yaml

    # One line a string: a folded command is a command with a line end in it to some readers.
    write_text(path, head + yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000))


def _toml(table: dict[str, Any], prefix: str = "") -> str:
    """TOML of strings, numbers and tables; plain values first, as the format needs it."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in table.items():
        if isinstance(value, dict):
            inner = _toml(value, f"{prefix}{key}.")
            text += f"\n[{prefix}{key}]\n{inner.lstrip()}" if any(not isinstance(one, dict) for one in value.values()) else inner
    return text


def _filled(name: str, run: Run) -> str:
    import jinja2

    template = (resources.files("kimchi.models") / "templates" / "backendai" / name).read_text(encoding="utf-8")
    page = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False).from_string(template)
    return page.render(name=run.name, image=IMAGE, command=COMMAND, port=PORT, mount=MOUNT, cache=CACHE, version=VERSION, delay=int(_DELAY_S))
