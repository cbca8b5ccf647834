"""README.md of an export: the model card, in Korean and English, with the front matter the hub reads."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SAMPLE = "sample-world:"
_KNOBS = ("learning_rate", "resolution_px", "noun_share", "english_share", "caption_dropout", "min_snr_gamma", "precision", "ema")
"""Keys of a recipe that a reader of the card asks for first."""


def write(card: dict[str, Any], recipe: dict[str, Any], format: str, main: str, relation: str, notices: list[str]) -> str:
    """The card of an export.

    Args:
        card: the run's card.json.
        recipe: the run's recipe.yaml; empty where there is none.
        format: which it was exported to.
        main: the file another program opens; "" for the folder.
        relation: the result's relation to its base model, as the hub words it.
        notices: what a person must be told about the format.
    """
    import jinja2

    template = (resources.files("kimchi.models") / "templates" / "model_card.md").read_text(encoding="utf-8")
    page = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False).from_string(template)
    # A base from one file or from the hub is named by that, one from a folder by its parts.
    base_hash = ", ".join(f"{part} `{value}`" for part, value in card["hashes"].items() if part in ("unet", "vae", "checkpoint", "hub")) or "-"
    body = page.render(
        card=card, format=format, main=main, notices=notices, base_hash=base_hash, miniature=bool(card.get("miniature")),
        credit=str(card.get("credit", "")).strip(), samples=_only_samples(recipe), values=_values(card, recipe),
    )  # fmt: skip
    return f"---\n{_front_matter(card, recipe, relation)}---\n\n{body.strip()}\n"


def for_strangers(card: dict[str, Any]) -> dict[str, Any]:
    """The same card without this machine's folders: a path is cut to its last name, a hub id or a shipped name stays."""
    return card | {key: _public_name(str(card[key])) for key in ("base", "text_encoder") if key in card}


def _public_name(name: str) -> str:
    return name if is_hub_id(name) else Path(name).name


def is_hub_id(name: str) -> bool:
    """Whether a base's or an encoder's name is OWNER/NAME on the hub, and not a folder here."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).exists()


def _only_samples(recipe: dict[str, Any]) -> bool:
    sources = recipe.get("sources") or []
    return bool(sources) and all(str(source.get("captions", "")).startswith(_SAMPLE) for source in sources)


def _front_matter(card: dict[str, Any], recipe: dict[str, Any], relation: str) -> str:
    import yaml

    # Only the miniature is ours to license, from its weights to its drawings; for all else nobody here can choose.
    ours = bool(card.get("miniature")) and (_only_samples(recipe) or not card.get("credit"))
    said: dict[str, Any] = {"license": "apache-2.0"} if ours else {"license": "other", "license_name": "not-chosen-yet"}
    base = [name for name in (str(card["base"]), str(card["text_encoder"])) if is_hub_id(name)]
    if base:
        said |= {"base_model": base, "base_model_relation": relation}
    tags = ["text-to-image", "stable-diffusion", "stable-diffusion-diffusers", *(["lora"] if relation == "adapter" else []), "korean", "kimchi"]
    said |= {"library_name": "diffusers", "pipeline_tag": "text-to-image", "language": ["ko", "en"], "tags": tags}
    return yaml.safe_dump(said, allow_unicode=True, sort_keys=False)


def _values(card: dict[str, Any], recipe: dict[str, Any]) -> dict[str, str]:
    """Name => value: how it was trained, as far as card and recipe say."""
    shape: dict[str, Any] = card.get("lora") or {}
    found: dict[str, Any] = {f"LoRA {key}": value for key, value in shape.items() if value not in (False, None)}
    found |= {f"text encoder LoRA {key}": value for key, value in (recipe.get("text_lora") or {}).items() if value not in (False, None)}
    found |= {key: card.get(key, recipe.get(key)) for key in ("steps", "batch", "seed")}
    found |= {
        key: recipe.get(key) for key in ("learning_rate", "resolution_px", "noun_share", "english_share", "caption_dropout", "min_snr_gamma", "precision")
    }
    found |= {"recipe hash": card.get("recipe_hash"), "kimchi": card.get("kimchi")}
    return {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in found.items() if value not in (None, "")}
