"""The alignment gap: how differently a frozen UNet hears two encoders say the same thing.

Legend: N pairs, K noise levels, B batch, L positions, D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from kimchi.data.parallel import Pair
from kimchi.models.load import Model
from kimchi.training import loop
from kimchi.training.losses import Noising

from .latents import Pool
from .text_loss import Encoder, States, states_of

SEED = 9_973
"""Of the noise and of the bootstrap: every encoder is measured on the same."""
DRAWS = 2000
LENGTHS = (4, 8, 16, 32, 75)
"""Upper ends of the buckets of prompt length, in the student's content tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A gap with its 95 % bootstrap interval."""

    name: str
    """Which pairs or which noise level."""
    n: int
    """Pairs."""
    value: float
    """0 is the teacher itself, 1 as far from it as saying nothing."""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One student against one teacher on one UNet."""

    student: str
    overall: Estimate
    per_level: list[Estimate]
    """By timestep."""
    per_length: list[Estimate]
    """By content tokens of the student's prompt."""
    eos_cosine: float
    """Mean cosine of the projected end states."""
    start_distance: float
    """|h_S_0 - h_T_0| / |h_T_0| of the first state."""
    pad_norm_ratio: float
    """Mean norm of the student's padding states over the teacher's."""


@torch.no_grad()
def measure(
    student: Encoder, teacher: Encoder, projection_PD: torch.Tensor, model: Model, pool: Pool, pairs: Sequence[Pair], *,
    levels: int, batch: int, autocast: Callable[[], torch.autocast], report: loop.Report | None = None,
) -> Gap:  # fmt: skip
    """Mean over noise levels of sum |e(z,t,H_S) - e(z,t,H_T)|^2 / sum |e(z,t,H_T) - e(z,t,H_T(""))|^2, sums over pairs.

    The ratio is taken of sums, not pair by pair: a prompt that the UNet hardly hears has a denominator near zero. The interval is
    the bootstrap's over pairs (Efron 1979), percentiles 2.5 and 97.5.
    """
    with autocast():
        said, wanted = states_of(student, [p.ko for p in pairs]), states_of(teacher, [p.en for p in pairs])
        silent_1LD = states_of(teacher, [""]).h_BLD
    error_NK, heard_NK, times = _predictions(model, pool, pairs, said, wanted, silent_1LD, levels, batch, autocast, report)
    lengths_N = (said.end_B - 1).cpu().numpy()
    return Gap(
        student=student.name,
        overall=estimate("all", error_NK, heard_NK),
        per_level=[estimate(f"t {t}", error_NK[:, [k]], heard_NK[:, [k]]) for k, t in enumerate(times)],
        per_length=_by_length(error_NK, heard_NK, lengths_N),
        eos_cosine=float(F.cosine_similarity(said.at_end() @ projection_PD.T, wanted.at_end() @ projection_PD.T).mean()),
        start_distance=float((said.h_BLD[0, 0] - wanted.h_BLD[0, 0]).norm() / wanted.h_BLD[0, 0].norm()),
        pad_norm_ratio=_padding_norm(said) / _padding_norm(wanted),
    )


def _predictions(
    model: Model, pool: Pool, pairs: Sequence[Pair], said: States, wanted: States, silent_1LD: torch.Tensor, levels: int, batch: int,
    autocast: Callable[[], torch.autocast], report: loop.Report | None,
) -> tuple[np.ndarray, np.ndarray, list[int]]:  # fmt: skip
    """Squared distances N K of the predictions: student to teacher, and silence to teacher; and the timesteps."""
    noising, unet = Noising(model.scheduler_config), model.unet
    times = [round((k + 0.5) / levels * noising.steps) for k in range(levels)]
    error_NK, heard_NK = np.zeros((len(pairs), levels)), np.zeros((len(pairs), levels))
    for start in range(0, len(pairs), batch):
        part = slice(start, start + batch)
        source = loop.seed_of(SEED, start)
        clean_BCHW = pool.sample(pairs[part], source)
        noise_BCHW = torch.randn(clean_BCHW.shape, generator=source)
        for k, time in enumerate(times):
            t_B = torch.full((len(clean_BCHW),), time)
            noisy_BCHW = noising.add(clean_BCHW, noise_BCHW, t_B).to(unet.device)
            heard = [said.h_BLD[part], wanted.h_BLD[part], silent_1LD.expand(len(t_B), -1, -1)]
            with autocast():
                student, teacher, silence = (unet(noisy_BCHW, t_B.to(unet.device), h_BLD).sample.float() for h_BLD in heard)
            error_NK[part, k] = (student - teacher).square().sum((1, 2, 3)).cpu().numpy()
            heard_NK[part, k] = (silence - teacher).square().sum((1, 2, 3)).cpu().numpy()
        if report:
            report("measuring the gap", min(start + batch, len(pairs)), len(pairs))
    return error_NK, heard_NK, times


def estimate(name: str, error_NK: np.ndarray, heard_NK: np.ndarray) -> Estimate:
    """The ratio of sums, its mean over noise levels, and the bootstrap over pairs."""
    n = len(error_NK)
    # How often each pair is in each resample: a ratio of sums needs no more.
    times_RN = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    # Where one resample misses every prompt the UNet hears, its ratio says nothing; the floor keeps it finite.
    ratio_RK = (times_RN @ error_NK) / np.maximum(times_RN @ heard_NK, 1e-12)
    low, high = np.percentile(ratio_RK.mean(1), [2.5, 97.5])
    value = (error_NK.sum(0) / np.maximum(heard_NK.sum(0), 1e-12)).mean()
    return Estimate(name=name, n=n, value=float(value), low=float(low), high=float(high))


def _by_length(error_NK: np.ndarray, heard_NK: np.ndarray, lengths_N: np.ndarray) -> list[Estimate]:
    found: list[Estimate] = []
    for low, high in zip((0, *LENGTHS[:-1]), LENGTHS, strict=True):
        inside_N = (lengths_N > low) & (lengths_N <= high)
        if inside_N.any():
            found.append(estimate(f"{low + 1} to {high} tokens", error_NK[inside_N], heard_NK[inside_N]))
    return found


def _padding_norm(states: States) -> float:
    pad_BL = states.padding()
    return float((states.h_BLD.norm(dim=2) * pad_BL).sum() / pad_BL.sum().clamp(min=1))
