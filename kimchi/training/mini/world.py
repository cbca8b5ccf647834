"""The sample world as tensors: pictures drawn once and kept, so that a rerun starts at once."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kimchi.data.files import atomic_path, sha256
from kimchi.data.sample_world import Concept, Picture, pictures, render_svg
from kimchi.training.loop import Report

# Seeds of pictures never overlap between uses: what the recogniser learns from, no training picture shows.
FIRST_SEED = {
    "base": 0, "clip": 1_000_000, "korean": 2_000_000, "recogniser": 3_000_000, "recogniser-test": 4_000_000, "shapes": 5_000_000,
    "llava": 9_000_000, "llava-test": 9_500_000,
}  # fmt: skip


def draw(items: Sequence[Picture], cache: Path, size_px: int = 128, report: Report | None = None) -> torch.Tensor:
    """Pictures => uint8 tensor N 3 H W in RGB, drawn once and kept under `cache` by content of the drawing."""
    from kimchi.data.sample_world import scene_svg

    svgs = [scene_svg(p.concept.draw, p.attributes, p.seed) for p in items]
    return _rendered(svgs, cache, size_px, report)


def _rendered(svgs: list[str], cache: Path, size_px: int, report: Report | None) -> torch.Tensor:
    path = cache / f"pictures-{sha256(chr(0).join(svgs).encode())}-{size_px}.npy"
    if not path.is_file():
        array = np.empty((len(svgs), 3, size_px, size_px), np.uint8)
        for i, svg in enumerate(svgs):
            array[i] = np.asarray(render_svg(svg, size_px)).transpose(2, 0, 1)
            if report:
                report("drawing", i + 1, len(svgs))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    return torch.from_numpy(np.load(path))


def world_pictures(concepts: Sequence[Concept], per_concept: int, use: str) -> list[Picture]:
    """The pictures of one use of the world, concepts interleaved."""
    return list(pictures(concepts, per_concept, FIRST_SEED[use]))


def shapes(count: int, cache: Path, size_px: int = 128) -> torch.Tensor:
    """Abstract pictures (discs, bars, stripes, gradients in any colour): what a VAE needs to have seen beside the general world."""
    return _rendered([_shape_svg(FIRST_SEED["shapes"] + i) for i in range(count)], cache, size_px, None)


def _shape_svg(seed: int) -> str:
    rng = random.Random(seed)

    def colour() -> str:
        return f"#{rng.randrange(1 << 24):06x}"

    body = (
        f'<defs><linearGradient id="a" x1="{rng.random():.2f}" y2="1"><stop stop-color="{colour()}"/>'
        f'<stop offset="1" stop-color="{colour()}"/></linearGradient></defs>'
    )
    body += '<rect width="128" height="128" fill="url(#a)"/>'
    for _ in range(rng.randrange(6, 22)):
        x, y, w, h = (rng.uniform(0, 128) for _ in range(4))
        turn, line = rng.uniform(0, 180), rng.uniform(0, 5) * (rng.random() < 0.5)
        style = f'fill="{colour()}" stroke="{colour()}" stroke-width="{line:.1f}" transform="rotate({turn:.0f} {x:.0f} {y:.0f})"'
        kind = rng.randrange(4)
        if kind == 0:
            body += f'<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{w / 3:.0f}" ry="{h / 3:.0f}" {style}/>'
        elif kind == 1:
            body += f'<rect x="{x:.0f}" y="{y:.0f}" width="{w / 2:.0f}" height="{h / 2:.0f}" {style}/>'
        elif kind == 2:
            curve = f"M{x:.0f} {y:.0f} q{w:.0f} {h - 64:.0f} {h:.0f} {64 - w:.0f} t{w - 64:.0f} 30"
            body += f'<path d="{curve}" fill="none" stroke="{colour()}" stroke-width="{1 + 5 * rng.random():.1f}"/>'
        else:
            for i in range(6):
                body += f'<rect x="{x + 8 * i:.0f}" y="{y:.0f}" width="{2 + 3 * rng.random():.1f}" height="{h / 2:.0f}" {style}/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{body}</svg>'


def to_float(pictures_N3HW: torch.Tensor) -> torch.Tensor:
    """uint8 [0, 255] => float [-1, 1], channels last."""
    return (pictures_N3HW.float() / 127.5 - 1).to(memory_format=torch.channels_last)
