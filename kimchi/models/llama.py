"""Chat models of the LLaMA family through transformers: conversations => answers, in batches. llava.py shares what is not about pictures."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from kimchi.data.files import hash_files
from kimchi.errors import ModelError

from .devices import find_device
from .prompts import Message

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"snapshots[/\\]([0-9a-f]{40})[/\\]")
_DATE = "26 Jul 2024"
"""What LLaMA 3 templates are told for today: later ones would read the clock, and the same request would get another answer tomorrow."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Which weights a recipe's name stands for."""

    name: str
    """As the recipe says it; for the hub with its commit: "owner/name@0123..."."""
    source: str
    """Folder or hub id, as transformers takes it."""
    revision: str | None
    """The hub's commit; None for a folder."""
    hash: str
    """First 16 hex digits: of the SHA-256 over a folder's weights, settings and tokenizer, or of the hub's commit."""


def find_checkpoint(name: str, revision: str, mini: str) -> Checkpoint:
    """What a model's name stands for; of a hub's repository only its config.json is fetched.

    Args:
        name: mini, a transformers folder, or a hub id.
        revision: commit, branch or tag of the hub's repository; empty for its newest.
        mini: folder of the shipped weights that "mini" stands for.

    Raises:
        ModelError: no such model, or a folder without safetensors weights.
    """
    folder = _mini(mini) if name == "mini" else Path(name).expanduser()
    if folder.is_dir():
        return Checkpoint(name, str(folder), None, _hash_folder(folder))
    if not _HUB_ID.fullmatch(name):
        raise ModelError(f"{name!r}: no such model. Use mini, a transformers folder, or a hub id such as owner/name.")
    commit = read_weights(name, lambda: _hub_commit(name, revision))
    return Checkpoint(f"{name}@{commit}", name, commit, commit[:16])


def _mini(mini: str) -> Path:
    from .places import weights_folder

    folder = weights_folder() / mini
    if not (folder / "config.json").is_file():
        raise ModelError(f"mini: the miniature's weights are missing from {folder}. Reinstall kimchi-diffusion, or make them with `make mini`.")
    return folder


def _hash_folder(folder: Path) -> str:
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".jinja", ".model") and path.name != "card.json"]
    if not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(f"{folder}: holds no .safetensors weights, and other formats are not opened, since they can run code. Convert it first.")
    return hash_files(files)


def _hub_commit(name: str, revision: str) -> str:
    from transformers.utils.hub import cached_file

    found = _COMMIT.search(str(cached_file(name, "config.json", revision=revision or None)))
    if not found:
        raise OSError("the hub names no commit for its config.json")
    return found[1]


def read_weights(name: str, make: Callable[[], _T]) -> _T:
    """Run a loader; whatever it raises becomes one paragraph.

    Raises:
        ModelError: missing, corrupted, gated, of a kind that transformers does not know, or in a format that can run code.
    """
    from safetensors import SafetensorError

    try:
        return make()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{name}: cannot be loaded ({first}). Check the name or copy the folder again; a gated model is opened with `hf auth login` "
            "once its licence is accepted, and without a network a folder of this machine can be named instead."
        ) from error


def load_network(auto: Any, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype | None) -> Any:
    """Weights of a checkpoint on a device, ready to write.

    Args:
        dtype: None for bfloat16 on CUDA and float32 elsewhere.

    Raises:
        ModelError: as read_weights says, or weights that the checkpoint lacks.
    """
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)

    def load() -> Any:
        network, found = auto.from_pretrained(
            checkpoint.source, revision=checkpoint.revision or "main", dtype=dtype, attn_implementation="sdpa",
            use_safetensors=True, trust_remote_code=False, output_loading_info=True,
        )  # fmt: skip
        # What a file lacks is filled with chance, and such a model writes nonsense without a word of warning.
        if found["missing_keys"]:
            raise ValueError(f"its files lack {len(found['missing_keys'])} weights, among them {min(found['missing_keys'])}")
        return network.to(device).eval().requires_grad_(False)

    return read_weights(checkpoint.name, load)


def load_words(auto: Any, checkpoint: Checkpoint) -> Any:
    """Tokenizer or processor of a checkpoint.

    Raises:
        ModelError: as read_weights says.
    """

    def load() -> Any:
        return auto.from_pretrained(checkpoint.source, revision=checkpoint.revision or "main", trust_remote_code=False)

    return read_weights(checkpoint.name, load)


