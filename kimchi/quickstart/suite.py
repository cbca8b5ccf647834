"""What the quickstart runs on, and the names of what it compares."""

from dataclasses import dataclass
from pathlib import Path

from kimchi.data.files import hash_files, sha256
from kimchi.data.sample_world import CONCEPTS, Concept, worlds
from kimchi.errors import ModelError

DISH_FORMS = ("rich", "noun")
"""A dish by a rich caption as `prepare` words it, and by its noun alone."""
GENERAL = "general"
"""A thing of the general world, which the base can draw, by a rich caption in Korean."""
FORMS = (*DISH_FORMS, GENERAL)
ENGLISH = "english"
"""The arm that is given the English of the general captions: no Korean can be understood better."""
ARMS: dict[str, tuple[str, ...]] = {**dict.fromkeys(("base", "swap", "trained", "shipped"), FORMS), ENGLISH: (GENERAL,)}
"""The base given Korean as it is; Korean-CLIP swapped in, untrained; KIMCHI as just trained; the shipped mini; the base given English. Each
with the forms it draws."""
HELLO, HELLO_SEED = "한국의 라면을 그려줘", 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Weights and sizes: the shipped miniature, unless a test brings its own."""

    base: str = "mini-base"
    text_encoder: str = "mini-korean-clip"
    """What the swap hears."""
    aligned: str = "mini-aligned-clip"
    """What the adapter that is trained hears."""
    shipped: str = "mini"
    """A name or a run folder."""
    recogniser: str = "recogniser"
    """A folder of the shipped weights, or any other."""
    train: tuple[str, ...] = ()
    """Changes to the training recipe: ("steps=3",)."""
    pictures_per_dish: int = 45
    prompts_per_dish: int = 6
    """Of each of DISH_FORMS."""
    general_prompts: int = 32
    """Of the general world's things, one prompt each; there are 32."""
    steps: int = 8
    """Denoising steps of the arms: of one weak adapter the recogniser knew as much after 8 as after 10 or 20."""
    batch: int = 16
    """Pictures drawn together."""


def dishes() -> list[Concept]:
    """The Korean dishes of the sample world, which the quickstart learns."""
    return [c for c in CONCEPTS.values() if c.world == "korean" and c.category == "food"]


def things(count: int) -> list[Concept]:
    """The first things of the general world."""
    return worlds("general")[:count]


def place_of(name: str) -> Path:
    """Where a part of the suite lies: a folder of the shipped weights, or a path."""
    from kimchi.models.places import weights_folder

    shipped = weights_folder() / {"mini": "mini-ko"}.get(name, name)
    return shipped if shipped.is_dir() else Path(name)


def hash_weights(name: str) -> str:
    """One hash over a part's weights and configurations; found missing here, before the first stage, not at the last.

    Raises:
        ModelError: there are none.
    """
    folder = place_of(name)
    found = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json") and "checkpoints" not in p.parts)
    if not any(p.suffix == ".safetensors" for p in found):
        raise ModelError(f"{name}: the miniature's weights are missing from {folder}. Reinstall kimchi-diffusion, or make them with `make mini`.")
    return sha256("".join(f"{p.relative_to(folder).as_posix()}={hash_files([p])}\n" for p in found).encode())
