"""What the folder holds => the page that tells it."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image

from kimchi import __version__
from kimchi.data import archives, pictures
from kimchi.data.files import write_text
from kimchi.data.jsonl import read_records
from kimchi.data.sample_world import Concept
from kimchi.eval.report import render
from kimchi.records import CaptionedRecord

from . import arms
from .ledger import Ledger
from .study import STUDY, Asking
from .suite import ARMS, DISH_FORMS, ENGLISH, GENERAL, HELLO, HELLO_SEED, Suite, things

ARM_TITLES = {
    "base": ("바탕 모델에 한국어 그대로", "the base, given Korean as it is"),
    "swap": ("한국어 CLIP만 바꿔 끼움", "Korean-CLIP swapped in, untrained"),
    "trained": ("방금 학습한 KIMCHI", "KIMCHI, trained just now"),
    "shipped": ("함께 제공되는 mini-ko", "the shipped mini-ko"),
    ENGLISH: ("바탕 모델에 영어로 (상한)", "the base, given English: the ceiling"),
}
FORM_TITLES = {"rich": ("자세한 설명", "rich caption"), "noun": ("이름만", "noun alone"), GENERAL: ("일반 한국어 프롬프트", "general Korean prompts")}
GOALS = {"rich": 0.70, "noun": 0.55}
"""What the arm trained just now should reach; of the general form the English arm is the measure."""
SHOWN_EVERY = 4
"""Of the general things, one in so many has its pictures on the page."""
STAGE_TITLES = {
    "hello": ("첫 그림", "first picture"),
    "delivery": ("표본 자료 만들기", "writing the sample delivery"),
    "prepare": ("캡션 달기", "captions"),
    "train": ("LoRA 학습", "training the LoRA"),
    **{f"draw {arm}": (f"그리기: {ko}", f"drawing: {en}") for arm, (ko, en) in ARM_TITLES.items()},
    "score": ("채점", "scoring"),
    "study": ("사람이 볼 조사 만들기", "preparing the study"),
}
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "safetensors", "pillow")


def write_page(path: Path, ledger: Ledger, concepts: Sequence[Concept], prompts: Sequence[arms.Prompt], suite: Suite, asking: Asking) -> None:
    """Write report.html, whole or not at all."""
    folder = path.parent
    scores = _json(folder / "scores.json")
    card = _json(folder / "food" / "card.json")
    shown = {**dict.fromkeys(DISH_FORMS, concepts), GENERAL: things(suite.general_prompts)[::SHOWN_EVERY]}
    values: dict[str, Any] = {
        "version": __version__,
        "hello": Image.open(folder / "hello.png"),
        "hello_prompt": HELLO,
        "hello_seed": HELLO_SEED,
        "arms": [_titled(arm, ARM_TITLES) for arm in ARMS if arm != ENGLISH],
        "english": _titled(ENGLISH, ARM_TITLES),
        "forms": [{**_titled(form, FORM_TITLES), "goal": GOALS[form]} for form in DISH_FORMS],
        "general": {**_titled(GENERAL, FORM_TITLES), "count": suite.general_prompts},
        "grids": {form: list(_grid(folder / "arms", form, of, prompts)) for form, of in shown.items()},
        "scores": scores,
        "dishes": {c.slug: c for c in concepts},
        "count": suite.prompts_per_dish * len(concepts),
        "losses": _json(folder / "food" / "losses.json"),
        "card": card,
        "examples": list(_examples(folder / "captions" / "captions.jsonl", len(concepts))),
        "timings": list(_timings(ledger)),
        # Not the card's: that tells only the last attempt of a run that was interrupted.
        "train_seconds": ledger.entries["train"].seconds,
        "total_seconds": sum(entry.seconds for name, entry in ledger.entries.items() if name in STAGE_TITLES),
        "made": list(_made(folder, ledger)),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU, Python {platform.python_version()}",
        "libraries": [f"{name} {metadata.version(name)}" for name in LIBRARIES],
        "folder": str(folder),
        "suite": suite,
        "asking": asking,
    }
    write_text(path, render("quickstart.html", values))


def _titled(key: str, titles: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    return {"key": key, "ko": titles[key][0], "en": titles[key][1]}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _grid(place: Path, form: str, concepts: Sequence[Concept], prompts: Sequence[arms.Prompt]) -> Iterator[dict[str, Any]]:
    """A row a concept: its first prompt, whatever became of it, as each arm drew it."""
    drawn = {arm: arms.read(place, arm, form) for arm, forms in ARMS.items() if form in forms}
    asked = [p for p in prompts if p.form == form]
    for concept in concepts:
        first = next(i for i, p in enumerate(asked) if p.slug == concept.slug)
        images = [images[first] for images in drawn.values()]
        yield {"concept": concept, "prompt": asked[first].text, "english": asked[first].english, "seed": asked[first].seed, "images": images}


def _examples(captions: Path, count: int) -> Iterator[dict[str, Any]]:
    """The first record of each dish with its picture out of the archive."""
    told: set[tuple[str, ...]] = set()
    for record in read_records(captions, CaptionedRecord):
        if record.labels in told or len(told) == count:
            continue
        told.add(record.labels)
        image = pictures.crop(pictures.decode(archives.read_member(record.path), record.path), record.box)
        yield {"record": record, "image": image, "path": "!".join((Path(record.path.split("!")[0]).name, *record.path.split("!")[1:]))}


def _timings(ledger: Ledger) -> Iterator[dict[str, Any]]:
    for name, (ko, en) in STAGE_TITLES.items():
        if name in ledger.entries:
            entry = ledger.entries[name]
            yield {"ko": ko, "en": en, "seconds": entry.seconds, "kept": name in ledger.kept, "attempts": entry.attempts}


def _made(folder: Path, ledger: Ledger) -> Iterator[dict[str, str]]:
    """Each file with its hash and what it was made of."""
    manifest, card, arm = _json(folder / "captions" / "manifest.json"), _json(folder / "food" / "card.json"), _json(folder / "arms" / "shipped.json")
    parts = ", ".join(f"{part} {digest}" for part, digest in sorted(card["hashes"].items()))
    how = {
        "hello": f"kimchi generate --model mini --seed {HELLO_SEED}",
        "delivery": "kimchi.data.sample_world.delivery",
        "prepare": f"pipelines/mini_food.yaml {manifest['inputs']['recipe']}; {manifest['kept']} kept, {manifest['dropped']} dropped",
        "train": f"training/mini_quickstart_food.yaml {card['recipe_hash']}; {parts}",
        **{f"draw {name}": f"{arm['scheduler']}, {arm['steps']} steps, guidance {arm['guidance']:g}" for name in ARMS},
        "score": "the recogniser, which no training has seen",
    }
    if STUDY in ledger.entries and ledger.entries[STUDY].finished:
        how[STUDY] = "eval/mini_2026.yaml, with the prompts and pictures above"
    for stage, text in how.items():
        for file, digest in ledger.hash_of(stage).items():
            yield {"file": file, "hash": digest, "how": text}
