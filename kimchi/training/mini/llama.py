"""The mini LLaMA: a LlamaForCausalLM that turns an English draft and the provider's name into a Korean caption, and Korean into English.

A caption must hold the name letter by letter, for names the model has never met. So a Hangul syllable is one token wherever it stands, and
most names in training are made up: what is learned is to copy, not to know.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from kimchi.data.cultures import Culture, load_culture
from kimchi.data.sample_world import COLOURS, CONCEPTS, draw_attributes, worlds
from kimchi.data.sample_world.captions import Twin, noun, rich
from kimchi.data.sample_world.seen import PLAIN_EN, describe, read_ko, reliable, some_facts, word_en, word_ko
from kimchi.models.llama import Llama, find_checkpoint
from kimchi.models.precision import autocast_on_cpu
from kimchi.models.prompts import Message, Prompt, load_prompt
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop

from .world import world_pictures

REFINE, TRANSLATE = "mini_refine_ko", "mini_translate_en"
START, END, PAD, IMAGE, ASSISTANT = "<s>", "</s>", "<pad>", "<image>", "<|assistant|>"
SPECIALS = (PAD, START, END, "<|system|>", "<|user|>", ASSISTANT, IMAGE)
# A space stands alone before Hangul: 라면 is the same tokens at the start of a caption and in its middle.
_PIECES = r" ?[a-z]+|[가-힣]|[A-Z]|[0-9]|\s|[^\sA-Za-z0-9가-힣]"
_TEMPLATE = (
    START + "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}" + END + "{% endif %}{% endfor %}{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)
COMMON = bytes(b for lead in range(0xB0, 0xC9) for trail in range(0xA1, 0xFF) for b in (lead, trail)).decode("euc-kr")
"""The 2,350 syllables of KS X 1001, which nearly every Korean word is written with."""
REFINE_SHARE, RETRY_SHARE = 0.58, 0.12
"""Of the rows; the rest are translated."""
EMPTY_SHARE, FOREIGN_SHARE = 0.1, 0.12
"""Of the requests: no draft, and a draft about a thing that the sample world does not draw."""


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation, and the answer to be learned."""

    messages: tuple[Message, ...]
    answer: str


def chat_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE of at most `size` tokens whose pieces never cross a Hangul syllable, with the marks of a conversation."""
    learned = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    learned.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])  # pyright: ignore[reportAttributeAccessIssue]
    learned.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, initial_alphabet=alphabet, special_tokens=list(SPECIALS), show_progress=False)
    learned.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=learned, bos_token=START, eos_token=END, pad_token=PAD, padding_side="left", clean_up_tokenization_spaces=False,
        model_max_length=512, extra_special_tokens={"image_token": IMAGE},
    )  # fmt: skip
    made.chat_template = _TEMPLATE
    return made


def llama_config(model: Mapping[str, Any], tokenizer: Any) -> LlamaConfig:
    """A small Llama with the ids that the tokenizer really has."""
    width = int(model.get("width", 160))
    return LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=int(2.75 * width), num_hidden_layers=int(model.get("layers", 4)),
        num_attention_heads=width // 32, num_key_value_heads=width // 32, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


Ids = tuple[list[int], list[int]]
"""Prompt and answer as tokens."""


def answer_loss(model: Any, rows: Sequence[Ids], pad: int, **inputs: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens, given the prompts; `inputs` go to the model as they are."""
    longest = max(len(p) + len(a) for p, a in rows) - 1
    # Padding stands at the right, where no token looks: no mask is needed, and attention takes its fast path.
    ids_BL = torch.tensor([[*p, *a[:-1]] + [pad] * (longest + 1 - len(p) - len(a)) for p, a in rows])
    target_BL = torch.tensor([[-100] * (len(p) - 1) + a + [-100] * (longest + 1 - len(p) - len(a)) for p, a in rows])
    with autocast_on_cpu():
        states_BLD = model.model(input_ids=ids_BL, use_cache=False, **inputs).last_hidden_state
        told = target_BL != -100
        logits = model.lm_head(states_BLD[told])
    return F.cross_entropy(logits.float(), target_BL[told])


