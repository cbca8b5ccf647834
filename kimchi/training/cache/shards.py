"""Files of entries: safetensors of up to 64 MiB, each named by the SHA-256 of its bytes, read by mmap.

A shard holds, for each shape of entry, the keys (N x 32 uint8) and the tensors (N x ... fp16) of that shape. It is written whole under its name
or not at all; two processes that build at once write files of their own, and an entry that stands in two of them is the same in both.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from kimchi.data.files import write_bytes
from kimchi.errors import OutputError

LIMIT_BYTES = 64 * 2**20
"""Size at which a shard is written."""
LIMIT_S = 120.0
"""Age at which it is written too: what a kill can cost, where a slow machine takes an hour for the 64 MiB."""
SUFFIX = ".safetensors"
Entry = tuple[torch.Tensor, ...]
_LOG = logging.getLogger(__name__)
_SOUND: set[tuple[str, int, int]] = set()
"""Shards whose bytes this process has hashed, by path, size and time of change: once is enough, at about a second for two gigabytes."""


class Writer:
    """Gathers entries and writes them shard by shard; as a context, what is left at the end, an error included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._groups: dict[str, tuple[list[bytes], list[Entry]]] = {}
        self._bytes, self._began = 0, time.monotonic()

    def add(self, key: bytes, entry: Entry) -> None:
        """One entry, kept as it is.

        Raises:
            OutputError: the shard cannot be written; those before it stay.
        """
        if not self._groups:
            self._began = time.monotonic()
        keys, entries = self._groups.setdefault("x".join(str(n) for n in entry[0].shape), ([], []))
        keys.append(key)
        entries.append(entry)
        self._bytes += sum(t.numel() * t.element_size() for t in entry)
        if self._bytes >= LIMIT_BYTES or time.monotonic() - self._began >= LIMIT_S:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        if not self._groups:
            return
        tensors: dict[str, torch.Tensor] = {}
        for shape, (keys, entries) in self._groups.items():
            tensors[f"{shape}/keys"] = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, 32)
            for i, column in enumerate(zip(*entries, strict=True)):
                tensors[f"{shape}/{i}"] = torch.stack(column)
        self._groups, self._bytes = {}, 0
        content = save(tensors)
        write_bytes(self.folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}", content)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.flush()
        except OutputError:
            # A full disk is told once, by the first write that failed.
            if error is None:
                raise


class Shards(Mapping[bytes, Entry]):
    """Entries on disk, by key; views of mapped files, so that a set of any size takes memory for its keys alone."""

    def __init__(self, folder: Path, wanted: Collection[bytes]) -> None:
        """Find entries. A shard that holds any of them is hashed once a process; a damaged one is told, and removed.

        Args:
            wanted: keys; others in the folder are passed over.
        """
        self._place: dict[bytes, tuple[Entry, int]] = {}
        with ThreadPoolExecutor(4) as pool:
            for groups in pool.map(partial(_open, wanted=frozenset(wanted)), sorted(folder.glob(f"*{SUFFIX}"))):
                for keys, columns in groups:
                    self._place.update((key, (columns, row)) for row, key in keys)

    def __getitem__(self, key: bytes) -> Entry:
        columns, row = self._place[key]
        return tuple(column[row] for column in columns)

    def __contains__(self, key: object) -> bool:
        return key in self._place

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)


Group = tuple[list[tuple[int, bytes]], Entry]
"""Wanted keys with their rows, and the columns these are rows of."""


def _open(path: Path, wanted: frozenset[bytes]) -> list[Group]:
    try:
        found = [([(row, key) for row, key in keys if key in wanted], columns) for keys, columns in _groups(path)]
        held = [group for group in found if group[0]]
        if held and not _is_sound(path):
            raise ValueError("its bytes are not those it was written with")
        return held
    except FileNotFoundError:
        return []  # another process found it damaged first
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        _LOG.warning("%s: a damaged file of the cache (%s). It is removed, and what it held is computed again.", path, error)
        _remove(path)
        return []


def _groups(path: Path) -> Iterator[Group]:
    with safe_open(path, framework="pt") as file:
        # Tensors of an open file are views of its mapping, not copies, and keep it mapped.
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    for name, keys_N32 in tensors.items():
        shape, _, kind = name.rpartition("/")
        if kind == "keys":
            packed = keys_N32.numpy().tobytes()
            columns = tuple(tensors[f"{shape}/{i}"] for i in range(sum(other.startswith(f"{shape}/") for other in tensors) - 1))
            yield [(i, packed[32 * i : 32 * i + 32]) for i in range(len(keys_N32))], columns


def _is_sound(path: Path) -> bool:
    status = path.stat()
    told = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if told in _SOUND:
        return True
    with path.open("rb") as file:
        sound = hashlib.file_digest(file, "sha256").hexdigest() == path.name.removesuffix(SUFFIX)
    if sound:
        _SOUND.add(told)
    return sound


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s: cannot be removed (%s); it is passed over.", path, error.strerror)


def check_room(folder: Path, need_bytes: int) -> None:
    """Refuse before the work what the disk could not hold after it.

    Raises:
        OutputError: too little room, or a folder that cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}). Set machine.cache to a folder that is yours.") from error
    if free < need_bytes:
        raise OutputError(
            f"{folder}: the cache needs {need_bytes / 2**30:.1f} GiB more and the disk has {free / 2**30:.1f}. Make room, or set machine.cache to another disk."
        )
