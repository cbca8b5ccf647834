"""Pictures => captions: captioners, and the run that carries a delivery through them."""
