"""Every network: base models, text encoders, LoRA, LLaVA and LLaMA, the recogniser; and how a model's name becomes its parts (load.py).

Imports nothing, so that a module that only counts tokens or asks an endpoint does not bring torch along.
"""
