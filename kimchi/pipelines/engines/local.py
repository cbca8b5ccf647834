"""Everything in this process: pictures are decoded by threads while a model writes."""

from collections.abc import Iterator

from PIL import Image

from kimchi.data import pictures
from kimchi.data.archives import read_member
from kimchi.data.cultures import Culture
from kimchi.data.reading import in_order
from kimchi.errors import DataError
from kimchi.pipelines.captioners import Answer, Seen, captioner
from kimchi.pipelines.refiners import Request, refiner
from kimchi.recipes import PrepareRecipe
from kimchi.records import ImageRecord


class Engine:
    """A captioner and a refiner, side by side with whoever asks."""

    def __init__(self, recipe: PrepareRecipe, culture: Culture) -> None:
        self.recipe = recipe
        self._captioner, self._refiner = captioner(recipe.captioner), refiner(recipe.refiner, culture)
        self.captioner, self.refiner = self._captioner.made_by, self._refiner.made_by
        shown = f"/{recipe.picture_px}px" if self._captioner.looks else ""
        self.captioner_identity, self.refiner_identity = f"{self._captioner.identity}{shown}", self._refiner.identity

    def describe(self, records: Iterator[tuple[str, ImageRecord]]) -> Iterator[Answer]:
        """What the captioner writes, and errors for the pictures it could not be shown."""
        if not self._captioner.looks:
            yield from self._captioner.describe(Seen(key, None) for key, _ in records)
            return
        failed: list[Answer] = []
        for answer in self._captioner.describe(self._seen(records, failed)):
            yield answer
            while failed:
                yield failed.pop()
        yield from failed

    def refine(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """What the refiner writes."""
        return self._refiner.refine(requests)

    def _seen(self, records: Iterator[tuple[str, ImageRecord]], failed: list[Answer]) -> Iterator[Seen]:
        def load(pair: tuple[str, ImageRecord]) -> tuple[str, Image.Image | str]:
            try:
                return pair[0], shown(pair[1], self.recipe.picture_px)
            except DataError as error:
                return pair[0], f"the picture cannot be read again: {str(error).removeprefix(f'{pair[1].path}: ')}"

        for key, found in in_order(load, records, self.recipe.workers):
            if isinstance(found, str):
                failed.append(Answer(key, "", error=found))
            else:
                yield Seen(key, found)


def shown(record: ImageRecord, shortest_px: int) -> Image.Image:
    """What a captioner is shown of a record: upright, cropped to its box, no larger than asked.

    Raises:
        DataError: the picture cannot be read again.
    """
    image = pictures.crop(pictures.decode(read_member(record.path), record.path), record.box)
    scale = shortest_px / min(image.size)
    return image if scale >= 1 else image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
