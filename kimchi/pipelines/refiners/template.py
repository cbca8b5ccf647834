"""Captions from the provider's label alone, worded by the culture's templates. No picture is looked at, so nothing is said of one."""

import hashlib
from collections.abc import Iterator

from kimchi.data.cultures import Culture
from kimchi.data.files import sha256
from kimchi.pipelines.captioners import Answer
from kimchi.pipelines.refiners import Request
from kimchi.recipes import Writer
from kimchi.records import MadeBy


class Refiner:
    """Words each label by templates, chosen by the request's key: the same picture always gets the same words."""

    def __init__(self, section: Writer, culture: Culture) -> None:
        self.culture, self.seed = culture, section.seed
        self.made_by, self.identity = MadeBy(part="refiner:template"), f"{sha256(repr(culture.templates).encode())}/{section.seed}"

    def refine(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """The wordings of the requests, in their order."""
        for request in requests:
            number = int.from_bytes(hashlib.sha256(f"{self.seed}/{request.key}".encode()).digest()[:8], "big")
            # The lowest bit decides where the noun stands.
            text, meaning = self.culture.rich(request.labels, number // 2 * 2 + request.noun_first)
            yield Answer(request.key, text, meaning)
