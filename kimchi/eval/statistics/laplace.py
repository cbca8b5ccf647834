"""The Laplace approximation of a cumulative-logit model with crossed random effects, and its gradient.

Of a rating y of V ordered values: P(y <= v) = logistic(theta_v - eta), eta = x beta + sum over terms t of sigma_t b_t[level], b ~ N(0, I).
McCullagh 1980 (JRSS B 42, 109-142), with random effects as Tutz and Hennevogl 1996 (CSDA 22, 537-557). The integral over b is
replaced by its value at the mode: minus log-likelihood = h(b) + log det H / 2, h = -log p(y | b) + b'b / 2, H its curvature in b; Tierney and
Kadane 1986 (JASA 81, 82-86). Parameters are psi = (theta_1, log gaps of theta, beta, sigma); the sign of a sigma
is free, so that a standard deviation of zero is an inner point of the search and not a wall.

Shapes: N ratings, X fixed effects, T terms, Q random effects of all terms.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.special import expit

from .ratings import Floats, Ints, sums

_STEPS = 100
# LAPACK itself, since numpy factors both triangles and has no inverse from a factor.
_potrf, _potrs, _potri = get_lapack_funcs(("potrf", "potrs", "potri"), dtype=np.float64)


class NoMode(ArithmeticError):
    """The inner search did not end, as far out where numbers overflow."""


@dataclass(slots=True, kw_only=True)
class Problem:
    """What is fitted. The mode of the last evaluation is kept, and the next one starts from there."""

    category: Ints
    """0 to V - 1, each of them present."""
    x_NX: Floats
    levels_TN: Ints
    """Of each term the level of each rating, from 0."""
    mode_Q: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        sizes = self.levels_TN.max(1, initial=-1) + 1
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.places_TN = self.levels_TN + self.starts[:-1, None]
        self.term_Q = np.repeat(np.arange(len(sizes)), sizes)
        self.mode_Q = np.zeros(self.starts[-1])
        q = self.mode_Q.size
        # The curvature Z'WZ is a sum over ratings of one number at each pair of terms: found once, filled often.
        self.pairs = [(s, t, self.places_TN[s] * q + self.places_TN[t]) for s in range(len(sizes)) for t in range(s, len(sizes))]

    starts: Ints = field(init=False)
    places_TN: Ints = field(init=False)
    term_Q: Ints = field(init=False)
    pairs: list[tuple[int, int, Ints]] = field(init=False)

    @property
    def gaps(self) -> int:
        """Thresholds."""
        return int(self.category.max())

    def split(self, psi: Floats) -> tuple[Floats, Floats, Floats]:
        """theta, beta, sigma."""
        v, x = self.gaps, self.x_NX.shape[1]
        return np.cumsum(np.concatenate([psi[:1], np.exp(psi[1:v])])), psi[v : v + x], psi[v + x :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slopes:
    """Per rating, at its upper (a) and lower (c) threshold; f is the logistic density, df its slope."""

    log_p: Floats
    fa: Floats
    fc: Floats
    upper: Floats
    lower: Floats
    dfa: Floats
    dfc: Floats

    @property
    def score(self) -> Floats:
        """d log p / d eta."""
        return self.upper + self.lower - 1

    @property
    def weight(self) -> Floats:
        """-d2 log p / d eta2: never negative, so the mode is unique."""
        return self.fa + self.fc


def evaluate(problem: Problem, psi: Floats) -> tuple[float, Floats]:
    """Minus the approximate log-likelihood at psi, and its gradient.

    Raises:
        NoMode: the inner search did not end.
    """
    # Far out numbers overflow; what comes of it is not finite, and that is asked about.
    with np.errstate(all="ignore"):
        theta, beta, sigma = problem.split(psi)
        b_Q, slopes, inverse_QQ, log_det = _mode(problem, theta, problem.x_NX @ beta, sigma)
        value, gradient = float(-slopes.log_p.sum() + b_Q @ b_Q / 2 + log_det / 2), _gradient(problem, psi, b_Q, slopes, inverse_QQ)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise NoMode
    problem.mode_Q = b_Q
    return value, gradient


def _eta(problem: Problem, fixed_N: Floats, sigma_T: Floats, b_Q: Floats) -> Floats:
    # Without a random term the sum over none is 0.
    return fixed_N + (sigma_T[:, None] * b_Q[problem.places_TN]).sum(0)


def _slopes(theta: Floats, category_N: Ints, eta_N: Floats) -> _Slopes:
    """log p without ever subtracting two nearly equal chances: F(a) - F(c) = F(a) F(-c) (1 - exp(c - a))."""
    ends = np.concatenate([[-np.inf], theta, [np.inf]])
    a_N, c_N = ends[category_N + 1] - eta_N, ends[category_N] - eta_N
    upper, lower = expit(a_N), expit(c_N)
    gap_V = np.concatenate([[0.0], np.log(-np.expm1(-np.maximum(np.diff(theta), 1e-300))), [0.0]])
    log_p = -np.logaddexp(0, -a_N) - np.logaddexp(0, c_N) + gap_V[category_N]
    fa, fc = upper * expit(-a_N), lower * expit(-c_N)
    return _Slopes(log_p=log_p, fa=fa, fc=fc, upper=upper, lower=lower, dfa=fa * (1 - 2 * upper), dfc=fc * (1 - 2 * lower))


def _mode(problem: Problem, theta: Floats, fixed_N: Floats, sigma_T: Floats) -> tuple[Floats, _Slopes, Floats, float]:
    """Newton's method with halved steps; at the mode also the inverse of H and its log determinant."""
    scale_Q, b_Q = sigma_T[problem.term_Q], problem.mode_Q

    def at(b: Floats) -> tuple[float, _Slopes]:
        slopes = _slopes(theta, problem.category, _eta(problem, fixed_N, sigma_T, b))
        return float(b @ b / 2 - slopes.log_p.sum()), slopes

    height, slopes = at(b_Q)
    for _ in range(_STEPS):
        if not np.isfinite(height):
            raise NoMode
        down_Q = b_Q - scale_Q * _gathered(problem, slopes.score)
        factor_QQ, log_det = _factor(_curvature(problem, slopes.weight, scale_Q))
        step_Q = _potrs(factor_QQ, down_Q, lower=1)[0] if down_Q.size else down_Q
        gain = float(step_Q @ down_Q)
        if gain < 1e-20 * (1 + abs(height)):
            return b_Q, slopes, _inverse(factor_QQ), log_det
        b_Q, height, slopes = _descend(at, b_Q, step_Q, height)
    raise NoMode


