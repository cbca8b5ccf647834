"""The numbers of the spine, measured on this machine and printed beside what they should be; `make bench` runs it.

    python tests/benchmarks/spine.py                          everything: about half an hour on 2 cores
    python tests/benchmarks/spine.py --part mini --part speed
    python tests/benchmarks/spine.py --part mini --sheet mini.png --json mini.json
    python tests/benchmarks/spine.py --part mini --pictures runs/spine     stopped, the same command goes on; another recogniser judges the same pictures

Prompts are the captions of pictures of the sample world whose seeds no training, no test and no recogniser has used. The same
prompt has the same seed in every arm. Nothing here fails on a number: a bar that is missed is printed as missed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from kimchi import Kimchi
from kimchi.data.files import atomic_path, sha256, write_json
from kimchi.data.sample_world import Picture, pictures, worlds
from kimchi.data.sample_world.captions import captions, noun
from kimchi.eval.intervals import Share, paired_difference
from kimchi.eval.score import Score, score
from kimchi.models.places import weights_folder
from kimchi.models.recogniser import Recogniser

FIRST_SEED = 12_000_000
"""Of the pictures whose captions are asked for, and of the drawings. Take others once anybody has looked at what these give and changed something."""
FORMS = ("rich", "noun")
CHUNK = 64
SPEED = """
import json, time
began = time.perf_counter()
from kimchi import Kimchi
imported = time.perf_counter()
painter = Kimchi.load("mini")
loaded = time.perf_counter()
painter.generate("한국의 라면을 그려줘", seed=7)
first = time.perf_counter()
for seed in range(8, 12):
    painter.generate("한국의 라면을 그려줘", seed=seed)
