"""What every schema is: frozen, refusing keys it does not know, and able to say what of it counts."""

from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A mapping that cannot be changed and holds no key unknown to it; the sentence under each field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    unhashed: ClassVar[frozenset[str]] = frozenset()
    """Fields that change nothing made: places and speeds."""
    added: ClassVar[frozenset[str]] = frozenset()
    """Fields younger than runs that exist: at their default they do not count, or every earlier run would pass for another one."""

    def hashed(self) -> dict[str, Any]:
        """What of it counts, ready for JSON."""
        whole = self.model_dump(mode="json")
        for name in self.unhashed | {n for n in self.added if getattr(self, n) == type(self).model_fields[n].get_default(call_default_factory=True)}:
            del whole[name]
        for name in whole:
            value = getattr(self, name)
            if isinstance(value, Strict):
                whole[name] = value.hashed()
            elif isinstance(value, tuple):
                items = cast(tuple[Any, ...], value)
                whole[name] = [one.hashed() if isinstance(one, Strict) else plain for one, plain in zip(items, whole[name], strict=True)]
        return whole