def _descend(at: Callable[[Floats], tuple[float, _Slopes]], b_Q: Floats, step_Q: Floats, height: float) -> tuple[Floats, float, _Slopes]:
    share = 1.0
    while True:
        found, slopes = at(b_Q - share * step_Q)
        # At the mode itself rounding alone decides which is lower.
        if found <= height + 1e-12 * (1 + abs(height)) or share < 1e-6:
            return b_Q - share * step_Q, found, slopes
        share /= 2


def _gathered(problem: Problem, row_N: Floats) -> Floats:
    """Z' times a row of numbers, one a rating."""
    q = problem.mode_Q.size
    return sum((sums(places, row_N, q) for places in problem.places_TN), np.zeros(q))


def _curvature(problem: Problem, weight_N: Floats, scale_Q: Floats) -> Floats:
    """H, its lower triangle good."""
    q = problem.mode_Q.size
    h_QQ = np.zeros(q * q)
    for s, _, flat_N in problem.pairs:
        low, high = int(problem.starts[s]) * q, int(problem.starts[s + 1]) * q
        h_QQ[low:high] += sums(flat_N - low, weight_N, high - low)
    h_QQ = h_QQ.reshape(q, q) * scale_Q[:, None] * scale_Q
    h_QQ[np.diag_indices(q)] += 1
    # Filled above the diagonal in C order is filled below it in Fortran's, which is LAPACK's.
    return h_QQ.T


