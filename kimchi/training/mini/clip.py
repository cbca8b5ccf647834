"""The mini base's CLIP: a small CLIPModel, contrastive on drawings of the general world and their English captions, then frozen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from kimchi.data.sample_world import worlds
from kimchi.data.sample_world.captions import captions, noun
from kimchi.models.precision import autocast_on_cpu
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop

from .tokenizers import learn
from .world import draw, to_float, world_pictures


def text_config(model: Mapping[str, Any], tokenizer: CLIPTokenizer) -> dict[str, Any]:
    """The text tower's configuration, with the ids that the tokenizer really has."""
    width = int(model.get("width", 128))
    return {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": int(model.get("layers", 4)), "num_attention_heads": width // 32,
        "max_position_embeddings": 77, "vocab_size": len(tokenizer), "projection_dim": width, "hidden_act": "quick_gelu",
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train; save text tower to folder, its projection beside it, and the tokenizer to ../tokenizer, as a diffusers folder has them."""
    torch.manual_seed(recipe.seed)
    concepts = worlds("general")
    items = world_pictures(concepts, recipe.per_concept, "base")
    pictures_N3HW = draw(items, cache, report=report)
    tokenizer = learn([captions(p, v).en for p in items for v in range(2)] + [c.en for c in concepts] * 20, merges=1000)
    vision = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 128,
        "patch_size": 16,
        "projection_dim": 128,
    }
    model = CLIPModel(CLIPConfig(text_config=text_config(recipe.model, tokenizer), vision_config=vision, projection_dim=int(recipe.model.get("width", 128))))

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        index = torch.randint(len(items), (recipe.batch,), generator=source).tolist()
        words = [
            noun(items[i].concept).en if v == 0 else captions(items[i], v).en
            for i, v in zip(index, torch.randint(5, (recipe.batch,), generator=source).tolist(), strict=True)
        ]
        tokens = tokenizer(words, padding=True, truncation=True, max_length=77, return_tensors="pt")
        pixels = to_float(pictures_N3HW[index])
        with autocast_on_cpu():
            out = model(input_ids=tokens.input_ids, pixel_values=pixels)
        scores = out.logits_per_text.float()
        # Equal captions in a batch are equal answers, not mistakes.
        same = torch.tensor([[a == b for b in words] for a in words]).float()
        target = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2

    plan = loop.Plan(steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=50, seconds=recipe.minutes * 60, checkpoint_every=100)
    losses = loop.run(dict(model.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    model.eval()
    scores = {"loss": sum(losses[-50:]) / 50, "concept_accuracy": zero_shot(model, tokenizer, cache)}
    model.text_model.half().save_pretrained(folder)
    save_file(
        {"text_projection.weight": model.text_projection.weight.detach().half().contiguous()}, folder / "text_projection.safetensors", metadata={"format": "pt"}
    )
    tokenizer.save_pretrained(folder.parent / "tokenizer")
    return scores


@torch.no_grad()
def zero_shot(model: CLIPModel, tokenizer: CLIPTokenizer, cache: Path) -> float:
    """Share of unseen general pictures whose concept's noun scores highest."""
    concepts = worlds("general")
    items = world_pictures(concepts, 6, "clip")
    tokens = tokenizer([c.en for c in concepts], padding=True, return_tensors="pt")
    best = model(input_ids=tokens.input_ids, pixel_values=to_float(draw(items, cache))).logits_per_image.argmax(1)
    return sum(concepts[int(i)] == p.concept for i, p in zip(best, items, strict=True)) / len(items)
