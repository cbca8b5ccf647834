"""Every network: base models, text encoders, LoRA, the recogniser; and how a model's name becomes its parts."""

from .load import Model, load_model, weights_folder

__all__ = ["Model", "load_model", "weights_folder"]
