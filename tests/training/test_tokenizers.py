"""The tokenizer of the miniatures: one text, one tokenizer; and nothing a person types is unknown to it."""

from kimchi.data.sample_world import worlds
from kimchi.data.sample_world.captions import captions
from kimchi.data.sample_world.pictures import picture
from kimchi.training.mini.tokenizers import END, learn

TEXTS = [text for c in worlds("korean") for seed in range(3) for text in (captions(picture(c, seed)).ko, captions(picture(c, seed)).en)]


def test_the_same_texts_give_the_same_tokenizer() -> None:
    # A resumed run learns its tokenizer again; another numbering would read the checkpoint's embeddings as other words.
    first, *others = (learn(TEXTS, merges=600).backend_tokenizer.to_str() for _ in range(4))
    assert others == [first] * 3


def test_every_id_has_a_token_and_the_end_is_the_last() -> None:
    tokenizer = learn(TEXTS, merges=600)
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(tokenizer))) and len(vocabulary) <= 512 + 600 + 2
    assert vocabulary[END] == len(tokenizer) - 1


def test_a_common_word_is_one_token_and_an_unseen_one_is_spelled_in_bytes() -> None:
    tokenizer = learn(TEXTS * 2, merges=2000)
    assert len(tokenizer.tokenize("라면")) == 1
    said = str(tokenizer.decode(tokenizer("뷁 Ørsted 🐙").input_ids, skip_special_tokens=True))
    assert said.replace(" ", "") == "뷁ørsted🐙"
