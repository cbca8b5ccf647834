"""What clients get, field by field."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Picture(BaseModel):
    """One picture."""

    b64_json: str | None = Field(default=None, description="The PNG, base64.")
    url: str | None = Field(default=None, description="Where the PNG is for a while.")
    revised_prompt: str = Field(description="The words that were drawn: the request without 그려줘 and the like.")
    seed: int = Field(description="Asking again with it gives the same picture.")
    cut: str = Field(description="The tail of the prompt beyond what the encoder reads, which was not drawn; mostly empty.")


class ComparedPicture(Picture):
    """One picture of a comparison."""

    arm: Literal["kimchi", "base", "translated"]


class Made(BaseModel):
    """How the pictures were made."""

    model: str
    model_hash: str = Field(description="16 hex digits; two servers with the same one draw the same.")
    miniature: bool = Field(description="True for the shipped miniature, which is not the full model.")
    few_step: bool
    seed: int = Field(description="Of the first picture.")
    steps: int
    guidance: float
    size_px: int
    negative_prompt: str
    seconds: float = Field(description="From the request to the finished pictures, waiting included.")


class _Images(BaseModel):
    created: int = Field(description="Seconds since 1970.")
    background: Literal["opaque"] = "opaque"
    output_format: Literal["png"] = "png"
    size: str = Field(examples=["512x512"])
    kimchi: Made


class ImagesResponse(_Images):
    """Answer of POST /v1/images/generations."""

    data: list[Picture]


class CompareResponse(_Images):
    """Answer of POST /v1/images/compare."""

    data: list[ComparedPicture]
    prompt_en: str = Field(description="What was drawn in the translated arm; empty without it.")


class ServedModel(BaseModel):
    """One model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["kimchi"] = "kimchi"
    kimchi: dict[str, Any] = Field(description="Hash, defaults and limits, once it is loaded.")


class ModelList(BaseModel):
    """Answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ServedModel]


class Health(BaseModel):
    """Answer of the health checks when all is well."""

    status: str = Field(examples=["ready"])


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str = Field(description="For people, in Korean or English by Accept-Language.")
    type: str
    param: str | None = None
    code: str = Field(description="For programs.")


class ErrorResponse(BaseModel):
    """Every refusal."""

    error: ErrorBody
