"""Alignment: an encoder of another language learns to say to a frozen UNet what the base's own encoder says.

A0 matches the states of parallel sentences, without pictures; A1 matches what the UNet predicts from them. The alignment gap is the
number both exist to shrink. `run` is the whole of it, `gap` the number, `fit` what can be refused before weights are read.
"""
