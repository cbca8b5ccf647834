"""Recipes that make captions: what writes them, and what a delivery must pass."""

from typing import Any, Literal

from pydantic import Field, model_validator

from .strict import Strict


class Writer(Strict):
    """A part that writes text: which, with which model, prompt and limits."""

    part: str
    """A file of kimchi/pipelines/captioners/ or refiners/, or module:Class."""
    model: str = ""
    """mini, a transformers folder, or a hub id; behind an endpoint, the model's name there."""
    revision: str = ""
    """Commit of the hub's repository; empty for its newest."""
    prompt: str = ""
    """A file of pipelines/prompts/ without its suffix, or a path; empty where the part needs none."""
    endpoint: str = ""
    """Base address of an OpenAI-compatible server, ending in /v1; empty to run the model in this process."""
    key_env: str = "KIMCHI_ENDPOINT_KEY"
    """Name of the environment variable that holds the endpoint's key; the key itself is written nowhere."""
    data_may_leave: bool = False
    """Lets pictures and labels go to an endpoint outside the private network. AIHub's terms count sending them abroad as export."""
    concurrency: int = Field(default=64, ge=1, le=1024)
    """Requests in flight at an endpoint."""
    timeout_s: float = Field(default=120, gt=0)
    """How long one request may take, seconds."""
    attempts: int = Field(default=5, ge=1)
    """How often a request is sent before its record is left for the next run."""
    batch: int = Field(default=16, ge=1)
    """Texts written together by a model in this process."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Longest text, tokens."""
    temperature: float = Field(default=0.0, ge=0)
    """0 writes the likeliest text and is reproducible."""
    seed: int = 0
    """Of what is drawn by chance: wordings, and texts where temperature is above 0."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""

    @model_validator(mode="before")
    @classmethod
    def _named_alone(cls, value: Any) -> Any:
        return {"part": value} if isinstance(value, str) else value


class PrepareRecipe(Strict):
    """Pictures of a delivery => captions.jsonl."""

    unhashed = frozenset({"name", "out", "engine", "workers"})

    kind: Literal["prepare"]
    name: str
    """Name of the run folder under runs/."""
    reader: str
    """Which reader understands the delivery: aihub_food."""
    source: str
    """The delivery: a zip file or an unpacked folder."""
    captioner: Writer = Writer(part="none")
    """Describes each picture in English."""
    refiner: Writer = Writer(part="template")
    """Turns description and label into the culture's language."""
    engine: str = "local"
    """Where the models work: local, or ray for a cluster (extra `scale`)."""
    text_encoder: str = "mini-korean-clip"
    """Whose tokens are counted: mini-korean-clip, a transformers folder, or a hub id."""
    max_tokens: int = Field(default=75, ge=1)
    """Longest rich caption, tokens of that encoder; the name must be whole within it."""
    retries: int = Field(default=2, ge=0)
    """How often a refused caption is written again, with the reason told, before its record is dropped."""
    min_side_px: int = Field(default=64, ge=1)
    """Shortest side of what is learned from, pixels; smaller ones are dropped."""
    max_aspect: float = Field(default=4.0, ge=1)
    """Longest side over shortest; longer ones are dropped."""
    min_sharpness: float = Field(default=0.0, ge=0)
    """Variance of the Laplacian of the grey picture at 256 px; blurrier ones are dropped. 0 keeps all; phone pictures are soft below about 100."""
    embedder: str = ""
    """A folder or hub id of a vision model by which shots of one scene are grouped besides their difference hash; empty for the hash alone."""
    flag: tuple[Literal["face", "plate"], ...] = ()
    """What a person should look at before pictures are shown to anyone; review.html filters by it. Needs the extra `scale`; decodes each picture again."""
    picture_px: int = Field(default=336, ge=32)
    """Shortest side of the pictures a captioner is shown, pixels."""
    workers: int = Field(default=0, ge=0)
    """Threads that decode pictures; 0 for one a core."""
    culture: str = "ko"
    """A file of data/cultures/."""
    validation_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the groups held out for validation."""
    test_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the groups held out for test."""
    out: str = ""
    """Run folder; empty for runs/NAME."""
