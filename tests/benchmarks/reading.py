"""Reading a nested zip: pictures decoded and resized a second, against unpacking it first, on the same pictures in the same run.

    python tests/benchmarks/reading.py                  about half a minute on 2 cores
    python tests/benchmarks/reading.py --count 400 --threads 1

Ours: archives.members, in_order, Photo.decode with least_px, resize. Theirs: zipfile unpacks the outer and the inner zips, then Pillow opens,
decodes and resizes file by file. Each round times both, in turns. A bar that is missed is printed as missed; nothing fails on it.
"""

import argparse
import io
import os
import platform
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from kimchi.data import archives
from kimchi.data.archives import Member
from kimchi.data.pictures import Photo
from kimchi.data.reading import in_order

SIDE_PX, TO_PX, BAR = 1024, 512, 1.5


def photo(seed: int) -> bytes:
    """A JPEG with detail at every scale, as photographs have: 1,024 px, quality 90."""
    rng, total = np.random.default_rng(seed), np.full((SIDE_PX, SIDE_PX, 3), 128.0)
    for side, weight in ((4, 60.0), (16, 40.0), (64, 20.0), (256, 10.0)):
        values = Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        total += (np.asarray(values, dtype=np.float64) - 128) / 128 * weight
    file = io.BytesIO()
    Image.fromarray(np.clip(total, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def delivery(path: Path, count: int) -> Path:
    """A stored zip of two stored zips, as kfood.zip is."""
    with zipfile.ZipFile(path, "w") as outer:
        for half in range(2):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as inner:
                for i in range(half, count, 2):
                    inner.writestr(f"김치/Img_{half:03}_{i:04}.jpg", photo(i))
            outer.writestr(f"{half}.zip", file.getvalue())
    return path


def ours(root: Path, threads: int) -> list[Image.Image]:
    """In place, several at a time, decoded at the scale that is asked for."""

    def one(member: Member) -> Image.Image:
        return Photo(member.read(), member.path).decode(least_px=TO_PX).resize((TO_PX, TO_PX), Image.Resampling.LANCZOS)

    return list(in_order(one, archives.members(root), count=threads))


def theirs(root: Path) -> list[Image.Image]:
    """Unpack, then open file by file."""
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        with zipfile.ZipFile(root) as outer:
            outer.extractall(folder)
        for inner in sorted(Path(folder).glob("*.zip")):
            with zipfile.ZipFile(inner) as archive:
                archive.extractall(inner.with_suffix(""))
        paths = sorted(Path(folder).rglob("*.jpg"))
        return [Image.open(path).convert("RGB").resize((TO_PX, TO_PX), Image.Resampling.LANCZOS) for path in paths]


def timed(work: Callable[[], list[Image.Image]]) -> tuple[float, list[Image.Image]]:
    """Seconds, and what was made."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Pictures read from a nested zip, decoded and resized, a second.")
    parser.add_argument("--count", type=int, default=120, help="pictures")
    parser.add_argument("--rounds", type=int, default=3, help="times each way is taken")
    parser.add_argument("--threads", type=int, default=0, help="0: one for each core")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, times = delivery(Path(folder) / "nested.zip", options.count), list[tuple[float, float]]()
        for _ in range(options.rounds):
            (mine, made), (other, reference) = timed(lambda: ours(root, options.threads)), timed(lambda: theirs(root))
            times.append((mine, other))
        difference = statistics.mean(float(np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).mean()) for a, b in zip(made, reference, strict=True))
        left = [path.name for path in Path(folder).iterdir() if path != root]
    a, b = (options.count / statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(other / mine for mine, other in times)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.count} JPEGs of {SIDE_PX} px => {TO_PX} px, median of {options.rounds} rounds")
    print(f"in place           {a:8.1f} pictures/s, files left on the disk: {len(left)}")
    print(f"unzip, then Pillow {b:8.1f} pictures/s")
    print(f"ratio {ratio:.2f}, bar {BAR}: {'met' if ratio >= BAR and not left else 'MISSED'}; mean difference {difference:.2f} of 255 levels")


if __name__ == "__main__":
    main()
