"""The two towers of an open_clip model: found on this machine or the hub, named by version and hash, opened without running foreign code.

Legend: B pictures or texts, C H W a picture, L tokens, D the space both towers share.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch.nn import functional as F

from kimchi.data.files import hash_files
from kimchi.errors import ModelError
from kimchi.models.devices import find_device
from kimchi.models.text_encoders.open_clip import KOREAN

SAFE = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Names under which hub repositories keep weights that hold numbers and nothing else."""
PICKLE = "open_clip_pytorch_model.bin"
_COMMIT = re.compile(r"snapshots[/\\]([0-9a-f]{40})[/\\]")
_ENGLISH = "eng_Latn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an encoder lies."""

    asked: str
    """As the recipe says it."""
    architecture: str
    """As open_clip takes it: a built-in name, or local-dir:FOLDER."""
    weights: Path
    repository: str
    """On the hub; empty for a folder."""
    commit: str
    hash: str
    """First 16 hex digits of the SHA-256 over the weights."""
    preprocess: dict[str, Any]
    """How its pictures are prepared, where its built-in entry says so."""

    @property
    def name(self) -> str:
        """With the hub's commit, where there is one."""
        return f"{self.asked} ({self.repository}@{self.commit})" if self.repository else self.asked


def find_towers(name: str, revision: str = "", allow_pickle: bool = False) -> Place:
    """An encoder by "MODEL@WEIGHTS" as open_clip lists them, "MODEL@FILE.safetensors", or a folder with open_clip_config.json.

    Raises:
        ModelError: no such model, no weights here or on the hub, or none but a pickle.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _in_folder(name, folder)
    import open_clip

    model, _at, tag = name.partition("@")
    known = open_clip.list_pretrained_tags_by_model(model)
    if model not in open_clip.list_models() or not tag:
        raise ModelError(f"{name}: no such encoder. Write MODEL@WEIGHTS as open_clip lists them (xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k), or a folder.")
    if Path(tag).expanduser().suffix == ".safetensors":
        return _place(name, model, Path(tag).expanduser(), "", {})
    if tag not in known:
        raise ModelError(f"{name}: {model} has no weights {tag!r}. open_clip lists {', '.join(known) or 'none'} for it.")
    entry: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    repository = str(entry.get("hf_hub", "")).strip("/")
    if not repository:
        raise ModelError(
            f"{name}: its weights lie on no hub, and are not fetched from elsewhere. Download them, convert them, and write {model}@FILE.safetensors."
        )
    preprocess = {key: entry[key] for key in ("mean", "std", "interpolation", "resize_mode") if entry.get(key) is not None}
    return _place(name, model, _from_hub(name, repository, revision, allow_pickle), repository, preprocess)


def _in_folder(name: str, folder: Path) -> Place:
    found = [path for file in SAFE if (path := folder / file).is_file()]
    if not found or not (folder / "open_clip_config.json").is_file():
        raise ModelError(
            f"{name}: holds no open_clip_config.json with {SAFE[0]}. Other weights are not opened, since they can run code: convert them first, "
            "or name another encoder."
        )
    return _place(name, f"local-dir:{folder}", found[0], "", {})


def _place(name: str, architecture: str, weights: Path, repository: str, preprocess: dict[str, Any]) -> Place:
    if not weights.is_file():
        raise ModelError(f"{name}: {weights} is not there. Check the path.")
    commit = _COMMIT.search(str(weights))
    return Place(
        asked=name, architecture=architecture, weights=weights, repository=repository, commit=commit[1] if commit else "",
        hash=hash_files([weights]), preprocess=preprocess,
    )  # fmt: skip


def _from_hub(name: str, repository: str, revision: str, allow_pickle: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    absent = 0
    for file in (*SAFE, *((PICKLE,) if allow_pickle else ())):
        try:
            return Path(hf_hub_download(repository, file, revision=revision or None))
        except LocalEntryNotFoundError:
            continue  # no network, and not fetched earlier; another of the names may be
        except EntryNotFoundError:
            absent += 1
        except (OSError, ValueError) as error:
            raise ModelError(f"{name}: {repository} cannot be read ({str(error).splitlines()[0]}). Check the network, or name a folder.") from error
    if absent == len(SAFE):
        raise ModelError(
            f"{name}: {repository} keeps these weights only as a pickle, which can run code. Name a `revision` of it that has safetensors (such as "
            "refs/pr/1), or set `allow_pickle: true`, which admits tensors and nothing else."
        )
    raise ModelError(f"{name}: the weights are not on this machine, and {repository} cannot be reached. Fetch them once with a network, or name a folder.")


class Towers:
    """Cosines between texts and pictures."""

    def __init__(self, place: Place, language: str, device: str = "auto") -> None:
        """Open the weights.

        Raises:
            ModelError: damaged weights, or a tokenizer that is not here.
            RecipeError: no such device.
        """
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.device = find_device(device)
        try:
            # A folder names its own weights; of a built-in architecture the file is given, or open_clip would look on the hub, pickles and all.
            file = None if place.architecture.startswith("local-dir:") else str(place.weights)
            model: Any = open_clip.create_model(
                place.architecture, pretrained=file, require_pretrained=file is not None, weights_only=True,
                force_preprocess_cfg=place.preprocess or None, device=self.device,
            )  # fmt: skip
            self._tokenizer: Any = open_clip.get_tokenizer(place.architecture)
        except (OSError, RuntimeError, ValueError, KeyError, ImportError, EOFError, SafetensorError, UnpicklingError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise ModelError(f"{place.asked}: open_clip cannot open it ({reason}). Copy or fetch it again.") from error
        self._model = model.eval().requires_grad_(False)
        self._prepare: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
        _speak(self._tokenizer, language)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors B D."""
        return F.normalize(self._model.encode_text(self._tokenizer(list(texts)).to(self.device)).float(), dim=-1).cpu()

    @torch.inference_mode()
    def pictures(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """RGB pictures => unit vectors B D."""
        pixels_BCHW = torch.stack([self._prepare(image) for image in images]).to(self.device)
        return F.normalize(self._model.encode_image(pixels_BCHW).float(), dim=-1).cpu()

    def cut(self, text: str) -> bool:
        """Whether the tower reads only the beginning of a text; open_clip cuts it without a word."""
        words = getattr(self._tokenizer, "tokenizer", None)
        # The plain tokenizer counts neither start nor end.
        tokens = len(words(text, verbose=False).input_ids) if words is not None else len(self._tokenizer.encode(text)) + 2
        return tokens > int(self._tokenizer.context_length)


def _speak(tokenizer: Any, language: str) -> None:
    """NLLB's tokenizers begin with the language; the wrong one gives vectors that look right and are worse."""
    words = getattr(tokenizer, "tokenizer", None)
    if words is not None and hasattr(tokenizer, "set_language") and KOREAN in words.get_vocab():
        tokenizer.set_language(KOREAN if language == "ko" else _ENGLISH)
