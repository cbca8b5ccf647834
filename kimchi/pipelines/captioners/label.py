"""Captions from the provider's label alone, worded by the culture's templates. No picture is looked at, so nothing is said of one."""

import hashlib
from collections.abc import Iterator

from kimchi.data.cultures import Culture
from kimchi.records import CaptionedRecord, DroppedRecord, ImageRecord, MadeBy


class Captioner:
    """Words each label by templates, chosen by the record's id: the same record always gets the same words."""

    def __init__(self, culture: Culture, seed: int) -> None:
        self.culture, self.seed = culture, seed

    def caption(self, records: Iterator[ImageRecord]) -> Iterator[CaptionedRecord | DroppedRecord]:
        """The four forms of each record; a record without a label is dropped."""
        for record in records:
            if not record.labels or not record.labels[-1].strip():
                yield DroppedRecord(path=record.path, reason="has no label, and this captioner knows nothing else.", labels=record.labels)
            else:
                yield self._caption(record)

    def _caption(self, record: ImageRecord) -> CaptionedRecord:
        label, entry = record.labels[-1], self.culture.glossary.get(record.labels[-1])
        noun = self.culture.noun(label)
        text, meaning = self._rich(record, noun, entry.en if entry else "")
        return CaptionedRecord(
            id=record.id,
            path=record.path,
            labels=record.labels,
            box=record.box,
            caption_noun=noun,
            caption_ko=text,
            caption_en=meaning,
            caption_romanised=entry.romanised if entry else "",
            made_by=MadeBy(part="captioner:label"),
        )

    def _rich(self, record: ImageRecord, noun: str, en: str) -> tuple[str, str]:
        category = self.culture.category(record.labels)
        wordings = self.culture.templates[category.templates]
        number = int.from_bytes(hashlib.sha256(f"{self.seed}/{record.id}".encode()).digest()[:8], "big")
        # One bit decides the noun's place, so that half of the captions begin with it however many templates there are of each.
        choices = wordings.noun_first if number % 2 else wordings.noun_last
        template = choices[number // 2 % len(choices)]
        slots = {"kind": category.kind, "kind_en": category.kind_en, "serving": category.serving, "serving_en": category.serving_en}
        # English without the thing's own name would teach a meaning that is not there.
        meaning = self.culture.word(template.en, en=en, **slots) if en else ""
        return self.culture.word(template.text, noun=noun, **slots), meaning