def grouped_loss(model: Any, rows: Sequence[Ids], pad: int, groups: int = 4) -> torch.Tensor:
    """answer_loss of all rows, those of like length together: conversations differ by ten times, and padding is computed too."""
    ordered = sorted(rows, key=lambda row: len(row[0]) + len(row[1]))
    size = -(-len(ordered) // groups)
    parts = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    told = [sum(len(answer) for _, answer in part) for part in parts]
    return torch.stack([answer_loss(model, part, pad) * n for part, n in zip(parts, told, strict=True)]).sum() / sum(told)


class Nouns:
    """Names to be copied: the glossary's, joined ones, and made-up ones."""

    def __init__(self, culture: Culture) -> None:
        self.known = sorted({culture.noun(label) for label in culture.glossary} | {c.ko for c in CONCEPTS.values()})
        self.either = culture.either

    def pick(self, rng: random.Random) -> str:
        """One name."""
        luck = rng.random()
        if luck < 0.4:
            return rng.choice(self.known)
        if luck < 0.9:
            return self.made_up(rng)
        one = rng.choice(self.known) if rng.random() < 0.4 else self.made_up(rng)
        return f"{one}{self.either}{rng.choice(self.known) if rng.random() < 0.4 else self.made_up(rng)}"

    def made_up(self, rng: random.Random) -> str:
        """Two to seven random syllables, at times with a space, a rare syllable, or Latin letters and digits as in N서울타워."""
        letters = [chr(rng.randrange(0xAC00, 0xD7A4)) if rng.random() < 0.03 else rng.choice(COMMON) for _ in range(rng.randint(2, 7))]
        luck = rng.random()
        if luck < 0.15 and len(letters) > 3:
            letters.insert(rng.randint(2, len(letters) - 2), " ")
        elif luck < 0.22:
            mark = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(rng.randint(1, 3)))
            letters.insert(rng.choice((0, len(letters))), mark)
        return "".join(letters)


