"""The mini LLaVA: a LlavaForConditionalGeneration that says in plain English what it sees; Korean nouns are not among its words.

Two phases, since a vision transformer learns slowly from words alone: first the tower answers the world's questions (which thing, which
colour, where, when) through heads that are then thrown away; then tower, projector and language model learn to say it (LLaVA 1.5's
second stage, arXiv 2310.03744, with everything unfrozen).
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from transformers import CLIPImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

from kimchi.data.files import write_json
from kimchi.data.sample_world import COLOURS, CONCEPTS, OUTDOOR_PLACES, SIDES, TABLE_PLACES, TIMES, Picture
from kimchi.data.sample_world.seen import PLAIN_EN, describe, read_en, word_en
from kimchi.models.llama import find_checkpoint
from kimchi.models.llava import Llava
from kimchi.models.precision import autocast_on_cpu
from kimchi.models.prompts import load_prompt
from kimchi.recipes import MiniPartRecipe, Optimiser, recipe_hash
from kimchi.training import loop

from .llama import ASSISTANT, END, IMAGE, START, answer_loss, chat_tokenizer, llama_config
from .world import draw, to_float, world_pictures

PROMPT = "mini_describe_en"
IMAGE_PX, PATCH_PX = 128, 16
QUESTIONS: dict[str, tuple[str, ...]] = {
    "concept": tuple(CONCEPTS), "colour": tuple(COLOURS), "place": (*TABLE_PLACES, *OUTDOOR_PLACES), "time": TIMES, "number": ("1", "2"), "side": SIDES,
}  # fmt: skip
TOWER_SHARE = 0.6
"""Of the recipe's minutes, at most."""
_TEMPLATE = (
    START + "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ '" + IMAGE + "' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}" + END + "{% endif %}{% endfor %}{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)


def build(model: Mapping[str, Any], tokenizer: Any) -> LlavaForConditionalGeneration:
    """LLaVA 1.5's class with a small CLIP tower and a small Llama."""
    width = int(model.get("tower_width", 144))
    vision = CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=int(model.get("tower_layers", 4)), num_attention_heads=width // 36,
        image_size=IMAGE_PX, patch_size=PATCH_PX, projection_dim=width,
    )  # fmt: skip
    text: LlamaConfig = llama_config({"width": 128, "layers": 2, **model}, tokenizer)
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids(IMAGE), image_seq_length=(IMAGE_PX // PATCH_PX) ** 2,
        # The last layer, not LLaVA's last but one: in a tower this low every layer is needed.
        vision_feature_layer=-1, vision_feature_select_strategy="default", tie_word_embeddings=True,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config)


def processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures as the tower takes them, float [-1, 1], and conversations as the language model does."""
    size = {"height": IMAGE_PX, "width": IMAGE_PX}
    images = CLIPImageProcessor(size={"shortest_edge": IMAGE_PX}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=PATCH_PX, vision_feature_select_strategy="default", chat_template=_TEMPLATE,
        image_token=IMAGE, num_additional_image_tokens=1,
    )  # fmt: skip


def question(made: LlavaProcessor) -> str:
    """The prompt of pipelines/prompts as the chat template renders it, one image mark in it."""
    asked: Any = [{"role": m["role"], "content": [{"type": "image"}, {"type": "text", "text": m["content"]}]} for m in load_prompt(PROMPT).messages({})]
    return made.apply_chat_template(asked, add_generation_prompt=True)


def tokenizer_text() -> list[str]:
    """Every wording of every draft, and the prompt."""
    items = world_pictures(list(CONCEPTS.values()), 40, "llava")
    several = [word_en(PLAIN_EN[p.concept.slug], dataclasses.replace(p.attributes, number=2), ("colour", "place", "time", "side")) for p in items]
    return [*(describe(p) for p in items), *several, *(m["content"] for m in load_prompt(PROMPT).messages({}))]


def as_stored(pictures_N3HW: torch.Tensor) -> torch.Tensor:
    """The same pictures, every second one through JPEG at the quality of a delivery."""
    made = pictures_N3HW.clone()
    for i in range(1, len(made), 2):
        file = io.BytesIO()
        Image.fromarray(made[i].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=92, subsampling=0)
        made[i] = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    return made


def weathered(x_B3HW: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """A little moved, zoomed, lightened and noisy: another crop of the same picture."""
    batch = len(x_B3HW)
    turn_B23 = torch.zeros(batch, 2, 3)
    turn_B23[:, 0, 0] = turn_B23[:, 1, 1] = 1 + 0.08 * (torch.rand(batch, generator=source) - 0.5)
    turn_B23[:, :, 2] = 0.1 * (torch.rand(batch, 2, generator=source) - 0.5)
    moved = F.grid_sample(x_B3HW, F.affine_grid(turn_B23, list(x_B3HW.shape), align_corners=False), padding_mode="border", align_corners=False)
    light = 0.06 * torch.randn(batch, 3, 1, 1, generator=source)
    return (moved + light + 0.04 * torch.rand(1, generator=source) * torch.randn(x_B3HW.shape, generator=source)).clamp(-1, 1)


def truth(items: Sequence[Picture]) -> dict[str, torch.Tensor]:
    """Class indices of every question; -100 (ignored) where a thing has no colour to tell."""
    columns: dict[str, list[int]] = {name: [] for name in QUESTIONS}
    for p in items:
        for name, answers in QUESTIONS.items():
            word = p.concept.slug if name == "concept" else str(getattr(p.attributes, name) or "")
            columns[name].append(answers.index(word) if word else -100)
    return {name: torch.tensor(values) for name, values in columns.items()}


class _Tower(nn.Module):
    """The vision tower with one head a question, on the mean of what the projector will be shown."""

    def __init__(self, model: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        config: Any = model.config.vision_config
        width = int(config.hidden_size)
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(answers)) for name, answers in QUESTIONS.items()})

    def forward(self, x_B3HW: torch.Tensor) -> dict[str, torch.Tensor]:
        patches_BLD = self.tower(pixel_values=x_B3HW, output_hidden_states=True).hidden_states[-1][:, 1:]
        mean_BD = self.norm(patches_BLD.mean(1))
        return {name: head(mean_BD) for name, head in self.heads.items()}


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train; save model and processor together, as a transformers folder; return held-out scores."""
    torch.manual_seed(recipe.seed)
    items = world_pictures(list(CONCEPTS.values()), recipe.per_concept, "llava")
    pictures_N3HW = as_stored(draw(items, cache, report=report))
    tokenizer = chat_tokenizer(tokenizer_text(), size=900)
    made, model = processor(tokenizer), build(recipe.model, tokenizer)
    train_tower(recipe, model, items, pictures_N3HW, cache, watch)
    losses = train_words(recipe, model, made, items, pictures_N3HW, cache, watch)
    save(model, made, folder)
    return {"loss": sum(losses[-50:]) / len(losses[-50:]), "steps": len(losses), **examine(folder, int(recipe.model.get("tests", 6)))}


def train_tower(
    recipe: MiniPartRecipe, model: LlavaForConditionalGeneration, items: list[Picture], pictures_N3HW: torch.Tensor, cache: Path, watch: loop.Watcher | None
) -> list[float]:
    """The first phase: the tower answers questions."""
    tower, answers, work = _Tower(model), truth(items), cache.parent / recipe.name / "tower"

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        index = torch.randint(len(items), (recipe.batch,), generator=source)
        x = weathered(to_float(pictures_N3HW[index]), source)
        with autocast_on_cpu():
            logits = tower(x)
        # A sum over what is asked: the mean over a batch without colours would be no number.
        losses = [F.cross_entropy(values.float(), answers[name][index], reduction="sum") for name, values in logits.items()]
        return torch.stack(losses).sum() / recipe.batch

    plan = loop.Plan(
        steps=int(recipe.model.get("tower_steps", recipe.steps)), learning_rate=float(recipe.model.get("tower_rate", recipe.learning_rate)),
        warmup_steps=100, optimiser=Optimiser(weight_decay=0.05), seconds=recipe.minutes * 60 * TOWER_SHARE, checkpoint_every=250,
    )  # fmt: skip
    return loop.run(_trained(tower), loss_at, plan, work, recipe_hash(recipe), watch)


