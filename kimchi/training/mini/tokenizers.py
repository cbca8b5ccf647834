"""Byte-level BPE in CLIP's own format, learned from text: every byte is a token, so no word of any language is unknown."""

import json
from collections.abc import Iterable
from typing import Any, cast

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_NORMAL = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
_SPLIT = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
_PRIVATE = 0xE000
"""Start of Unicode's private use area."""
START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"


def learn(texts: Iterable[str], merges: int) -> CLIPTokenizer:
    """A CLIPTokenizer with 512 byte tokens, up to `merges` learned ones, and the two specials with the highest ids.

    The same texts always give the same tokenizer, on which a resumed run relies. The library's own end-of-word suffix would not: it numbers
    suffixed bytes in the order of a hash table and breaks ties by number. Here a word's last byte is one private character while learning.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    finals = {byte: chr(_PRIVATE + i) for i, byte in enumerate(alphabet)}
    spelled = {final: byte + END_OF_WORD for byte, final in finals.items()}
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=512 + merges, min_frequency=2, initial_alphabet=[*alphabet, *spelled], show_progress=False)
    trained.train_from_iterator((" ".join(word[:-1] + finals[word[-1]] for word in _words(text)) for text in texts), trainer)

    # back to CLIP's spelling
    vocabulary = [*alphabet, *spelled.values()]
    known, kept = set(vocabulary), list[tuple[str, str]]()
    for left, right in json.loads(trained.to_str())["model"]["merges"]:
        pair = left, right[:-1] + spelled.get(right[-1], right[-1])
        # Two merges may spell one token; a second entry would leave an id without an embedding.
        if (token := "".join(pair)) not in known:
            vocabulary.append(token)
            known.add(token)
            kept.append(pair)
    vocabulary += [START, END]
    # Annotated as lines of text; the BPE below takes pairs.
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(vocabulary)}, merges=cast(Any, kept), model_max_length=77)


def _words(text: str) -> list[str]:
    """The words of a text as CLIP's tokenizer splits them, spelled in byte characters."""
    return [word for word, _ in _SPLIT.pre_tokenize_str(_NORMAL.normalize_str(text))]
