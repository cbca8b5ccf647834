"""A request as typed => work for the engine, or a refusal that says which field and why."""

import unicodedata
from dataclasses import dataclass

from kimchi.generation.engine import BASE, KIMCHI, Request
from kimchi.generation.settings import MAX_SEED

from .asked import Asked, CompareRequest, GenerationRequest
from .refusals import Refusal
from .service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Checked as far as can be without the engine."""

    request: Request
    as_url: bool
    """Addresses instead of base64."""
    stream: bool = False


def generation(asked: GenerationRequest, service: Service) -> Draft:
    """Work for POST /v1/images/generations.

    Raises:
        Refusal: a field is out of range, or two do not go together.
    """
    count, streamed = asked.n or 1, bool(asked.stream)
    if count > service.settings.max_n or (streamed and count > 1):
        raise Refusal("invalid_value", "n")
    if asked.partial_images and not streamed:
        raise Refusal("invalid_value", "partial_images")
    if streamed and asked.response_format == "url":
        raise Refusal("invalid_value", "response_format")
    return _draft(asked, service, count, (KIMCHI,), streamed, asked.partial_images or 0)


def comparison(asked: CompareRequest, service: Service) -> Draft:
    """Work for POST /v1/images/compare: the arms as asked, or all there are in the order in which they tell the story.

    Raises:
        Refusal: as above, or an arm that is not loaded.
    """
    loaded = tuple(str(arm) for arm in service.identity.get("arms", (KIMCHI,))) if service.settings.compare else (KIMCHI,)
    arms: tuple[str, ...] = tuple(asked.arms or loaded)
    if len(set(arms)) < len(arms):
        raise Refusal("invalid_value", "arms")
    if not set(arms) <= set(loaded) or (asked.arms is None and BASE not in loaded):
        raise Refusal("arm_unavailable", "arms", limit=", ".join(loaded))
    return _draft(asked, service, 1, arms, False, 0)


def _draft(asked: Asked, service: Service, count: int, arms: tuple[str, ...], streamed: bool, previews: int) -> Draft:
    _check_model(asked.model, service)
    if asked.response_format == "url" and not service.settings.url_bytes:
        raise Refusal("invalid_value", "response_format")
    prompt = _text("prompt", asked.prompt, service)
    if asked.seed is not None and asked.seed > MAX_SEED - (count - 1):
        raise Refusal("invalid_value", "seed")
    request = Request(
        prompts=(prompt,) * count,
        arms=arms,
        seed=asked.seed,
        steps=_steps(asked, service),
        guidance=_one("guidance", asked.guidance, asked.guidance_scale),
        negative=_text("negative_prompt", asked.negative_prompt or "", service),
        size_px=_side(asked.size, service),
        previews=previews,
        timeout_s=service.settings.timeout_s,
    )
    return Draft(request=request, as_url=asked.response_format == "url", stream=streamed)


def _check_model(name: str | None, service: Service) -> None:
    """Refuse other names; what was asked for is not said again, and no path is ever made of it."""
    if name is not None and name != service.settings.model_id:
        raise Refusal("model_not_found", "model")


def _text(param: str, text: str, service: Service) -> str:
    if len(text) > service.settings.prompt_chars:
        raise Refusal("prompt_too_long", param, limit=service.settings.prompt_chars)
    # Line ends and tabs are how people write; NUL, escape and their like are how terminals and logs are attacked.
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r" for c in text):
        raise Refusal("control_characters", param)
    return text


def _steps(asked: Asked, service: Service) -> int | None:
    steps = _one("steps", asked.steps, asked.num_inference_steps)
    if steps is not None and steps > service.settings.max_steps:
        raise Refusal("invalid_value", "steps")
    return None if steps is None else int(steps)


def _one(param: str, value: float | None, other: float | None) -> float | None:
    """A setting that has two names; both may be given if they agree."""
    if value is not None and other is not None and value != other:
        raise Refusal("invalid_value", param)
    return other if value is None else value


def _side(size: str | None, service: Service) -> int | None:
    if size is None or size == "auto":
        return None
    width, height = map(int, size.split("x"))
    if width != height or not 64 <= width <= service.max_size_px:
        raise Refusal("invalid_value", "size")
    return width