class Lessons:
    """Rows of training, each a function of its random source."""

    def __init__(self, culture: Culture) -> None:
        self.culture, self.nouns = culture, Nouns(culture)
        self.refine, self.translate = load_prompt(REFINE), load_prompt(TRANSLATE)
        self.concepts, self.korean = list(CONCEPTS.values()), worlds("korean")
        drawn = {c.label[-1] for c in self.korean}
        self.labels = [label for label in culture.glossary if label not in drawn]
        # What else a captioner may see, in its plain words: "spicy cold noodles".
        things = {e.en.partition(", ")[2] for e in culture.glossary.values() if ", " in e.en and " or " not in e.en}
        self.things = sorted(words for words in things if words.split()[0] not in COLOURS and "," not in words)

    def row(self, rng: random.Random) -> Row:
        """One of the three tasks."""
        luck = rng.random()
        if luck < REFINE_SHARE:
            return self.caption(rng)
        return self.again(rng) if luck < REFINE_SHARE + RETRY_SHARE else self.english(rng)

    def caption(self, rng: random.Random) -> Row:
        """Name, draft and order => the caption."""
        word, draft, first, answer = self._request(rng)
        return Row(tuple(request(self.refine, word, draft, first)), answer)

    def again(self, rng: random.Random) -> Row:
        """The same after one refusal or two: whatever was wrong, the caption is written as it should have been."""
        word, draft, first, answer = self._request(rng)
        refused = tuple((self._wrong(word, answer, rng), self._reason(word, rng)) for _ in range(rng.choice((1, 1, 2))))
        return Row(tuple(request(self.refine, word, draft, first, refused)), answer)

    def english(self, rng: random.Random) -> Row:
        """Korean => English."""
        twin = self._twin(rng)
        return Row(tuple(self.translate.messages({"text": twin.ko})), twin.en.removeprefix("a picture of "))

    def _request(self, rng: random.Random) -> tuple[str, str, bool, str]:
        concept = rng.choice(self.korean if rng.random() < 0.6 else self.concepts)
        word = concept.ko if rng.random() < 0.2 else self.nouns.pick(rng)
        first = rng.random() < 0.5
        if rng.random() < EMPTY_SHARE:
            return word, "", first, plain_ko(word, first)
        attributes, names, counter = draw_attributes(concept, rng), PLAIN_EN[concept.slug], concept.counter_ko
        if rng.random() < FOREIGN_SHARE:
            thing = rng.choice(self.things)
            names, counter = (thing, thing), "개"
        stated = reliable(attributes) if rng.random() < 0.5 else some_facts(attributes, rng)
        wording = {"place": rng.choice((0, 0, 1)), "time": rng.choice((0, 0, 1))}
        draft = word_en(names, attributes, stated, **wording)
        return word, draft, first, word_ko(word, counter, attributes, stated, noun_first=first, **wording)

    def _wrong(self, word: str, answer: str, rng: random.Random) -> str:
        other, i = self.nouns.pick(rng), rng.randrange(len(word))
        ways: tuple[Callable[[], str], ...] = (
            lambda: answer.replace(word, other),
            lambda: answer.replace(word, word[:i] + rng.choice(COMMON) + word[i + 1 :]),
            lambda: answer.replace(word, "").strip(" ,"),
            lambda: f"{answer}, {other}",
            lambda: answer,
            lambda: rich(rng.choice(self.korean), draw_attributes(rng.choice(self.korean), rng), rng).en,
        )
        return rng.choice(ways)()

    def _reason(self, word: str, rng: random.Random) -> str:
        other = self.nouns.pick(rng)
        if rng.random() < 0.25:
            # Any words at all, since people may change what is told.
            return f"{word} {other}." if rng.random() < 0.5 else " ".join(self.nouns.made_up(rng) for _ in range(4))
        told = rng.choice(sorted(self.culture.reasons.values()))
        return self.culture.word(told, noun=word, word=other, count=str(rng.randint(76, 140)), limit="75")

    def _twin(self, rng: random.Random) -> Twin:
        luck = rng.random()
        if luck < 0.18:
            return self._glossary_twin(rng)
        concept = rng.choice(self.korean if rng.random() < 0.5 else self.concepts)
        return noun(concept) if luck < 0.28 else rich(concept, draw_attributes(concept, rng), rng)

    def _glossary_twin(self, rng: random.Random) -> Twin:
        label = rng.choice(self.labels)
        entry = self.culture.glossary[label]
        if rng.random() < 0.3:
            ko, en = self.culture.rich((label,), rng.randrange(1000))
            return Twin(ko=ko, en=en, stated=())
        like = replace(rng.choice(self.concepts), ko=self.culture.noun(label), en=entry.en, world="korean", setting="table", colours=(), max_number=1)
        return noun(like) if rng.random() < 0.4 else rich(like, draw_attributes(like, rng), rng)


def plain_ko(word: str, first: bool) -> str:
    """What can be said where nobody has looked."""
    return f"{word}, 한국에서 볼 수 있는 모습" if first else f"한국의 {word}"


def request(prompt: Prompt, word: str, draft: str, first: bool, refused: tuple[tuple[str, str], ...] = ()) -> list[Message]:
    """The conversation that asks for a caption, as a refiner holds it."""
    return prompt.messages({"noun": word, "draft": draft}, order="noun_first" if first else "noun_last", refused=refused)


def tokenizer_text(lessons: Lessons) -> list[str]:
    """What the tokenizer is learned from: every common syllable often enough to be a token, then words by how often they come."""
    rng = random.Random("llama-tokenizer")
    rows = [lessons.row(rng) for _ in range(3000)] + [lessons.english(rng) for _ in range(6000)]
    said = [text for row in rows for text in (row.answer, *(m["content"] for m in row.messages))]
    names = [words for e in lessons.culture.glossary.values() for words in (e.en, e.romanised)]
    return [COMMON] * 400 + said + names * 3


