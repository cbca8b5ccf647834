"""What a pass through a network costs, counted on torch's meta device: nothing is loaded and nothing is computed.

Legend: B batch, C channel, H W, L tokens, D width.
"""

import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from json import dumps, loads
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from kimchi.models import lora
from kimchi.recipes import Lora
from kimchi.training.interrupts import Interrupts

_BLOCK = 512
"""CUDA's allocator hands out memory in multiples of this, bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One sample through a network, forth and, where it is trained, back."""

    weights_bytes: int
    """Frozen weights."""
    trained: int
    """Weights that are trained, a count."""
    peak_bytes: int
    """Most that lives at once beside the weights, of one sample; grows as the batch does."""
    flops: int
    """Forth and back, recomputed activations included; two for a multiplication with an addition."""
    forward_flops: int


@lru_cache(maxsize=32)
def _unet_pass(config: str, adapter: str, side: int, tokens: int, dtype: torch.dtype, checkpointing: bool) -> Pass:
    net: Any = _empty(lambda: UNet2DConditionModel.from_config(loads(config)), dtype)
    frozen, trained = _bytes(net), lora.add(net, Lora.model_validate_json(adapter)).values()
    net.train()
    if checkpointing:
        net.enable_gradient_checkpointing(_again)
    shape = (1, net.config["in_channels"], side, side)
    with torch.device("meta"):
        sample_BCHW, t_B = torch.empty(shape, dtype=dtype), torch.zeros(1, dtype=torch.long)
        text_BLD = torch.empty(1, tokens, net.config["cross_attention_dim"], dtype=dtype)
    peak, flops, forward = _count(net, lambda: net(sample_BCHW, t_B, text_BLD).sample)
    return Pass(weights_bytes=frozen, trained=sum(p.numel() for p in trained), peak_bytes=peak, flops=flops, forward_flops=forward)


def unet_pass(config: Mapping[str, Any], adapter: Lora, side: int, tokens: int, dtype: torch.dtype, *, checkpointing: bool) -> Pass:
    """One sample through a UNet with its adapter, forth and back.

    Args:
        side: of the latents.
        tokens: length of the text states.
        dtype: of the frozen weights and what flows between them; the adapter is float32.
        checkpointing: activations are computed again on the way back.
    """
    return _unet_pass(dumps(dict(config), sort_keys=True), adapter.model_dump_json(), side, tokens, dtype, checkpointing)


@lru_cache(maxsize=8)
def _vae_pass(config: str, size_px: int, dtype: torch.dtype, decode: bool) -> Pass:
    net: Any = _empty(lambda: AutoencoderKL.from_config(loads(config)), dtype)
    side = size_px // 2 ** (len(net.config["block_out_channels"]) - 1)
    shape = (1, net.config["latent_channels"], side, side) if decode else (1, net.config["in_channels"], size_px, size_px)
    given = torch.empty(shape, dtype=dtype, device="meta")
    work = (lambda: net.decode(given).sample) if decode else (lambda: net.encode(given).latent_dist.mean)
    with torch.no_grad():
        peak, flops, forward = _count(net, work)
    return Pass(weights_bytes=_bytes(net), trained=0, peak_bytes=peak, flops=flops, forward_flops=forward)


def vae_pass(config: Mapping[str, Any], size_px: int, dtype: torch.dtype, *, decode: bool = False) -> Pass:
    """One square picture through a VAE's encoder, or one picture's latents through its decoder."""
    return _vae_pass(dumps(dict(config), sort_keys=True), size_px, dtype, decode)


@lru_cache(maxsize=8)
def _text_pass(config: str, adapter: str, dtype: torch.dtype) -> Pass:
    net: Any = _empty(lambda: CLIPTextModel(CLIPTextConfig(**loads(config))), dtype)
    frozen, trained = _bytes(net), lora.add_text(net, Lora.model_validate_json(adapter)).values() if adapter else ()
    ids_BL = torch.zeros((1, net.config.max_position_embeddings), dtype=torch.long, device="meta")
    with torch.set_grad_enabled(bool(adapter)):
        peak, flops, forward = _count(net, lambda: net(input_ids=ids_BL).last_hidden_state)
    return Pass(weights_bytes=frozen, trained=sum(p.numel() for p in trained), peak_bytes=peak, flops=flops, forward_flops=forward)


