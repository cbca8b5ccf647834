"""What every schema is: frozen, and refusing keys it does not know."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A mapping that cannot be changed and holds no key unknown to it; the sentence under each field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
