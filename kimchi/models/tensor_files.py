"""safetensors files, read with one error and written the same way each time."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors

from kimchi.data.files import sha256
from kimchi.errors import ModelError

Tensors = dict[str, torch.Tensor]
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
"""What --dtype may say."""


def read(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors, in the type they are stored in, and metadata.

    Raises:
        ModelError: missing, cut short, or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: this adapter cannot be read ({error}). It may be cut short; train it again or copy it anew.") from error


def to_bytes(tensors: Tensors, metadata: dict[str, str]) -> bytes:
    """A safetensors file with sorted metadata: the library writes it in the order of a hash table, so that equal exports would differ in their bytes."""
    content = to_safetensors({key: one.contiguous() for key, one in tensors.items()}, metadata=metadata)
    start = _start(content)
    header: dict[str, Any] = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    # Tensors begin at a multiple of eight.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def hash_of_tensors(tensors: Tensors) -> str:
    """SHA-256, 64 hex digits, of what lies behind the header: what A1111 (sshs_model_hash) and modelspec (hash_sha256) name a file by."""
    content = to_safetensors({key: one.contiguous() for key, one in tensors.items()}, metadata={"format": "pt"})
    return sha256(content[_start(content) :], 64)


def _start(content: bytes) -> int:
    """Where the tensors begin. Layout: 8 bytes of header length, the header as JSON, tensors."""
    return 8 + int.from_bytes(content[:8], "little")
