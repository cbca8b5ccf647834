"""DreamSim: how far a picture lies from the reference picture of its prompt, as people would say (Fu et al. 2023, NeurIPS, arXiv:2306.09344).

By the package dreamsim. Of its variants only those that it builds from its own files are used: for the others, the default ensemble among
them, it fetches code from the hub and runs it. Its checkpoints are pickles; it opens them with torch's unpickler that admits tensors only.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kimchi.data.files import hash_file, hash_files
from kimchi.data.pictures import decode
from kimchi.errors import ModelError, RecipeError
from kimchi.eval.scoring.answers import key_of
from kimchi.eval.scoring.arms import pictures_by_prompt
from kimchi.recipes.score import Metric as Section
from kimchi.records import MadeBy

from . import Found, Scene, Shown, Value
from ._summaries import means

Floats = NDArray[np.float64]
VARIANTS = {
    "open_clip_vitb32": ("open_clip_vitb32_pretrain.pth.tar", "open_clip_vitb32_single_lora"),
    "clip_vitb32": ("clip_vitb32_pretrain.pth.tar", "clip_vitb32_single_lora"),
}
"""What can be used, and what its checkpoint's zip holds."""
RELEASES = "https://github.com/ssundaram21/dreamsim/releases/tag/v0.2.0-checkpoints"
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
"""Under which names peft keeps an adapter; it opens the second as tensors only."""


class Metric:
    """One variant, one reference a prompt."""

    def __init__(self, section: Section) -> None:
        self.section = section.model_copy(update={"model": section.model or "open_clip_vitb32"})

    @cached_property
    def made_by(self) -> MadeBy:
        """The variant, the package's version, and the hash of its checkpoint."""
        files = self._files()
        return MadeBy(part="metric:dreamsim", model=f"dreamsim {_version()} {self.section.model}", model_hash=hash_files(files))

    def check(self, scene: Scene) -> None:
        """Refuse variants that run foreign code, and prompts without a reference picture."""
        of = self.section
        if of.model not in VARIANTS:
            raise RecipeError(f"metrics.{of.name}: {of.model!r} is not one of {', '.join(VARIANTS)}, which run no fetched code. Use one of these.")
        if not of.reference:
            raise RecipeError(f"metrics.{of.name}: names no `reference`. Give a condition among the pictures, or a folder, with a picture for each prompt.")
        if not self._references(scene):
            raise RecipeError(f"metrics.{of.name}: {of.reference} holds no picture named by a prompt id. Name them as the pictures are named: PROMPT_ID.jpg.")

    def measure(self, scene: Scene) -> Found:
        """A distance a picture, 0 for the same, and means; the reference is not compared with itself."""
        references = self._references(scene)
        shown = [one for one in scene.pictures if one.prompt.id in references and one.condition != self.section.reference]
        made_by = self.made_by
        values = [
            Value(metric=self.section.name, condition=one.condition, prompt=one.prompt.id, value=distance)
            for one, distance in zip(shown, self._distances(scene, shown, references, made_by.model_hash), strict=True)
        ]
        lacking = sum(prompt.id not in references for prompt in scene.prompts)
        return Found(
            values=tuple(values),
            summaries=means(scene, values, higher_is_better=False),
            notes=(f"{lacking} prompts have no reference picture and were passed over.",) if lacking else (),
            details={"reference": self.section.reference, "variant": self.section.model},
        )

    def _references(self, scene: Scene) -> dict[str, Path]:
        inside = scene.folder / self.section.reference
        return pictures_by_prompt(inside if inside.is_dir() else Path(self.section.reference).expanduser(), {prompt.id for prompt in scene.prompts})

    def _distances(self, scene: Scene, shown: list[Shown], references: dict[str, Path], of: str) -> list[float]:
        files = {one.path: one.sha256 for one in shown} | {path: hash_file(path) for path in references.values()}
        seen = self._seen(scene, files, of)
        # The package's own distance is 1 - cos of what it sees; each picture is looked at once, however many are compared with it.
        return [1 - _cosine(seen[one.sha256], seen[files[references[one.prompt.id]]]) for one in shown]

    def _seen(self, scene: Scene, files: dict[Path, str], of: str) -> dict[str, Floats]:
        left = [(sha, path) for path, sha in files.items() if scene.answers.get(key_of("dreamsim", of, sha)) is None]
        for done, (sha, path) in enumerate(left, 1):
            scene.answers.put(key_of("dreamsim", of, sha), self._look(path))
            scene.report(self.section.name, done, len(left))
        return {sha: np.array(scene.answers.get(key_of("dreamsim", of, sha))) for sha in files.values()}

    def _look(self, path: Path) -> list[float]:
        import torch

        model, prepare = self._opened
        pixels_BCHW = prepare(decode(path.read_bytes(), str(path))).to(next(model.parameters()).device)
        with torch.inference_mode():
            return model.embed(pixels_BCHW)[0].float().cpu().tolist()

    @cached_property
    def _opened(self) -> tuple[Any, Any]:
        import torch

        from kimchi.models.devices import find_device

        self._files()
        # By name: this file is called the same.
        package: Any = importlib.import_module("dreamsim")
        told = {"device": str(find_device(self.section.device)), "cache_dir": str(self._folder), "dreamsim_type": self.section.model}
        # It says on stdout which folder it reads, and stdout is data. And it adds its adapter twice, of which the one of the file counts.
        quiet = contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore", category=UserWarning)
        try:
            with torch.inference_mode(), quiet[0], quiet[1]:
                return package.dreamsim(pretrained=True, **told)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise ModelError(f"dreamsim {self.section.model}: {self._folder} cannot be opened ({str(error).splitlines()[0]}). Unpack it again.") from error

    @property
    def _folder(self) -> Path:
        return Path(self.section.weights).expanduser()

    def _files(self) -> list[Path]:
        """The checkpoint's files, all there.

        Raises:
            ModelError: the package or a file is not.
        """
        if importlib.util.find_spec("dreamsim") is None:
            raise ModelError("dreamsim: the package is not installed. Install it with: pip install 'kimchi-diffusion[eval]'.")
        weights, adapter = VARIANTS[self.section.model]
        inside = self._folder / adapter
        kept = next((inside / name for name in _ADAPTERS if (inside / name).is_file()), inside / _ADAPTERS[0])
        files = [self._folder / weights, inside / "adapter_config.json", kept]
        missing = [path for path in files if not path.is_file()]
        if missing or not self.section.weights:
            said = str(missing[0]) if self.section.weights else "`weights` is empty"
            raise ModelError(
                f"dreamsim {self.section.model}: its checkpoint is not here ({said}). Unpack its zip of {RELEASES}, and name the folder as `weights`."
            )
        return files


def _cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _version() -> str:
    return importlib.metadata.version("dreamsim")
