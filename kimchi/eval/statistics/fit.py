"""The best fit of a cumulative-logit mixed model: search, boundary, standard errors."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from .estimates import Why
from .laplace import NoMode, Problem, evaluate
from .ratings import Floats, Ints

_FAR = 1e12
"""Stands for "no value here" in the search: finite, since a line search cannot use infinity."""
_RUNAWAY_LOGITS = 9.0
"""Beyond this, and with a standard error as large as below, a coefficient is on its way to infinity: odds of 8000 to 1."""
_RUNAWAY_SE = 3.0
RUNAWAY_SD = 9.0
"""Likewise a standard deviation: as when every rater keeps to one value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """On the logit scale. V - 1 thresholds, X coefficients, T terms."""

    thresholds: Floats
    beta: Floats
    sd: Floats
    """Of each random term, 0 where the variance lies at its boundary."""
    boundary: tuple[bool, ...]
    covariance: Floats
    """(V - 1 + X) squared: of thresholds and coefficients, the standard deviations accounted for."""
    log_likelihood: float
    why: Why = Why.GIVEN
    """Why the covariance is not to be used."""

    def difference(self, weights_X: Floats) -> tuple[float, float]:
        """A sum of weighted coefficients and its standard error."""
        first = self.thresholds.size
        return float(weights_X @ self.beta), float(np.sqrt(max(weights_X @ self.covariance[first:, first:] @ weights_X, 0.0)))


def fit_cumulative(category_N: Ints, x_NX: Floats, levels_TN: Ints) -> Fit | Why:
    """Maximum likelihood under the Laplace approximation.

    Args:
        category_N: 0 to V - 1, each of them present, at least two.
        x_NX: fixed effects without a constant (the thresholds are that).
        levels_TN: of each random term the level of each rating, counted from 0 without gaps; (0, N) fits without random effects.

    Returns:
        The fit, or why there is none.
    """
    problem = Problem(category=category_N, x_NX=x_NX, levels_TN=levels_TN)
    try:
        psi, value = _search(problem, _start(problem))
        psi, value, boundary_T = _at_the_boundary(problem, psi, value)
        free = np.flatnonzero(np.concatenate([np.ones(psi.size - boundary_T.size, dtype=bool), ~boundary_T]))
        psi, value, hessian = _polish(problem, psi, value, free)
    except NoMode:
        return Why.NO_OPTIMUM
    return _fit(problem, psi, value, boundary_T, hessian)


def _start(problem: Problem) -> Floats:
    """Thresholds at the logits of the shares so far, no effects, spreads of a half."""
    below = np.cumsum(np.bincount(problem.category))[:-1] / problem.category.size
    theta = np.log(below / (1 - below))
    return np.concatenate([theta[:1], np.log(np.diff(theta)), np.zeros(problem.x_NX.shape[1]), np.full(problem.levels_TN.shape[0], 0.5)])


def _search(problem: Problem, psi: Floats) -> tuple[Floats, float]:
    def objective(at: Floats) -> tuple[float, Floats]:
        try:
            return evaluate(problem, at)
        except NoMode:
            problem.mode_Q = np.zeros_like(problem.mode_Q)
            return _FAR, np.zeros_like(at)

    found = minimize(objective, psi, jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 200})
    return np.asarray(found.x), float(evaluate(problem, found.x)[0])


def _at_the_boundary(problem: Problem, psi: Floats, value: float) -> tuple[Floats, float, np.ndarray]:
    """A standard deviation that explains nothing is 0, and said to be so: its curvature is not that of an estimate."""
    terms = problem.levels_TN.shape[0]
    first, boundary_T = psi.size - terms, np.zeros(terms, dtype=bool)
    for t in np.argsort(np.abs(psi[first:])):
        if abs(psi[first + t]) > 0.15:
            continue
        tried = psi.copy()
        tried[first + t] = 0.0
        without = evaluate(problem, tried)[0]
        if without <= value + 2e-3:
            psi, value, boundary_T[t] = tried, without, True
    return psi, value, boundary_T


def _polish(problem: Problem, psi: Floats, value: float, free: Ints) -> tuple[Floats, float, Floats]:
    """Newton steps with the Hessian of differences of exact gradients; the last Hessian is the information."""
    hessian = _hessian(problem, psi, free)
    for _ in range(3):
        gradient = evaluate(problem, psi)[1][free]
        if np.abs(gradient).max() < 1e-6 or np.linalg.eigvalsh(hessian)[0] <= 0:
            break
        tried = psi.copy()
        tried[free] -= np.linalg.solve(hessian, gradient)
        found = evaluate(problem, tried)[0]
        if not found <= value:
            break
        psi, value = tried, found
    return psi, value, hessian


def _hessian(problem: Problem, psi: Floats, free: Ints) -> Floats:
    rows = []
    for k in free:
        step = np.zeros_like(psi)
        step[k] = 1e-4 * max(1.0, abs(psi[k]))
        up, down = evaluate(problem, psi + step)[1], evaluate(problem, psi - step)[1]
        rows.append((up - down)[free] / (2 * step[k]))
    square = np.array(rows)
    return (square + square.T) / 2


def _fit(problem: Problem, psi: Floats, value: float, boundary_T: np.ndarray, hessian: Floats) -> Fit:
    theta, beta, sigma = problem.split(psi)
    kept = theta.size + beta.size
    eigenvalues = np.linalg.eigvalsh(hessian)
    sound = eigenvalues[0] > 1e-9 * eigenvalues[-1]
    covariance = _on_thresholds(np.asarray(np.linalg.inv(hessian), dtype=np.float64)[:kept, :kept], psi, theta.size) if sound else np.zeros((kept, kept))
    why = Why.GIVEN if sound and np.abs(sigma).max(initial=0) < RUNAWAY_SD else Why.UNSTABLE
    spread = np.sqrt(np.maximum(np.diag(covariance)[theta.size :], 0))
    runs = np.abs(beta) > _RUNAWAY_LOGITS
    if runs.any() and (not sound or (spread[runs] > _RUNAWAY_SE).any()):
        why = Why.SEPARATED
    return Fit(thresholds=theta, beta=beta, sd=np.abs(sigma), boundary=tuple(map(bool, boundary_T)), covariance=covariance, log_likelihood=-value, why=why)


def _on_thresholds(covariance: Floats, psi: Floats, v: int) -> Floats:
    """From (theta_1, log gaps, beta) to (theta, beta): d theta_v / d log gap_u is that gap for every v >= u."""
    jacobian = np.eye(covariance.shape[0])
    jacobian[:v, :v] = np.tril(np.ones((v, v))) * np.concatenate([[1.0], np.exp(psi[1:v])])
    return jacobian @ covariance @ jacobian.T