def text_pass(config: Mapping[str, Any], adapter: Lora | None, dtype: torch.dtype) -> Pass:
    """One caption through a CLIP text tower; back too, where it has an adapter."""
    return _text_pass(dumps(dict(config), sort_keys=True), adapter.model_dump_json() if adapter else "", dtype)


def _empty(make: Callable[[], Any], dtype: torch.dtype) -> nn.Module:
    """A network whose weights hold nothing."""
    with torch.device("meta"):
        net = make()
    # Not net.to(): diffusers' own version warns of modules that it would keep in float32, of which these have none.
    return nn.Module.to(net, dtype)


def _bytes(net: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in net.parameters())


def _count(net: nn.Module, forward: Callable[[], torch.Tensor]) -> tuple[int, int, int]:
    """Peak bytes beside the weights, operations in all, and operations forth."""
    live, operations = _Live(net), FlopCounterMode(display=False)
    # Tensors are forgotten in finalizers, which swallow whatever is raised in them: a Ctrl-C there would be lost.
    with Interrupts() as interrupts, _flash() as attention, operations, live:
        with _computing(net):
            out = forward()
        forth = operations.get_total_flops() + attention[0]
        if out.requires_grad:
            out.float().square().mean().backward()
    if interrupts.asked:
        raise KeyboardInterrupt
    return live.peak, operations.get_total_flops() + attention[0], forth


def _computing(net: nn.Module) -> AbstractContextManager[Any]:
    """As the trainer computes: bf16 under autocast."""
    return _Autocast() if next(net.parameters()).dtype == torch.bfloat16 else nullcontext()


def _again(module: nn.Module, *args: Any) -> Any:
    """Checkpointing that computes the second time as it did the first: true autocast is kept by torch itself."""
    return checkpoint(module.__call__, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), _computing(module)))


class _Live(TorchDispatchMode):
    """How many bytes live at once: every storage from when an operation makes it until nothing holds it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = 0
        # By address: an address is given again, but only after the storage that had it was forgotten below.
        self._known = {_place(p.untyped_storage()): 0 for p in net.parameters()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor):
                self._see(one.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        place = _place(storage)
        if place not in self._known:
            self._known[place] = size = -(-storage.nbytes() // _BLOCK) * _BLOCK
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, place)

    def _forget(self, place: int) -> None:
        self.now -= self._known.pop(place, 0)


def _place(storage: torch.UntypedStorage) -> int:
    # All of them start at address 0 here; this is the address of the storage's own record.
    return storage._cdata  # pyright: ignore[reportPrivateUsage]


class _Autocast(TorchFunctionMode):
    """What CUDA's autocast does to these networks, which torch does not offer for the meta device: products in bf16, norms in float32."""

    low = frozenset({F.linear, F.conv2d, torch.matmul, torch.bmm, torch.baddbmm})
    high = frozenset({F.group_norm, F.layer_norm, F.softmax})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        wanted = torch.bfloat16 if func in self.low else torch.float32 if func in self.high else None
        if wanted is not None:
            args, kwargs = tree_map(partial(_as, wanted), (args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _as(dtype: torch.dtype, one: Any) -> Any:
    return one.to(dtype) if isinstance(one, torch.Tensor) and one.is_floating_point() else one


class _Attention(torch.autograd.Function):
    """Attention as a fused kernel holds it: inputs, output and one number a row, never the matrix of all pairs (Dao et al. 2022, algorithm 1)."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, told: list[int]) -> torch.Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        ctx.told = told
        # Two products, of queries with keys and of weights with values; back there are four. What a kernel computes again is not useful work.
        told[0] += 4 * q.numel() * k.shape[-2]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        q, k, v, *_ = ctx.saved_tensors
        ctx.told[0] += 8 * q.numel() * k.shape[-2]
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v), None


@contextmanager
def _flash() -> Generator[list[int]]:
    """Attention counted as fused while this is open: on the meta device torch would choose the way that writes the whole matrix."""
    told, own = [0], F.scaled_dot_product_attention

    def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        # Under autocast norms may leave queries wider than the weights are.
        lowest = min((query, key, value), key=lambda one: one.element_size()).dtype
        return cast(Any, _Attention).apply(query.to(lowest), key.to(lowest), value.to(lowest), told)

    F.scaled_dot_product_attention = fused
    try:
        yield told
    finally:
        F.scaled_dot_product_attention = own
