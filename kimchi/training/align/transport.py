"""Optimal transport between two small clouds of vectors: how far the words of two sentences are apart, whatever their order.

Legend: B pairs, N and M points of either cloud, D width.
"""

import torch
from torch.nn import functional as F

SHARPNESS = 0.05
"""Entropy of the plan, in units of the cost (0 to 2); smaller is nearer to the true transport and needs more rounds."""
ROUNDS = 40


def transport_cost(a_BND: torch.Tensor, b_BMD: torch.Tensor, a_BN: torch.Tensor, b_BM: torch.Tensor, sharpness: float = SHARPNESS) -> torch.Tensor:
    """sum_ij G_ij (1 - cos(a_i, b_j)) of each pair, G the entropic plan with uniform marginals (Cuturi 2013, arXiv:1306.0895): B.

    The gradient is that of the cost with the plan held still, which is the exact one of the regularised optimum (Danskin's theorem).

    Args:
        a_BN: True where a point counts; b_BM likewise. A pair with an empty side costs 0.
    """
    cost_BNM = 1 - F.normalize(a_BND.float(), dim=-1) @ F.normalize(b_BMD.float(), dim=-1).transpose(1, 2)
    plan_BNM = sinkhorn(cost_BNM.detach(), a_BN, b_BM, sharpness)
    return (plan_BNM * cost_BNM).sum((1, 2))


@torch.no_grad()
def sinkhorn(cost_BNM: torch.Tensor, a_BN: torch.Tensor, b_BM: torch.Tensor, sharpness: float = SHARPNESS, rounds: int = ROUNDS) -> torch.Tensor:
    """The entropic plan B N M between uniform marginals over the points that count, zero elsewhere and where a side is empty.

    In the log domain (Peyré and Cuturi 2019, arXiv:1803.00567, section 4.4): exp(-cost / sharpness) itself underflows.
    """
    log_a_BN1, log_b_B1M = _log_uniform(a_BN)[:, :, None], _log_uniform(b_BM)[:, None, :]
    kernel_BNM = -cost_BNM / sharpness
    left_BN1, right_B1M = torch.zeros_like(log_a_BN1), torch.zeros_like(log_b_B1M)
    for _ in range(rounds):
        left_BN1 = log_a_BN1 - torch.logsumexp(kernel_BNM + right_B1M + _barred(b_BM)[:, None, :], 2, keepdim=True)
        right_B1M = log_b_B1M - torch.logsumexp(kernel_BNM + left_BN1 + _barred(a_BN)[:, :, None], 1, keepdim=True)
    inside_BNM = a_BN[:, :, None] & b_BM[:, None, :]
    plan_BNM = torch.exp(kernel_BNM + left_BN1 + right_B1M)
    # A side without points has no finite potential: its rows are zero, not NaN.
    return torch.where(inside_BNM, plan_BNM, 0.0)


def _log_uniform(mask_BN: torch.Tensor) -> torch.Tensor:
    return -mask_BN.sum(1, keepdim=True).clamp(min=1).float().log().expand_as(mask_BN)


def _barred(mask_BN: torch.Tensor) -> torch.Tensor:
    """0 where a point counts, far below everything where it does not; finite, so that an empty side gives no NaN."""
    return torch.where(mask_BN, 0.0, -1e4)
