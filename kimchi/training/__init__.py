"""Training: the LoRA trainer, and the trainers of the miniature's parts. Everything runs through one loop (loop.py)."""
