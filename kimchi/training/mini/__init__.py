"""Trainers of the miniature suite: one file a part, each `train(recipe, folder, watch) -> dict` of scores for its card."""