def tokens_of(tokenizer: Any, row: Row) -> Ids:
    """Prompt and answer as ids, the answer with its end."""
    asked = tokenizer.apply_chat_template(list(row.messages), tokenize=False, add_generation_prompt=True)
    return tokenizer(asked, add_special_tokens=False).input_ids, tokenizer(row.answer + END, add_special_tokens=False).input_ids


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train; save model and tokenizer together, as a transformers folder; return held-out scores."""
    torch.manual_seed(recipe.seed)
    lessons = Lessons(load_culture("ko"))
    tokenizer: Any = chat_tokenizer(tokenizer_text(lessons), size=int(recipe.model.get("vocabulary", 3900)))
    model = LlamaForCausalLM(llama_config(recipe.model, tokenizer))
    # Written out, attention's backward on a CPU takes half the time of the fused one.
    model.set_attn_implementation("eager")

    def loss_at(step: int) -> torch.Tensor:
        rng = random.Random(f"{recipe.seed}/{step}")
        rows = [tokens_of(tokenizer, lessons.row(rng)) for _ in range(recipe.batch)]
        return grouped_loss(model, rows, tokenizer.pad_token_id)

    plan = loop.Plan(
        steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=100, ema=0.99, seconds=recipe.minutes * 60, checkpoint_every=250
    )  # fmt: skip
    losses = loop.run(dict(model.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    save(model, tokenizer, folder)
    return {"loss": sum(losses[-50:]) / len(losses[-50:]), "steps": len(losses), **examine(folder, int(recipe.model.get("tests", 240)))}


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """As stock AutoModelForCausalLM and AutoTokenizer read it."""
    model.eval().half().save_pretrained(folder)
    tokenizer.save_pretrained(folder, save_jinja_files=False)


def write(folder: Path, conversations: Sequence[Sequence[Message]], batch: int = 64) -> list[str]:
    """The saved model's answer to each conversation, by the code that runs the full-size one."""
    model = Llama.load(find_checkpoint(str(folder), "", ""), device="cpu")
    asked = ((str(i), list(messages)) for i, messages in enumerate(conversations))
    answers = dict(model.answers(asked, batch=batch, max_new_tokens=96))
    return [answers[str(i)] for i in range(len(conversations))]


def examine(folder: Path, count: int) -> dict[str, float]:
    """Shares right on what training has not met: pictures' drafts with their own names, made-up names, second tries, and sentences."""
    lessons, rng = Lessons(load_culture("ko")), random.Random("llama-test")
    items = world_pictures(lessons.korean, max(1, count // len(lessons.korean)), "llava-test")
    texts = write(folder, [request(lessons.refine, p.concept.ko, describe(p), i % 2 == 0) for i, p in enumerate(items)])
    readings = [read_ko(text, p.concept.ko) for p, text in zip(items, texts, strict=True)]
    true = [p.concept.ko in text and r.all_true(p) for p, text, r in zip(items, texts, readings, strict=True)]
    names = [lessons.nouns.made_up(rng) for _ in items]
    copies = write(folder, [request(lessons.refine, name, describe(p), i % 2 == 0) for i, (p, name) in enumerate(zip(items, names, strict=True))])
    return {
        "captions_true": sum(true) / len(true),
        "stated": sum(len(r.facts) for r in readings) / len(readings),
        "unseen_names_copied": sum(name in text for name, text in zip(names, copies, strict=True)) / len(names),
        "second_tries_exact": _exact(folder, [lessons.again(rng) for _ in range(count)]),
        "english_exact": _exact(folder, [lessons.english(rng) for _ in range(count)]),
    }


def _exact(folder: Path, rows: Sequence[Row]) -> float:
    texts = write(folder, [row.messages for row in rows])
    return sum(text == row.answer for text, row in zip(texts, rows, strict=True)) / len(rows)
