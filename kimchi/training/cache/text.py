"""States of captions: computed once, of one encoder, the empty prompt its own.

Legend: B captions, L positions, D width.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from kimchi.data.archives import nfc
from kimchi.errors import TrainingError
from kimchi.models.text_encoders._base import Encoder
from kimchi.training.loop import Report

from .keys import name_encoder, text_key
from .shards import Entry, Shards, Writer, check_room
from .work import Made, through

BATCH = 128
"""Captions through the encoder together."""
REMEMBERED = 1024
"""Captions whose states LiveStates keeps: 118 MiB at Stable Diffusion's width."""
_FOLDER = "text"


class TextStates:
    """States by caption, fp16 on disk or in memory."""

    def __init__(
        self, encoder: Encoder, captions: Sequence[str], report: Report | None = None, batch: int = BATCH, *, entries: Mapping[bytes, Entry] | None = None
    ) -> None:
        """Encode captions into memory, or take entries that are there.

        Args:
            captions: what may be asked for; the empty prompt is always among it.
            entries: states by text_key; None computes and holds them.

        Raises:
            TrainingError: a caption that encodes to NaN or infinity.
        """
        self._encoder = name_encoder(encoder)
        made: dict[bytes, Entry] = {}
        if entries is None:
            _encode(encoder, _missing(captions, self._encoder, made), made.__setitem__, batch, report)
        self._entries = made if entries is None else entries

    def of(self, captions: Sequence[str]) -> torch.Tensor:
        """States B L D, fp32, on the CPU.

        Raises:
            TrainingError: a caption that was not named when they were made.
        """
        return torch.stack([self._one(caption) for caption in captions]).float()

    def _one(self, caption: str) -> torch.Tensor:
        try:
            return self._entries[text_key(caption, self._encoder)][0]
        except KeyError:
            raise TrainingError(f"{caption!r}: no states of this caption were computed. Name it when the states are built.") from None


class LiveStates:
    """States computed when they are asked for; the latest are remembered. The same numbers as those on disk, fp16 and all."""

    def __init__(self, encoder: Encoder, remember: int = REMEMBERED) -> None:
        self._encoder, self._remember = encoder, remember
        self._known: OrderedDict[str, torch.Tensor] = OrderedDict()

    def of(self, captions: Sequence[str]) -> torch.Tensor:
        """States B L D, fp32, on the CPU.

        Raises:
            TrainingError: a caption that encodes to NaN or infinity.
        """
        asked = [nfc(caption) for caption in captions]
        fresh = [caption for caption in dict.fromkeys(asked) if caption not in self._known]
        made = dict(zip(fresh, _states(self._encoder, fresh).cpu(), strict=True)) if fresh else {}
        _check(fresh, list(made.values()))
        found = [made[caption] if caption in made else self._known[caption] for caption in asked]
        for caption, states_LD in zip(asked, found, strict=True):
            # Cloned: a view would keep the whole batch it came from.
            self._known[caption] = states_LD.clone() if caption not in self._known else states_LD
            self._known.move_to_end(caption)
        while len(self._known) > self._remember:
            self._known.popitem(last=False)
        return torch.stack(found).float()


def build_states(encoder: Encoder, captions: Sequence[str], folder: Path, *, batch: int = BATCH, report: Report | None = None) -> int:
    """Encode the captions that the cache lacks, the empty prompt among them, and say how many those were.

    Args:
        captions: in any order, repeated or not; NFD is read as NFC.
        folder: the cache (cache_folder); shared by runs and processes.

    Raises:
        TrainingError: a caption that encodes to NaN or infinity. OutputError: no room.
    """
    name = name_encoder(encoder)
    wanted = _missing(captions, name, {})
    found = Shards(folder / _FOLDER, wanted.keys())
    missing = {key: caption for key, caption in wanted.items() if key not in found}
    if missing:
        check_room(folder, len(missing) * 2 * encoder.length * encoder.width)
        with Writer(folder / _FOLDER) as writer:
            _encode(encoder, missing, writer.add, batch, report)
    return len(missing)


def open_states(encoder: Encoder, captions: Sequence[str], folder: Path) -> TextStates:
    """What build_states made, read by mmap; nothing is encoded.

    Raises:
        TrainingError: a caption is missing.
    """
    wanted = _missing(captions, name_encoder(encoder), {})
    shards = Shards(folder / _FOLDER, wanted.keys())
    for key, caption in wanted.items():
        if key not in shards:
            raise TrainingError(f"{folder}: no states of {caption!r}. Run it again; several machines must share this folder.")
    return TextStates(encoder, (), entries=shards)


def _missing(captions: Sequence[str], encoder: str, found: Mapping[bytes, Entry]) -> dict[bytes, str]:
    keyed = {text_key(caption, encoder): nfc(caption) for caption in ("", *captions)}
    return {key: caption for key, caption in keyed.items() if key not in found}


def _encode(encoder: Encoder, missing: Mapping[bytes, str], keep: Callable[[bytes, Entry], None], batch: int, report: Report | None) -> None:
    keys = list(missing)

    def batches() -> Iterator[list[bytes]]:
        for i in range(0, len(keys), batch):
            yield keys[i : i + batch]
            if report:
                report("encoding captions", min(i + batch, len(keys)), len(keys))

    def network(part: list[bytes]) -> Made:
        return (_states(encoder, [missing[key] for key in part]),)

    def checked(part: list[bytes], made: Made) -> None:
        _check([missing[key] for key in part], list(made[0]))
        for key, states_LD in zip(part, made[0], strict=True):
            keep(key, (states_LD,))

    through(batches(), network, checked)


def _states(encoder: Encoder, captions: Sequence[str]) -> torch.Tensor:
    if encoder.device.type != "cpu":
        return encoder.encode(captions).half()
    # Each alone, in the same time: its last bits would depend on its neighbours, and so on what an earlier run left in the cache.
    return torch.cat([encoder.encode([caption]) for caption in captions]).half()


def _check(captions: Sequence[str], states: Sequence[torch.Tensor]) -> None:
    for caption, states_LD in zip(captions, states, strict=True):
        if not torch.isfinite(states_LD).all():
            raise TrainingError(f"{caption!r}: the text encoder gives NaN or infinity. Take the encoder's weights again, in fp32.")
