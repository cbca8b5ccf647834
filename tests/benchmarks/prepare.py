"""The numbers of `kimchi prepare`, measured on this machine and printed beside what they should be.

    python tests/benchmarks/prepare.py                         the chain without pixels at 10,000 and 100,000 records, and the mini chain
    python tests/benchmarks/prepare.py --part scale --records 1000000
    python tests/benchmarks/prepare.py --part truth

Nothing here fails on a number: a bar that is missed is printed as missed. tests/benchmarks/reading.py measures archives, captioning.py models.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kimchi.data.jsonl import read_records
from kimchi.data.sample_world import CONCEPTS, Picture, picture
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.recipes import PrepareRecipe, load_recipe
from kimchi.records import CaptionedRecord, ImageRecord

FIRST_SEED = 9_800_000
"""Of the pictures of the mini chain; nothing was trained on them."""
PER_DISH = 45
LABELS = tuple(c.label for c in CONCEPTS.values() if c.world == "korean" and c.category == "food")


class Reader:
    """A delivery without pictures: a folder whose count.txt says how many records there are."""

    def read(self, source: Path) -> Iterator[ImageRecord]:
        """That many records, labelled in turn, with hashes that are near to none."""
        for i in range(self.count(source)):
            digest = hashlib.sha256(str(i).encode()).hexdigest()
            yield ImageRecord(id=digest[:16], path=f"none/{i}.jpg", labels=LABELS[i % len(LABELS)], dhash=digest)

    def count(self, source: Path) -> int:
        """As the file says."""
        return int((source / "count.txt").read_text(encoding="utf-8"))

    def credit(self, source: Path) -> str:
        """Nobody's."""
        return ""


CHILD = """
import json, resource, sys, time
from kimchi.pipelines.run import prepare
from kimchi.recipes import PrepareRecipe
began = time.perf_counter()
outcome = prepare(PrepareRecipe.model_validate_json(sys.argv[1]))
seconds = time.perf_counter() - began
print(json.dumps({"kept": outcome.kept, "seconds": seconds, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def scale(counts: list[int]) -> None:
    """Records a second and peak memory of the chain with models that answer at once, in a fresh process each."""
    peaks: list[float] = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            delivery = Path(folder, "delivery")
            delivery.mkdir()
            (delivery / "count.txt").write_text(str(count), encoding="utf-8")
            recipe = PrepareRecipe(kind="prepare", name="scale", reader="prepare:Reader", source=str(delivery), out=str(Path(folder, "run")))
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
            command = [sys.executable, "-c", CHILD, recipe.model_dump_json()]
            found = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        rate, peak = found["kept"] / found["seconds"], found["peak_kib"] / 1024
        peaks.append(peak)
        _say(f"chain without pixels, {count:,} records", ">= 400 a second", rate >= 400, f"{rate:,.0f} a second, {found['seconds']:.0f} s")
        _say("  peak memory", "< 600 MB", peak * 1.048576 < 600, f"{peak * 1.048576:.0f} MB")
    if len(peaks) > 1:
        _say("  growth from the fewest to the most", "flat", None, f"{(peaks[-1] - peaks[0]) * 1.048576:+.0f} MB")


def truth() -> None:
    """The mini chain on pictures nobody was shown: kept, labelled, and true to the drawings."""
    from kimchi.data.sample_world.seen import read_ko
    from kimchi.pipelines.run import prepare

    slugs = [c.slug for c in CONCEPTS.values() if c.world == "korean" and c.category == "food"]
    with tempfile.TemporaryDirectory() as folder:
        delivery = Path(folder, "kfood.zip")
        drawn = write_delivery(delivery, slugs, PER_DISH, FIRST_SEED)
        began = time.perf_counter()
        recipe = load_recipe("pipelines/mini_food.yaml", (f"source={delivery}", f"out={folder}/run"), kind="prepare")
        outcome = prepare(recipe)
        seconds = time.perf_counter() - began
        records = list(read_records(outcome.folder / "captions.jsonl", CaptionedRecord))
    labelled = sum(record.caption_noun in record.caption_ko for record in records)
    said = [read_ko(record.caption_ko, record.caption_noun) for record in records]
    true = sum(reading.all_true(_drawing(record)) for record, reading in zip(records, said, strict=True))
    _say("mini chain: records kept", ">= 97 %", len(records) >= 0.97 * drawn, f"{len(records)} of {drawn} ({len(records) / drawn:.1%}), {seconds:.0f} s")
    _say("  label present", "100 %", labelled == len(records), f"{labelled} of {len(records)}")
    _say("  every stated attribute true", ">= 90 %", true >= 0.9 * len(records), f"{true} of {len(records)} ({true / len(records):.1%})")
    mean = sum(len(reading.facts) for reading in said) / len(said)
    _say("  attributes stated on average", ">= 2", mean >= 2, f"{mean:.2f}")


def _drawing(record: CaptionedRecord) -> Picture:
    concept = next(c for c in CONCEPTS.values() if c.label == record.labels)
    return picture(concept, FIRST_SEED + int(Path(record.path).stem.rsplit("_", 1)[-1]))


def _say(what: str, bar: str, met: bool | None, measured: str) -> None:
    mark = {True: "met   ", False: "MISSED", None: "      "}[met]
    print(f"{what:<48}  {bar:<16}  {mark}  {measured}", flush=True)


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=("scale", "truth"))
    parser.add_argument("--records", type=int, action="append", help="of the chain without pixels; repeatable")
    options = parser.parse_args()
    for part in options.part or ("scale", "truth"):
        scale(options.records or [10_000, 100_000]) if part == "scale" else truth()


if __name__ == "__main__":
    main()