def settle(network: Any, tokenizer: Any, ending: str) -> None:
    """Make batches safe: padding on the left, every token that ends a turn stops, and none of the checkpoint's own settings of chance.

    Args:
        ending: a conversation that ends with an assistant's turn, worded by the chat template: some checkpoints name in no file the token
            that ends it, and would write on until the limit.
    """
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    named = network.generation_config.eos_token_id
    stops = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id} - {None}
    stops |= {token for token, added in tokenizer.added_tokens_decoder.items() if added.special and ending.rstrip().endswith(added.content)}
    # Whatever else the file asks for (temperature 0.6, a penalty on repeated words) would be filled in where generate() is told nothing.
    network.generation_config = GenerationConfig(
        bos_token_id=network.generation_config.bos_token_id, eos_token_id=sorted(stops) or None, pad_token_id=tokenizer.pad_token_id
    )


def write(network: Any, tokenizer: Any, inputs: Any, max_new_tokens: int, temperature: float, seed: int) -> list[str]:
    """What a network writes after a left-padded batch, without the prompt, stripped."""
    inputs = inputs.to(network.device)
    # Pictures come as float32; token numbers stay what they are.
    inputs = {name: value.to(network.dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    chance: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {"do_sample": False}
    with torch.inference_mode(), torch.random.fork_rng([network.device] if network.device.type == "cuda" else []):
        torch.manual_seed(seed)
        tokens = network.generate(**inputs, max_new_tokens=max_new_tokens, **chance)
    new = tokens[:, inputs["input_ids"].shape[1] :]
    return [str(tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip() for row in new]


def by_length(items: Iterator[_T], length: Callable[[_T], int], batch: int, windows: int = 8) -> Iterator[list[_T]]:
    """Batches of items of like length, so that little is padded; the longest of each window first, where memory runs out if it does.

    Args:
        windows: batches' worth of items that are held back to choose from.
    """
    while window := list(islice(items, batch * windows)):
        window.sort(key=length, reverse=True)
        for start in range(0, len(window), batch):
            yield window[start : start + batch]


class Llama:
    """A chat model in this process."""

    def __init__(self, network: Any, tokenizer: Any, name: str) -> None:
        self.network, self.tokenizer, self.name = network, tokenizer, name
        if not tokenizer.chat_template:
            raise ModelError(f"{name}: its tokenizer has no chat template, so it is no chat model. Choose an instruct model, or add a chat_template.jinja.")
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
        settle(network, tokenizer, tokenizer.apply_chat_template(turns, tokenize=False, date_string=_DATE))

    @classmethod
    def load(cls, checkpoint: Checkpoint, device: str = "auto", dtype: torch.dtype | None = None) -> Self:
        """Read the weights; bfloat16 on CUDA and float32 elsewhere unless told.

        Raises:
            ModelError: weights that are missing or corrupted, or no chat template.
            RecipeError: no such device.
        """
        network = load_network(AutoModelForCausalLM, checkpoint, find_device(device), dtype)
        return cls(network, load_words(AutoTokenizer, checkpoint), checkpoint.name)

    def answers(
        self, requests: Iterator[tuple[str, list[Message]]], *, batch: int = 16, max_new_tokens: int = 128, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[tuple[str, str]]:
        """Key and text for each keyed conversation, batched by length: at most 8 batches are held back. At temperature 0 the batch changes nothing."""
        encoded = ((key, self._encode(messages)) for key, messages in requests)
        for items in by_length(encoded, lambda item: len(item[1]), batch):
            inputs = self.tokenizer.pad({"input_ids": [ids for _, ids in items]}, return_tensors="pt")
            texts = write(self.network, self.tokenizer, inputs, max_new_tokens, temperature, seed)
            yield from ((key, text) for (key, _), text in zip(items, texts, strict=True))

    def _encode(self, messages: list[Message]) -> list[int]:
        # A provider's text may hold "<|eot_id|>" or the like; sanitised, that is spelled out and ends nobody's turn.
        made = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, sanitize_control_tokens=True, date_string=_DATE)
        return list(made["input_ids"])
