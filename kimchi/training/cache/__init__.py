"""Latents and text states, computed once and kept: neither the VAE nor the text encoder runs in the loop.

A cache that cannot lie: an entry's name is the hash of all that it follows from (the picture's bytes, its crop, the weights, the words), and a
file's name is the hash of its bytes. So nothing is ever out of date; what changed has another name, and what is damaged is found.

home    where it lies        keys    what an entry is called        shards    files of entries
posterior, latents, text    what is kept, how it is made, how it is read
"""

from .home import cache_folder
from .latents import Latents, build_latents, encode_pictures, open_latents
from .text import LiveStates, TextStates, build_states, open_states

__all__ = [
    "Latents", "LiveStates", "TextStates", "build_latents", "build_states", "cache_folder", "encode_pictures", "open_latents", "open_states",
]  # fmt: skip
