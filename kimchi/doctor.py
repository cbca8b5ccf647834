"""`kimchi doctor`: what this machine has, what it can run, and the next step. Needs none of the heavy libraries."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""Where the miniature suite lies in the package."""
SUITE = (
    "mini-base/vae",
    "mini-base/text_encoder",
    "mini-base/unet",
    "mini-korean-clip",
    "mini-aligned-clip",
    "mini-ko",
    "recogniser",
    "mini-llava",
    "mini-llama",
)
"""Its parts: every folder there that holds a card."""
PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "datasets", "open_clip_torch", "resvg_py", "pydantic", "typer", "rich")
_GIB = 2**30
# Fonts that macOS and Windows ship, for machines without fontconfig.
_SYSTEM_FONTS = ("/System/Library/Fonts/AppleSDGothicNeo.ttc", "C:/Windows/Fonts/malgun.ttf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One folder of the miniature suite."""

    name: str
    size_mib: float
    state: str
    """complete, unverified (no card gives a hash), missing, or corrupted: with the files that do not match their card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """An accelerator that torch can use."""

    name: str
    memory_gib: float
    """Its memory, GiB; 0 where it shares the machine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found. Sizes that the system does not tell are 0."""

    platform: str
    python: str
    cores: int
    """Cores this process may use, container limits included."""
    memory_gib: float
    disk_free_gib: float
    """Free space where the command was started."""
    gpu: Gpu | None
    weights: tuple[Weights, ...]
    korean_fonts: tuple[str, ...]
    packages: dict[str, str]
    """Distribution -> version, empty when it is not installed."""
    can_run: dict[str, str]
    """Task -> yes, slowly, or no, with the reason."""
    next_step: str


def examine(weights: Path = WEIGHTS) -> Diagnosis:
    """Look at this machine. Reads every shipped weight once, to hash it; imports torch if it is there, to ask for a GPU."""
    gpu, cores, memory = find_gpu(), count_cores(), memory_gib()
    suite = tuple(replace(check_weights(weights / name), name=name) for name in SUITE)
    packages = {name: _version(name) for name in PACKAGES}
    return Diagnosis(
        platform=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=cores,
        memory_gib=memory,
        disk_free_gib=round(shutil.disk_usage(Path.cwd()).free / _GIB, 1),
        gpu=gpu,
        weights=suite,
        korean_fonts=korean_fonts(),
        packages=packages,
        can_run=judge(memory, gpu, suite, bool(packages["torch"])),
        next_step=_next_step(packages, suite),
    )


def count_cores() -> int:
    """Cores this process may use: its affinity, and a container's quota where one is set."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _line("/sys/fs/cgroup/cpu.max").partition(" ")
    return min(cores, max(1, int(quota) // int(period))) if quota.isdecimal() and period.isdecimal() else cores


def memory_gib() -> float:
    """Memory of the machine, or of the container where that is less, GiB; 0 where the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0.0
    limit = _line("/sys/fs/cgroup/memory.max")
    return round(min(total, int(limit) if limit.isdecimal() else total) / _GIB, 1)


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def find_gpu() -> Gpu | None:
    """The first accelerator torch sees; None without one or without torch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Gpu(name=properties.name, memory_gib=round(properties.total_memory / _GIB, 1))
    return Gpu(name="Apple GPU", memory_gib=0.0) if torch.backends.mps.is_available() else None


def check_weights(folder: Path) -> Weights:
    """Is a part of the suite there, and are its files the ones its cards name?"""
    files = [path for path in folder.rglob("*.safetensors") if "checkpoints" not in path.relative_to(folder).parts]
    size = round(sum(path.stat().st_size for path in files) / 2**20, 1)
    promised = dict(_promised(folder))
    wrong = sorted(path.name for path, digest in promised.items() if _sha256(path) != digest)
    if wrong:
        state = f"corrupted: {', '.join(wrong)}"
    elif not files:
        state = "missing"
    else:
        state = "complete" if promised else "unverified"
    return Weights(name=folder.name, size_mib=size, state=state)


def _promised(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each weight file that a card names, and the SHA-256 it promises."""
    for card in sorted(folder.rglob("card.json")):
        try:
            hashes = json.loads(card.read_text(encoding="utf-8")).get("sha256", {})
        except (ValueError, AttributeError):
            yield card, "a card that can be read"
            continue
        yield from ((card.parent / name, str(digest)) for name, digest in hashes.items())


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def korean_fonts() -> tuple[str, ...]:
    """Families that can draw Hangul, by fontconfig where it is installed."""
    if shutil.which("fc-list") is None:
        return tuple(Path(path).stem for path in _SYSTEM_FONTS if Path(path).is_file())
    listed = subprocess.run(["fc-list", ":lang=ko", "family"], capture_output=True, text=True, check=False).stdout
    return tuple(sorted({line.split(",")[0].strip() for line in listed.splitlines() if line.strip()}))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def judge(memory: float, gpu: Gpu | None, suite: tuple[Weights, ...], has_torch: bool) -> dict[str, str]:
    """What this machine can run.

    The miniature's 4 GiB is what its quickstart may use. The full-size figures are rules of thumb: Stable Diffusion 1.5 in half precision
    takes about 2 GiB of weights, and its LoRA was trained on an 11 GB card at 512 pixels (diffusers, docs/source/en/training/lora.md).
    """
    usable = has_torch and all(part.state in ("complete", "unverified") for part in suite)
    return {
        "the miniature": "no: weights or torch are missing, see above" if not usable else _enough(memory, 4, "GiB of memory"),
        "Stable Diffusion 1.5, pictures": "yes" if gpu else "slowly: without a GPU, about a minute a picture or more",
        "Stable Diffusion 1.5, training": _enough(gpu.memory_gib, 11, "GB on the GPU")
        if gpu and gpu.memory_gib
        else "no: it wants an NVIDIA GPU of about 11 GB",
    }


def _enough(have: float, want: float, what: str) -> str:
    # A card sold as 11 GB reports a little less, and 0 means that the system does not tell.
    return "yes" if not have or have >= 0.93 * want else f"hardly: it wants about {want:g} {what}, and there are {have:g}"


def _next_step(packages: dict[str, str], suite: tuple[Weights, ...]) -> str:
    absent = [name for name, version in packages.items() if not version]
    if absent:
        return f"Install what is missing ({', '.join(absent)}): pip install kimchi-diffusion"
    broken = [part.name for part in suite if part.state == "missing" or part.state.startswith("corrupted")]
    if broken:
        again = "pip install --force-reinstall --no-deps kimchi-diffusion"
        return f"Install kimchi again to restore {', '.join(broken)}: {again} (in a checkout: git checkout kimchi/weights)"
    return "kimchi generate '한국의 라면을 그려줘'"


def describe(found: Diagnosis) -> str:
    """The diagnosis as lines for a person."""
    gpu = f"{found.gpu.name}, {found.gpu.memory_gib:g} GiB" if found.gpu else "none" if found.packages["torch"] else "unknown: torch is not installed"
    rows = [
        ("machine", f"{found.platform}, Python {found.python}"),
        ("cores", str(found.cores)),
        ("memory", f"{found.memory_gib:g} GiB"),
        ("disk free", f"{found.disk_free_gib:g} GiB"),
        ("GPU", gpu),
        ("Korean fonts", ", ".join(found.korean_fonts[:4]) or "none: Korean in pictures of reports may show as boxes; install fonts-noto-cjk or Nanum"),
        *((f"weights {part.name}", f"{part.state}, {part.size_mib:g} MiB") for part in found.weights),
        *((name, version or "not installed") for name, version in found.packages.items()),
        *((f"can it run {task}", verdict) for task, verdict in found.can_run.items()),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
