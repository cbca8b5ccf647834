"""The sample world: parametric drawings with true captions and attributes, Korean and general.

It plays AIHub's photographs in everything that runs offline: tests, the quickstart, and the training of the miniature.
"""

from . import general_craft, general_outdoor, general_table, korean_craft, korean_food, korean_place  # noqa: F401  (registers concepts)
from .concepts import CONCEPTS, Concept
from .pictures import Picture, draw_attributes, picture, pictures, worlds
from .scene import COLOURS, OUTDOOR_PLACES, SIDES, SIZE_PX, TABLE_PLACES, TIMES, Attributes, render_svg, scene_svg

__all__ = [
    "COLOURS", "CONCEPTS", "OUTDOOR_PLACES", "SIDES", "SIZE_PX", "TABLE_PLACES", "TIMES", "Attributes", "Concept", "Picture",
    "draw_attributes", "picture", "pictures", "render_svg", "scene_svg", "worlds",
]  # fmt: skip
