"""The judge of miniature pictures: which concept of the sample world a picture shows, with which attributes, or none of these.

It was trained on renders whose seeds no other part has seen, and no training and no choice of checkpoint ever sees it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from kimchi.data.sample_world import COLOURS, CONCEPTS, OUTDOOR_PLACES, SIDES, TABLE_PLACES, TIMES
from kimchi.errors import ModelError

NONE = "none"
ANSWERS: dict[str, tuple[str, ...]] = {
    "concept": (*CONCEPTS, NONE),
    "colour": tuple(COLOURS),
    "place": (*TABLE_PLACES, *OUTDOOR_PLACES),
    "time": TIMES,
    "number": ("1", "2"),
    "side": SIDES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the recogniser sees in one picture."""

    concept: str
    """A slug of the sample world, or "none"."""
    confidence: float
    """Probability of that concept, 0 to 1."""
    colour: str
    place: str
    time: str
    number: int
    side: str


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, 2, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, outside)
        self.skip = nn.Conv2d(inside, outside, 1, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = F.silu(self.norm1(self.first(x)))
        return F.silu(self.norm2(self.second(inner)) + self.skip(x))


class Network(nn.Module):
    """A small residual network with one head a question; keeps a 4 x 4 grid, since the side of a thing is a place."""

    def __init__(self, widths: Sequence[int] = (24, 48, 96, 144, 176)) -> None:
        super().__init__()
        # A 1 x 1 convolution of stride 2 on three channels-last channels crashes torch 2.15's CPU backward: hence a plain stem.
        blocks = [_Residual(a, b) for a, b in pairwise(widths)]
        self.body = nn.Sequential(nn.Conv2d(3, widths[0], 3, 2, 1), *blocks)
        self.shared = nn.Linear(widths[-1] * 16, 128)
        self.heads = nn.ModuleDict({name: nn.Linear(128, len(answers)) for name, answers in ANSWERS.items()})

    def forward(self, x_B3HW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pictures float [-1, 1], 128 x 128 => logits of each question."""
        inner = F.silu(self.shared(self.body(x_B3HW).flatten(1)))
        return {name: head(inner) for name, head in self.heads.items()}


class Recogniser:
    """Answers for lists of pictures of any size."""

    def __init__(self, network: Network) -> None:
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path) -> "Recogniser":
        """From config.json and model.safetensors.

        Raises:
            ModelError: missing or foreign weights, or weights made for another list of concepts.
        """
        try:
            answers = json.loads((folder / "config.json").read_text(encoding="utf-8"))["answers"]
            weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{folder}: the recogniser cannot be read ({error}). Reinstall kimchi, or retrain it with training/mini_recogniser.yaml."
            ) from error
        if {k: tuple(v) for k, v in answers.items()} != ANSWERS:
            raise ModelError(f"{folder}: the recogniser was trained for another sample world. Retrain it with training/mini_recogniser.yaml.")
        network = Network()
        network.load_state_dict(weights)
        return cls(network)

    @torch.inference_mode()
    def see(self, images: Sequence[Image.Image], batch: int = 64) -> list[Sight]:
        """What each picture shows."""
        sights: list[Sight] = []
        for i in range(0, len(images), batch):
            array = np.stack([np.asarray(im.convert("RGB").resize((128, 128), Image.Resampling.LANCZOS)) for im in images[i : i + batch]])
            x = (torch.from_numpy(array).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
            logits = self.network(x)
            best = {name: values.argmax(1).tolist() for name, values in logits.items()}
            confidence = logits["concept"].softmax(1).max(1).values.tolist()
            for j in range(len(array)):
                word = {name: ANSWERS[name][index[j]] for name, index in best.items()}
                sights.append(
                    Sight(
                        concept=word["concept"],
                        confidence=confidence[j],
                        colour=word["colour"],
                        place=word["place"],
                        time=word["time"],
                        number=int(word["number"]),
                        side=word["side"],
                    )
                )
        return sights
