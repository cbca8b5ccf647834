"""Byte-level BPE in CLIP's own format, learned from text: every byte is a token, so no word of any language is unknown."""

import json
from collections.abc import Iterable
from typing import Any, cast

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
START, END = "<|startoftext|>", "<|endoftext|>"


def learn(texts: Iterable[str], merges: int) -> CLIPTokenizer:
    """A CLIPTokenizer with 512 byte tokens, up to `merges` learned ones, and the two specials with the highest ids."""
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    trained.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=512 + merges, min_frequency=2, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    trained.train_from_iterator(texts, trainer)
    pairs = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    # The trainer knows only the final bytes that it met; an unseen one would be read as the end of the text.
    vocabulary = alphabet + [byte + "</w>" for byte in alphabet]
    known = set(vocabulary)
    kept: list[tuple[str, str]] = []
    for left, right in pairs:
        if left in known and right in known and left + right not in known:
            vocabulary.append(left + right)
            known.add(left + right)
            kept.append((left, right))
    vocabulary += [START, END]
    # Annotated as lines of text; the BPE below takes pairs.
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(vocabulary)}, merges=cast(Any, kept), model_max_length=77)
