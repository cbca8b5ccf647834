"""What the folder holds => the page that tells it."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
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

from . import ARMS, FORMS_OF, HELLO, HELLO_SEED, Suite, arms
from .ledger import Ledger

ARM_TITLES = {
    "base": ("바탕 모델에 한국어 그대로", "the base, given Korean as it is"),
    "swap": ("한국어 CLIP만 바꿔 끼움", "Korean-CLIP swapped in, untrained"),
    "trained": ("방금 학습한 KIMCHI", "KIMCHI, trained just now"),
    "shipped": ("함께 제공되는 mini-ko", "the shipped mini-ko"),
}
FORM_TITLES = {"rich": ("긴 설명", "rich caption"), "noun": ("이름만", "noun alone")}
GOALS = {"rich": 0.70, "noun": 0.55}
"""What the arm trained just now should reach."""
STAGE_TITLES = {
    "hello": ("첫 그림", "first picture"),
    "delivery": ("표본 자료 만들기", "writing the sample delivery"),
    "prepare": ("캡션 달기", "captions"),
    "train": ("LoRA 학습", "training the LoRA"),
    **{f"draw {arm}": (f"그리기: {ko}", f"drawing: {en}") for arm, (ko, en) in ARM_TITLES.items()},
    "score": ("채점", "scoring"),
}
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "safetensors", "pillow")


def write_page(path: Path, ledger: Ledger, concepts: Sequence[Concept], prompts: Sequence[arms.Prompt], suite: Suite) -> None:
    """Write report.html, whole or not at all."""
    folder = path.parent
    scores = _json(folder / "scores.json")
    card = _json(folder / "food" / "card.json")
    values: dict[str, Any] = {
        "version": __version__,
        "hello": Image.open(folder / "hello.png"),
        "hello_prompt": HELLO,
        "hello_seed": HELLO_SEED,
        "arms": [{"key": arm, "ko": ARM_TITLES[arm][0], "en": ARM_TITLES[arm][1]} for arm in ARMS],
        "forms": [{"key": form, "ko": FORM_TITLES[form][0], "en": FORM_TITLES[form][1], "goal": GOALS[form]} for form in arms.FORMS],
        "grids": {form: list(_grid(folder / "arms", form, concepts, prompts)) for form in arms.FORMS},
        "scores": scores,
        "dishes": {c.slug: c for c in concepts},
        "count": suite.prompts_per_dish * len(concepts),
        "losses": _json(folder / "food" / "losses.json"),
        "card": card,
        "examples": list(_examples(folder / "captions" / "captions.jsonl", len(concepts))),
        "timings": list(_timings(ledger)),
        "total_seconds": sum(entry.seconds for name, entry in ledger.entries.items() if name in STAGE_TITLES),
        "made": list(_made(folder, ledger)),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU, Python {platform.python_version()}",
        "libraries": [f"{name} {metadata.version(name)}" for name in LIBRARIES],
        "folder": str(folder),
        "suite": suite,
    }
    write_text(path, render("quickstart.html", values))
