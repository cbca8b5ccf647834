"""What clients may ask, field by field. OpenAI's own fields keep their meaning; a field that neither OpenAI nor we know is refused, as OpenAI does."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kimchi.generation.prompts import LONGEST_CHARACTERS
from kimchi.generation.settings import MAX_SEED

SIZE = r"^(auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$"
Arm = Literal["kimchi", "base", "translated"]
Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)]
_Ignored = Annotated[str | None, Field(default=None, max_length=512, description="Taken for OpenAI's clients, and ignored.")]


class Asked(BaseModel):
    """What both kinds of request hold."""

    # Strict: "4" and 4.0 are no numbers of steps, and true is no seed.
    model_config = ConfigDict(strict=True, extra="forbid")

    prompt: str = Field(
        min_length=1,
        max_length=LONGEST_CHARACTERS,
        examples=["한국의 라면을 그려줘"],
        description="What to draw, in Korean or English; a request around it is understood.",
    )
    model: str | None = Field(default=None, max_length=512, description="A name that GET /v1/models lists; the model that is served, if absent.")
    size: str | None = Field(default=None, pattern=SIZE, examples=["auto"], description="auto, or WIDTHxHEIGHT with both the same. The model's own if absent.")
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="Same seed, same picture; every further picture takes the next. Drawn by lot if absent."
    )
    steps: Steps | None = Field(default=None, description="Denoising steps; the model's own number if absent.")
    num_inference_steps: Steps | None = Field(default=None, description="Another name of `steps`.")
    guidance: Guidance | None = Field(default=None, description="How strictly the prompt is followed; the model's own if absent.")
    guidance_scale: Guidance | None = Field(default=None, description="Another name of `guidance`.")
    negative_prompt: str | None = Field(default=None, max_length=LONGEST_CHARACTERS, description="What should not be in the picture.")
    response_format: Literal["b64_json", "url"] | None = Field(
        default=None, description="b64_json (default): the PNG itself. url: an address on this server that holds for a while."
    )
    user: _Ignored = None


class GenerationRequest(Asked):
    """Body of POST /v1/images/generations."""

    n: int | None = Field(default=None, ge=1, le=10, description="How many pictures; 1 if absent.")
    stream: bool | None = Field(default=None, description="Send server-sent events: pictures in the making, then the finished one.")
    partial_images: int | None = Field(default=None, ge=0, le=10, description="With stream: about how many pictures in the making.")
    output_format: Literal["png"] | None = Field(default=None, description="Always png: it carries how the picture was made.")
    background: Literal["auto", "opaque"] | None = Field(default=None, description="Always opaque.")
    quality: _Ignored = None
    style: _Ignored = None
    moderation: _Ignored = None
    safety_identifier: _Ignored = None


class CompareRequest(Asked):
    """Body of POST /v1/images/compare."""

    arms: list[Arm] | None = Field(
        default=None, min_length=1, max_length=3,
        description="kimchi: the prompt on this model. base: the same on its untaught base. translated: put into English first, on the base. "
        "All that can be drawn here, if absent.",
    )  # fmt: skip