def _factor(h_QQ: Floats) -> tuple[Floats, float]:
    if not h_QQ.size:
        return h_QQ, 0.0
    factor_QQ, failed = _potrf(h_QQ, lower=1, clean=0)
    if failed:
        raise NoMode
    return factor_QQ, float(2 * np.log(np.diag(factor_QQ)).sum())


def _inverse(factor_QQ: Floats) -> Floats:
    if not factor_QQ.size:
        return factor_QQ
    lower_QQ = _potri(factor_QQ, lower=1)[0]
    return np.tril(lower_QQ) + np.tril(lower_QQ, -1).T


def _gradient(problem: Problem, psi: Floats, b_Q: Floats, slopes: _Slopes, inverse_QQ: Floats) -> Floats:
    """The chain rule through h, through log det H, and through the mode, which moves with psi (the adjoint of Newton's last step)."""
    theta, _, sigma_T = problem.split(psi)
    scale_Q, weight_N = sigma_T[problem.term_Q], slopes.weight
    # How much H's log determinant rises with each rating's weight: z' H^-1 z.
    spread_N = _spread(problem, sigma_T, inverse_QQ, weight_N.size)
    # What moves the mode
    turn_Q = inverse_QQ @ (scale_Q * _gathered(problem, -spread_N * (slopes.dfa + slopes.dfc) / 2)) if b_Q.size else b_Q
    moved_N = (sigma_T[:, None] * turn_Q[problem.places_TN]).sum(0)
    per_eta_N = -slopes.score - spread_N * (slopes.dfa + slopes.dfc) / 2 - moved_N * weight_N
    # Each parameter
    by_theta = _by_threshold(theta, problem.category, slopes, spread_N, moved_N)
    by_beta = problem.x_NX.T @ per_eta_N
    # Where a sigma is 0 its own trace is 0 as well: sigma z' H^-1 z / sigma.
    explicit_Q = _explicit(scale_Q, inverse_QQ)
    by_sigma_Q = b_Q * _gathered(problem, per_eta_N) + turn_Q * _gathered(problem, slopes.score) + explicit_Q
    by_sigma = sums(problem.term_Q, by_sigma_Q, sigma_T.size)
    # theta_v = theta_1 + sum of exp(log gap): each log gap moves every threshold above it.
    tails = np.cumsum(by_theta[::-1])[::-1]
    return np.concatenate([tails[:1], tails[1:] * np.diff(theta), by_beta, by_sigma])


def _spread(problem: Problem, sigma_T: Floats, inverse_QQ: Floats, n: int) -> Floats:
    flat, total_N = inverse_QQ.ravel(), np.zeros(n)
    for s, t, flat_N in problem.pairs:
        total_N += (1 if s == t else 2) * sigma_T[s] * sigma_T[t] * flat[flat_N]
    return total_N


def _explicit(scale_Q: Floats, inverse_QQ: Floats) -> Floats:
    """Each effect's share of d(log det H / 2) / d sigma at fixed weights: (H^-1 Lambda Z'WZ) on the diagonal.

    As H - I = Lambda Z'WZ Lambda, that is (1 - H^-1) / sigma; at sigma = 0 it is 0, since H is even in sigma.
    """
    safe_Q = np.where(np.abs(scale_Q) > 1e-8, scale_Q, np.inf)
    return (1 - np.diag(inverse_QQ)) / safe_Q if scale_Q.size else scale_Q


def _by_threshold(theta: Floats, category_N: Ints, slopes: _Slopes, spread_N: Floats, moved_N: Floats) -> Floats:
    gap_V = np.concatenate([[0.0], 1 / np.expm1(np.minimum(np.maximum(np.diff(theta), 1e-12), 500)), [0.0]])[category_N]
    top, v = category_N.max(), theta.size
    upper_N = -(1 - slopes.upper) - gap_V + spread_N * slopes.dfa / 2 + moved_N * slopes.fa
    lower_N = slopes.lower + gap_V + spread_N * slopes.dfc / 2 + moved_N * slopes.fc
    has_upper, has_lower = category_N < top, category_N > 0
    return sums(category_N[has_upper], upper_N[has_upper], v) + sums(category_N[has_lower] - 1, lower_N[has_lower], v)
