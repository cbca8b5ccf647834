"""The mini Korean-CLIP: a student text tower with a Korean and English vocabulary, distilled from the mini base's CLIP.

As the real one: only the pooled, projected sentence embedding is matched, L = MSE(S(ko), T(en)) + MSE(S(en), T(en))
(Reimers and Gurevych 2020, arXiv 2004.09813, eq. 1). No token is matched, so a plain swap into the UNet is weak.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from kimchi.data.sample_world import worlds
from kimchi.data.sample_world.captions import Twin, captions, noun
from kimchi.models.precision import autocast_on_cpu
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop

from .clip import text_config
from .tokenizers import learn
from .world import world_pictures

KOREAN_SHARE = 0.2
"""Share of the parallel text that speaks of Korean things, glossed in English."""
TEST_PAIRS = 400


def parallel_text(per_concept: int) -> tuple[list[Twin], list[Twin]]:
    """Twins of the general world and of the Korean one: nouns, and rich captions of pictures nobody needs to draw."""
    both: list[list[Twin]] = []
    for world in (worlds("general"), worlds("korean")):
        rich = [captions(p) for p in world_pictures(world, per_concept, "korean")]
        both.append([*(noun(c) for c in world for _ in range(per_concept // 8)), *rich])
    return both[0], both[1]


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Distil; save text tower and tokenizer together, as a transformers folder."""
    torch.manual_seed(recipe.seed)
    general, korean = parallel_text(recipe.per_concept)
    general, test = general[:-TEST_PAIRS], general[-TEST_PAIRS:]
    tokenizer = learn([text for t in general + korean * 2 for text in (t.ko, t.en)], merges=2500)
    base = folder.parent / "mini-base"
    teacher, teacher_tokenizer = load_teacher(base)
    student = CLIPTextModelWithProjection(CLIPTextConfig(**text_config(recipe.model, tokenizer)))

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        n_korean = int(recipe.batch * KOREAN_SHARE)
        twins = [general[i] for i in torch.randint(len(general), (recipe.batch - n_korean,), generator=source).tolist()]
        twins += [korean[i] for i in torch.randint(len(korean), (n_korean,), generator=source).tolist()]
        english = [t.en for t in twins]
        with torch.no_grad():
            target = embed(teacher, teacher_tokenizer, english)
        with autocast_on_cpu():
            made = embed(student, tokenizer, [t.ko for t in twins] + english).float()
        return F.mse_loss(made, torch.cat([target, target]))

    plan = loop.Plan(steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=100, seconds=recipe.minutes * 60, checkpoint_every=250)
    losses = loop.run(dict(student.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    student.eval()
    with torch.no_grad():
        cosine = F.cosine_similarity(embed(student, tokenizer, [t.ko for t in test]), embed(teacher, teacher_tokenizer, [t.en for t in test])).mean().item()
    student.text_model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"loss": sum(losses[-50:]) / 50, "pooled_cosine_ko_to_en": cosine}


def load_teacher(base: Path) -> tuple[CLIPTextModelWithProjection, CLIPTokenizer]:
    """The mini base's frozen text tower with the projection it was trained with."""
    teacher = CLIPTextModelWithProjection.from_pretrained(str(base / "text_encoder"), dtype=torch.float32)
    teacher.text_projection.weight.data = load_file(base / "text_encoder" / "text_projection.safetensors")["text_projection.weight"].float()
    return teacher.eval().requires_grad_(False), CLIPTokenizer.from_pretrained(str(base / "tokenizer"))


def embed(model: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Pooled and projected, not normalised: N x width."""
    tokens = tokenizer(texts, padding="longest", truncation=True, max_length=77, return_tensors="pt")
    return model(input_ids=tokens.input_ids).text_embeds
