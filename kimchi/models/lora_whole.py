"""LoRA layers computed as one: W + s B A is formed, and the layer is computed once with it, where that is less work.

Beside a layer of width C an adapter of rank r costs 3 r (C k + C) a sample and step, k the taps of a kernel; as one, the gradient of the whole weight
is computed too, C C k. In most layers of SD 1.5 the adapter is the cheaper of the two; in the miniature, whose layers are hardly wider than the rank,
the whole is. The result is the same but for rounding (Hu et al. 2021, arXiv:2106.09685, section 4.1: h = W x + B A x).
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Conv2d, Linear
from torch import nn
from torch.nn import functional as F

_NARROW = 2
"""An operation of an adapter, narrow as its rank, takes about twice the time that its arithmetic would: of 1, 1.5, 2, 3 and 5 the fastest step of four
samples of the miniature (rank 16, one core with AVX2)."""


def whole_where_cheaper(network: nn.Module) -> int:
    """Let every plain LoRA layer that is cheaper as a whole compute so; how many they are.

    For training in fp32: under autocast the sum would be rounded to bf16 before it is used. Layers with DoRA stay as they are.
    """
    changed = 0
    for layer in network.modules():
        if isinstance(layer, (Linear, Conv2d)) and _plain(layer) and _cheaper(layer):
            layer.forward = MethodType(_linear if isinstance(layer, Linear) else _convolution, layer)
            changed += 1
    return changed


def _plain(layer: Any) -> bool:
    [name, *others] = layer.active_adapters
    drops = isinstance(layer.lora_dropout[name], nn.Dropout)
    base = layer.base_layer
    simple = not isinstance(base, nn.Conv2d) or (base.groups == 1 and base.dilation == (1, 1) and base.padding_mode == "zeros")
    return simple and not (others or drops or layer.use_dora[name] or layer.lora_bias[name])


def _cheaper(layer: Any) -> bool:
    weight = layer.base_layer.weight
    rank, out, into = layer.r[layer.active_adapters[0]], weight.shape[0], weight[0].numel()
    return _NARROW * 3 * rank * (into + out) >= into * out


def _sum(layer: Any, weight: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """W + s B A of matrices, in one pass."""
    return torch.addmm(weight, up, down, alpha=layer.scaling[layer.active_adapters[0]])


def _linear(layer: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    if layer.disable_adapters:
        return layer.base_layer(x)
    name = layer.active_adapters[0]
    return F.linear(x, _sum(layer, layer.base_layer.weight, layer.lora_B[name].weight, layer.lora_A[name].weight), layer.base_layer.bias)


def _convolution(layer: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    base = layer.base_layer
    if layer.disable_adapters:
        return base(x)
    name = layer.active_adapters[0]
    # Channels last, as x lies: channels first, the convolution would turn its input around, and its output back.
    out, into, high, wide = base.weight.shape
    down = layer.lora_A[name].weight.permute(0, 2, 3, 1).flatten(1)
    weight = _sum(layer, base.weight.permute(0, 2, 3, 1).flatten(1), layer.lora_B[name].weight.flatten(1), down)
    return F.conv2d(x, weight.view(out, high, wide, into).permute(0, 3, 1, 2), base.bias, base.stride, base.padding)
