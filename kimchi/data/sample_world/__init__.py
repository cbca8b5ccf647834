"""The sample world: parametric drawings with true captions and attributes, Korean and general.

It plays AIHub's photographs in everything that runs offline: tests, the quickstart, and the training of the miniature.
"""

# Importing a drawing file registers its concepts; the order here is the order of every table.
from . import general_craft as general_craft
from . import general_outdoor as general_outdoor
from . import general_table as general_table
from . import korean_craft as korean_craft
from . import korean_food as korean_food
from . import korean_place as korean_place
from .concepts import CONCEPTS, Concept
from .pictures import Picture, draw_attributes, picture, pictures, worlds
from .scene import COLOURS, OUTDOOR_PLACES, SIDES, SIZE_PX, TABLE_PLACES, TIMES, Attributes, render_svg, scene_svg

__all__ = [
    "COLOURS", "CONCEPTS", "OUTDOOR_PLACES", "SIDES", "SIZE_PX", "TABLE_PLACES", "TIMES", "Attributes", "Concept", "Picture",
    "draw_attributes", "picture", "pictures", "render_svg", "scene_svg", "worlds",
]  # fmt: skip
