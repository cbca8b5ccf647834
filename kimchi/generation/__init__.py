"""Prompt -> picture. The way in is `kimchi.generation.generate.Kimchi`; the other modules are its organs."""
