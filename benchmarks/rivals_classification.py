"""Separable classification for scipy: one number a coordinate, unit norm, and a clock in which nothing overflows.

With r = ||Theta||, a = log r, q over r and gaps over r^2, kappa = r^L, q-margins c = Z q M (rows of Z are y_i x_i
times the signs of M), p = softmax(-kappa c) and h = Z^T p, the orbit of gradient flow of the exponential loss is
that of

    dq/ds = h M - (da/ds) q,   da/ds = L q.(h M),    M = prod_l sqrt(q^2 + e^{-2a} delta_l),

the gradient flow of (1/kappa) log Loss (rivals.py has q, M and delta). In this clock the end, -log Loss = 1e6, is
some tens away, and one direction for each sample is stiff, with a rate of kappa.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.integrate
import scipy.optimize
from scipy.integrate import DenseOutput
from scipy.special import logsumexp

from benchmarks.rivals import Curves, Rival, lsoda, on_time, stepped

OFF = 0.01
"""Share of its goal by which -log Loss may miss it at an end."""


class Margins:
    """One run: states q over the norm, one a coordinate, and a = log norm."""

    def __init__(self, z: np.ndarray, w: np.ndarray, end: float = np.inf):
        """z: y_i x_i, shape (n, m); w: the layers at 0, shape (L, m); end: the clock's time at the goal."""
        self.curves, self.depth = Curves(w), len(w)
        norm = float(np.linalg.norm(w))
        self.start = np.append(self.curves.start / norm, np.log(norm))
        self.z = np.ascontiguousarray(z * self.curves.signs)
        self.zt = np.ascontiguousarray(self.z.T)
        self.unit = np.append(np.full(w.shape[1], 1 / np.sqrt(w.size)), 1.0)
        self.end, self.deadline, self.calls = end, np.inf, 0

    def velocity(self, t: float, z: np.ndarray) -> np.ndarray:
        on_time(self)
        q, a = z[:-1], z[-1]
        m = self.curves.product(q, float(np.exp(-2 * a)))[0]
        c = self.z @ (q * m)
        p = np.exp(np.exp(self.depth * a) * (c.min() - c))
        found = np.empty_like(z)
        move = (self.zt @ p) * (m / p.sum())
        radial = found[-1] = self.depth * (q @ move)
        found[:-1] = move - radial * q
        return found

    def jacobian(self, t: float, z: np.ndarray) -> np.ndarray:
        q, a = z[:-1], z[-1]
        shrink, kappa = float(np.exp(-2 * a)), float(np.exp(self.depth * a))
        m, squares = self.curves.product(q, shrink)
        slope = m * q * self.curves.summed(1 / squares)
        by_norm = -m * self.curves.summed(shrink * self.curves.gap / squares)
        c = self.z @ (q * m)
        p = np.exp(kappa * (c.min() - c))
        p /= p.sum()
        h, b = self.zt @ p, self.z * (m + q * slope)
        growth = self.depth * c + self.z @ (q * by_norm)
        pull = np.empty((q.size, z.size))
        pull[:, :-1] = -kappa * (self.zt @ (p[:, None] * (b - p @ b)))
        pull[:, -1] = -kappa * (self.zt @ (p * (growth - p @ growth)))
        pull *= m[:, None]
        pull.flat[:: z.size + 1] += h * slope
        pull[:, -1] += h * by_norm
        radial = self.depth * (q @ pull)
        radial[:-1] += self.depth * h * m
        found = np.empty((z.size, z.size))
        found[:-1] = pull - q[:, None] * radial
        found.flat[: q.size * (z.size + 1) : z.size + 1] -= self.depth * (q @ (h * m))
        found[-1] = radial
        return found

    def done(self, z: np.ndarray) -> bool:
        """Never: rivals are told the end."""
        return False

    def beta(self, z: np.ndarray) -> np.ndarray:
        """rho over r^L."""
        return self.curves.signs * z[:-1] * self.curves.product(z[:-1], float(np.exp(-2 * z[-1])))[0]

    def log_loss(self, z: np.ndarray) -> float:
        return float(logsumexp(-np.exp(self.depth * z[-1]) * (self.z @ (self.curves.signs * self.beta(z)))))


@dataclass(frozen=True)
class Passage:
    """The clock's time at a goal of -log Loss, and the steps from OFF before it to OFF behind."""

    end: float
    steps: tuple[DenseOutput, ...]


class Reference:
    """The orbit of one run, by a stepped LSODA at a tight tolerance, near its goals of -log Loss, which rise."""

    def __init__(self, run: Margins, goals: tuple[float, ...], rtol: float = 1e-12):
        self.run = run
        atol = rtol * run.unit
        solver = scipy.integrate.LSODA(run.velocity, 0.0, run.start, 1e300, rtol=rtol, atol=atol, jac=run.jacobian)
        self.passages = {goal: self._passage(solver, goal) for goal in goals}

    def direction(self, goal: float, height: float) -> np.ndarray:
        """beta over its norm at -log Loss = `height`, which is less than OFF from a goal."""
        beta = self.run.beta(self._state(self.passages[goal].steps, height)[1])
        return np.asarray(beta / np.linalg.norm(beta))

    def _passage(self, solver: scipy.integrate.LSODA, goal: float) -> Passage:
        steps: list[DenseOutput] = []
        while -self.run.log_loss(solver.y) < (1 + OFF) * goal:
            solver.step()
            assert solver.status == "running", f"the reference does not reach {goal:g}"
            if -self.run.log_loss(solver.y) > (1 - OFF) * goal:
                steps.append(solver.dense_output())
        return Passage(self._state(steps, goal)[0], tuple(steps))

    def _state(self, steps: Sequence[DenseOutput], height: float) -> tuple[float, np.ndarray]:
        """Time and state at which -log Loss is `height`."""

        def short(t: float) -> float:
            return -self.run.log_loss(orbit(t)) - height

        orbit = next(step for step in steps if -self.run.log_loss(step(step.t_max)) >= height)
        at = float(scipy.optimize.brentq(short, orbit.t_min, orbit.t_max, xtol=1e-13))
        return at, np.asarray(orbit(at))


RIVALS: dict[str, tuple[str, Rival]] = {
    "LSODA": ("LSODA", lsoda()),
    "LSODA, absolute tolerance a tenth": ("LSODA", lsoda(share=0.1)),
    "BDF": ("BDF", stepped("BDF")),
    "Radau": ("Radau", stepped("Radau")),
}
"""name -> (family, rival)."""
