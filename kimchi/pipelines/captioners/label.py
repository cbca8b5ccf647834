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
        number = int.from_bytes(hashlib.sha256(f"{self.seed}/{record.id}".encode()).digest()[:8], "big")
        text, meaning = self.culture.rich(record.labels, number)
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