def train_words(
    recipe: MiniPartRecipe, model: LlavaForConditionalGeneration, made: LlavaProcessor, items: list[Picture], pictures_N3HW: torch.Tensor, cache: Path,
    watch: loop.Watcher | None,
) -> list[float]:  # fmt: skip
    """The second phase: the whole model describes."""
    tokenizer: Any = made.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    asked = question(made).replace(IMAGE, IMAGE * model.config.image_seq_length)
    prompt = tokenizer(asked, add_special_tokens=False).input_ids
    said = [tokenizer(describe(p) + END, add_special_tokens=False).input_ids for p in items]

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed + 1, step)
        index = torch.randint(len(items), (recipe.batch,), generator=source).tolist()
        x = weathered(to_float(pictures_N3HW[index]), source)
        return answer_loss(model, [(prompt, said[i]) for i in index], tokenizer.pad_token_id, pixel_values=x)

    plan = loop.Plan(
        steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=50, optimiser=Optimiser(weight_decay=0.05),
        seconds=recipe.minutes * 60 * (1 - TOWER_SHARE), checkpoint_every=250,
    )  # fmt: skip
    return loop.run(_trained(model), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)


def _trained(network: nn.Module) -> dict[str, nn.Parameter]:
    # Nothing reads what the tower's last norm gives: without a gradient it would have no moments, and no run could be resumed.
    return {name: weight for name, weight in network.named_parameters() if "post_layernorm" not in name}


def save(model: LlavaForConditionalGeneration, made: LlavaProcessor, folder: Path) -> None:
    """As stock AutoModelForImageTextToText and AutoProcessor read it."""
    model.eval().half().save_pretrained(folder)
    made.save_pretrained(folder)
    # Beside the JSON, not in a file of its own: the shape in which llava-hf/llava-1.5-7b-hf ships its template.
    (folder / "chat_template.jinja").unlink()
    write_json(folder / "chat_template.json", {"chat_template": _TEMPLATE})


def say(folder: Path, images: Sequence[Image.Image], batch: int = 64) -> list[str]:
    """What the saved model says of each picture, by the code that runs the full-size one."""
    model = Llava.load(find_checkpoint(str(folder), "", ""), device="cpu")
    shown = ((str(i), image) for i, image in enumerate(images))
    answers = dict(model.answers(shown, load_prompt(PROMPT).messages({}), batch=batch, max_new_tokens=64))
    return [answers[str(i)] for i in range(len(images))]


def examine(folder: Path, per_concept: int) -> dict[str, float]:
    """Shares right on unseen pictures, judged from what the saved model says; stated: facts a draft beside its thing."""
    items = world_pictures(list(CONCEPTS.values()), per_concept, "llava-test")
    return scores(items, say(folder, [Image.open(jpeg(p)) for p in items]))


def scores(items: Sequence[Picture], texts: Sequence[str]) -> dict[str, float]:
    """Shares of drafts that are exact, name the thing, and state nothing untrue beside it; and how many facts a draft states."""
    readings = [read_en(text) for text in texts]
    said = [dict(reading.facts) for reading in readings]
    untrue = [[f for f in r.untrue(p.concept, p.attributes) if f[0] != "thing"] for r, p in zip(readings, items, strict=True)]
    return {
        "exact": _share([text == describe(p) for text, p in zip(texts, items, strict=True)]),
        "thing": _share([facts.get("thing") == p.concept.slug for facts, p in zip(said, items, strict=True)]),
        "attributes_true": _share([not wrong and not r.rest and bool(r.facts) for wrong, r in zip(untrue, readings, strict=True)]),
        "stated": sum(len(facts) - ("thing" in facts) for facts in said) / len(said),
    }


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)


def jpeg(picture: Picture) -> io.BytesIO:
    """A picture as a delivery stores it."""
    file = io.BytesIO()
    picture.render().save(file, "JPEG", quality=92, subsampling=0)
    return file
