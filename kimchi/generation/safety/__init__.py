"""What a public screen does not draw: blocklists, the operator's own words, and a look at finished pictures.

In the order of reading: folding, matching, lists, own, pictures, guard.
"""

from .folding import fold
from .guard import Finding, Guard, checker_folder
from .lists import Blocklist, Category, read_lists
from .own import Chosen, OwnList

__all__ = ["Blocklist", "Category", "Chosen", "Finding", "Guard", "OwnList", "checker_folder", "fold", "read_lists"]