print(json.dumps({"import": imported - began, "load": loaded - imported, "first": first - loaded, "picture": (time.perf_counter() - first) / 4}))
"""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One picture to ask for."""

    picture: Picture
    form: str
    text: str
    stated: dict[str, str]
    """The attributes that the text states."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    bar: str
    measured: str
    met: bool | None = None
    """None where there is nothing to meet."""


@dataclass(kw_only=True)
class Bench:
    """What has been loaded and drawn so far; every arm is drawn once."""

    per_concept: int
    sheet: Path | None
    pictures: Path | None = None
    """Where what is drawn is kept, and found again."""
    recogniser: Recogniser = field(default_factory=lambda: Recogniser.load(weights_folder() / "recogniser"))
    scores: dict[str, Score] = field(default_factory=dict[str, Score])

    def arm(self, model: str, world: str, language: str, form: str) -> Score:
        """Draw and score one arm: a model, the prompts of one world in one language and one form."""
        name = f"{model}-{world}-{language}-{form}"
        if name not in self.scores:
            asked = prompts(world, language, form, self.per_concept)
            images = _drawn(model, asked, name, self.pictures)
            slugs = [p.picture.concept.slug for p in asked]
            self.scores[name] = score(list(zip(images, slugs, strict=True)), self.recogniser, [p.stated for p in asked])
            if self.sheet:
                write_sheet(images, asked, self.recogniser, self.sheet.with_name(f"{self.sheet.stem}-{name}{self.sheet.suffix or '.png'}"))
        return self.scores[name]


def prompts(world: str, language: str, form: str, per_concept: int) -> list[Prompt]:
    """Captions of pictures of unseen seeds, or their nouns."""
    made: list[Prompt] = []
    for picture in pictures(worlds(world), per_concept, FIRST_SEED):  # type: ignore[arg-type]
        twin = captions(picture) if form == "rich" else noun(picture.concept)
        stated = {name: str(getattr(picture.attributes, name)) for name in twin.stated}
        made.append(Prompt(picture=picture, form=form, text=getattr(twin, language), stated=stated))
    return made


def _drawn(model: str, asked: Sequence[Prompt], name: str, folder: Path | None) -> list[Image.Image]:
    painter = Kimchi.load(model, device="cpu")
    images: list[Image.Image] = []
    for start in range(0, len(asked), CHUNK):
        texts = [p.text for p in asked[start : start + CHUNK]]
        # Weights, words and seed are in the name: nothing that is found there is out of date.
        key = sha256(json.dumps([painter.model.hashes, texts, FIRST_SEED + start], sort_keys=True).encode())
        kept = [folder / f"{key}-{i:02d}.png" for i in range(len(texts))] if folder else []
        if not kept or not all(path.is_file() for path in kept):
            drawn = [made.image for made in painter.generate(texts, seed=FIRST_SEED + start, batch=16)]
            for path, image in zip(kept, drawn, strict=False):
                with atomic_path(path) as temporary:
                    image.save(temporary, "PNG")
        images += [Image.open(path).convert("RGB") for path in kept] if kept else drawn
        print(f"\r{name}: {len(images)}/{len(asked)}", end="\n" if len(images) == len(asked) else "", file=sys.stderr, flush=True)
    return images


def write_sheet(images: Sequence[Image.Image], asked: Sequence[Prompt], recogniser: Recogniser, path: Path, columns: int = 8) -> None:
    """A contact sheet to look at: under each picture what its prompt stated; under that what the recogniser saw, in red where it differs."""
    side, foot, font = images[0].width, 46, ImageFont.load_default(10)
    sheet = Image.new("RGB", (columns * (side + 8), -(-len(images) // columns) * (side + foot)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (image, prompt, sight) in enumerate(zip(images, asked, recogniser.see(images), strict=True)):
        x, y = i % columns * (side + 8), i // columns * (side + foot)
        sheet.paste(image, (x, y))
        words = f"{prompt.picture.concept.slug}\n{' '.join(prompt.stated.values())}"
        pen.multiline_text((x, y + side + 1), words, fill="black", font=font, spacing=1)
        right = sight.concept == prompt.picture.concept.slug
        pen.text((x, y + side + 29), f"{sight.concept} {sight.confidence:.2f}", fill="green" if right else "red", font=font)
    with atomic_path(path) as temporary:
        sheet.save(temporary, "PNG")
    print(path, file=sys.stderr)


def _said(share: Share) -> str:
    return f"{100 * share.share:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f}) of {share.n}"


def _recognised(what: str, found: Score, bar: float | None = None) -> Row:
    met = None if bar is None else found.recognised.share >= bar
    return Row(what=what, bar="reported" if bar is None else f">= {100 * bar:.0f} %", measured=_said(found.recognised), met=met)


def base(bench: Bench) -> list[Row]:
    """The base on what it was taught."""
    rich, alone = (bench.arm("mini-base", "general", "en", form) for form in FORMS)
    held = ", ".join(f"{name} {100 * share.share:.0f} %" for name, share in rich.attributes.items())
    return [
        _recognised("base, English, general world: rich caption", rich, 0.90),
        _recognised("base, English, general world: noun alone", alone, 0.90),
        Row(what="  attributes shown where stated", bar="reported", measured=held),
    ]


def untaught(bench: Bench) -> list[Row]:
    """Korean prompts where nobody has taught Korean."""
    return [
        _recognised(f"{model}, Korean, Korean world: {form}", bench.arm(model, "korean", "ko", form)) for model in ("mini-base", "mini-raw") for form in FORMS
    ]


def mini(bench: Bench) -> list[Row]:
    """The shipped adapter on the whole Korean world."""
    rich, alone = (bench.arm("mini", "korean", "ko", form) for form in FORMS)
    held = ", ".join(f"{name} {100 * share.share:.0f} %" for name, share in rich.attributes.items())
    worst = sorted((row for found in (rich, alone) for row in found.per_concept), key=lambda row: row.recognised.share)[:5]
    return [
        _recognised("mini, Korean, Korean world: rich caption", rich, 0.90),
        _recognised("mini, Korean, Korean world: noun alone", alone, 0.85),
        *(
            Row(what=f"  look-alike drawn instead: {form}", bar="<= 5 %", measured=_said(found.look_alike), met=found.look_alike.share <= 0.05)
            for form, found in zip(FORMS, (rich, alone), strict=True)
        ),
        Row(what="  attributes shown where stated", bar="reported", measured=held),
        Row(what="  weakest", bar="reported", measured=", ".join(f"{row.slug} {100 * row.recognised.share:.0f} %" for row in worst)),
    ]


def forgetting(bench: Bench) -> list[Row]:
    """What the general world lost: the same English prompts and seeds, after mini-ko and before."""
    rows: list[Row] = []
    for form in FORMS:
        after, before = bench.arm("mini", "general", "en", form), bench.arm("mini-base", "general", "en", form)
        change = paired_difference(after.right, before.right)
        said = f"{100 * change.difference:+.1f} points ({100 * change.low:+.1f} to {100 * change.high:+.1f}): {_said(after.recognised)}"
        rows.append(Row(what=f"general English after mini-ko less before: {form}", bar=">= -5 points", measured=said, met=change.difference >= -0.05))
    return rows


def speed(bench: Bench) -> list[Row]:
    """Loading and drawing in a fresh process, and the help."""
    output, _, peak_gib = _run([sys.executable, "-c", SPEED])
    took: dict[str, float] = json.loads(output.splitlines()[-1])
    times = [_run([sys.executable, "-m", "kimchi", "--help"])[1] for _ in range(5)]
    loading = f"{took['load']:.2f} s (and {took['import']:.2f} s to import the libraries)"
    drawing = f"{took['picture']:.2f} s (the first {took['first']:.2f} s)"
    return [
        Row(what="kimchi generate, load", bar="< 4 s", measured=loading, met=took["load"] < 4),
        Row(what="kimchi generate, a picture after load", bar="< 2 s", measured=drawing, met=took["picture"] < 2),
        Row(what="kimchi generate, peak memory", bar="reported", measured=f"{peak_gib:.2f} GiB"),
        Row(what="kimchi --help", bar="< 0.3 s", measured=f"{min(times):.2f} s (best of 5; worst {max(times):.2f} s)", met=min(times) < 0.3),
    ]


def quickstart(bench: Bench) -> list[Row]:
    """The whole chain in a fresh process and folder."""
    with tempfile.TemporaryDirectory() as folder:
        output, took, peak_gib = _run([sys.executable, "-m", "kimchi", "quickstart", folder, "--json"])
    scores = json.loads(output.splitlines()[-1])["scores"]
    trained = {form: Share(**{key: scores["trained"][form][key] for key in ("count", "n", "share", "low", "high")}) for form in FORMS}
    gains = {form: scores["trained_minus_swap"][form] for form in FORMS}
    bars = {"rich": 0.70, "noun": 0.55}
    return [
        *(
            Row(what=f"quickstart's LoRA, Korean food: {form}", bar=f">= {100 * bars[form]:.0f} %", measured=_said(share), met=share.share >= bars[form])
            for form, share in trained.items()
        ),
        *(
            Row(
                what=f"  over the untrained swap: {form}",
                bar=">= 40 points",
                measured=f"{100 * gain['difference']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})",
                met=gain["difference"] >= 0.40,
            )
            for form, gain in gains.items()
        ),
        Row(what="quickstart, time after the install", bar="<= 8 min", measured=f"{took / 60:.1f} min", met=took <= 480),
        Row(what="quickstart, peak memory", bar="< 4 GB", measured=f"{peak_gib * 1.073741824:.2f} GB", met=peak_gib * 1.073741824 < 4),
    ]


def _run(command: list[str]) -> tuple[str, float, float]:
    """What it prints, seconds, and the peak memory in GiB of that process."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:3])}: exit status {process.returncode}")
    # Linux counts in KiB, macOS in bytes.
    return output, time.perf_counter() - began, used.ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "base": base, "untaught": untaught, "mini": mini, "forgetting": forgetting, "speed": speed, "quickstart": quickstart,
}  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned."""
    wide, bar = max(len(row.what) for row in rows), max(len(row.bar) for row in rows)
    mark = {True: "met   ", False: "MISSED", None: "      "}
    return "\n".join(f"{row.what:<{wide}}  {row.bar:<{bar}}  {mark[row.met]}  {row.measured}" for row in rows)


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="measure this only; repeatable")
    parser.add_argument("--per-concept", type=int, default=9, help="prompts per concept and form; 9 is 216 of the Korean world, 288 of the general")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument("--sheet", type=Path, help="write contact sheets beside this name, one an arm: STEM-ARM.png")
    parser.add_argument("--pictures", type=Path, help="keep what is drawn in this folder, and take from there what has been drawn before")
    options = parser.parse_args()
    bench, found = Bench(per_concept=options.per_concept, sheet=options.sheet, pictures=options.pictures), dict[str, list[Row]]()
    for part in options.part or PARTS:
        found[part] = PARTS[part](bench)
        print(table(found[part]), flush=True)
    if options.json:
        machine = {"system": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()}
        rows: dict[str, Any] = {part: [asdict(row) for row in rows] for part, rows in found.items()}
        write_json(options.json, {"machine": machine, "rows": rows, "scores": {name: asdict(one) for name, one in bench.scores.items()}})


if __name__ == "__main__":
    main()
