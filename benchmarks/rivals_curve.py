"""scipy on the flow of a real decomposable network with one state a coordinate, as a user could write it.

dw_l/dt = -[A^T r] prod_{k != l} w_k keeps w_l^2 - w_k^2 in each coordinate. With q the layer of least modulus at t = 0
and gaps delta_l = w_l(0)^2 - q(0)^2 >= 0 the others are w_l = s_l sqrt(q^2 + delta_l), and the whole flow is

    dq/dt = -[A^T (A rho - y)] M,   M = prod_{l: others} w_l,   rho = q M,

the same flow as that of all layers, in m states instead of L m. Its Jacobian is
-diag(M) A^T A diag(rho') - diag(A^T r M'), M' = M q sum_l 1 / (q^2 + delta_l), rho' = M + q M'.
The signs of M go into the columns of A.

LSODA runs in its own compiled loop (odeint), which is two to three times as fast as any loop in Python, and is told
when the flow ends; the solver classes BDF and Radau are stepped as in `rivals_scipy.py`. Past the end a loose solver
corrects what it has got wrong, almost for nothing: rivals may go to twice the end.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy.integrate

from benchmarks.rivals_scipy import Ended, integrate

Rival = Callable[["Curves", float, float], Ended]
"""(run, rtol, patience in seconds) -> how it ended."""


class OutOfTimeError(Exception):
    """Raised from within a velocity, because odeint cannot be stopped otherwise."""


def half_power(s: np.ndarray, k: int) -> np.ndarray:
    """s^{k/2} by products and at most one root: a general power costs ten times that."""
    found = np.sqrt(s) if k % 2 else s
    for _ in range((k - 1) // 2):
        found = found * s
    return found


class Curves:
    """One run: states q, one a coordinate.

    Attributes:
        start: q(0).
        unit: what absolute tolerances are relative to: the least of the scale of the start and of the q at which rho
            has the size of |y| / |A|; with large weights q hardly moves.
        end: the time at which the flow has got to its end, which rivals are told.
        calls: evaluations of the velocity so far.
    """

    def __init__(self, a: np.ndarray, y: np.ndarray, w: np.ndarray, residual: float = 1e-10):
        depth, m = w.shape
        least = np.abs(w).argmin(axis=0)
        own = np.arange(depth)[:, None] == least
        others = w.T[~own.T].reshape(m, depth - 1).T
        self.start = w[least, np.arange(m)].copy()
        self.gaps, self.signs = others**2 - self.start**2, np.sign(others).prod(axis=0)
        self.alike = bool((self.gaps == self.gaps[0]).all())
        self.gap = self.gaps[0] if self.alike else self.gaps
        self.a, self.y = np.ascontiguousarray(a * self.signs), y
        self.at, self.gram = np.ascontiguousarray(self.a.T), self.a.T @ self.a
        self.goal = residual * float(np.linalg.norm(y))
        size = float(np.linalg.norm(y) / np.linalg.norm(a, 2) / np.sqrt(m))
        rest = float(self.product(self.start)[0].max())
        self.unit = min(float(np.abs(others).min()), size / rest if rest else np.inf)
        self.end, self.deadline, self.calls = np.inf, np.inf, 0

    def product(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """|M| and the squares of the other layers; of one of them, where all are alike."""
        squares = q * q + self.gap
        return half_power(squares, len(self.gaps)) if self.alike else np.sqrt(squares.prod(axis=0)), squares

    def velocity(self, t: float, q: np.ndarray) -> np.ndarray:
        self.calls += 1
        if time.perf_counter() > self.deadline:
            raise OutOfTimeError
        m = self.product(q)[0]
        return (self.at @ (self.y - self.a @ (q * m))) * m

    def jacobian(self, t: float, q: np.ndarray) -> np.ndarray:
        m, squares = self.product(q)
        slope = m * q * (len(self.gaps) / squares if self.alike else (1 / squares).sum(axis=0))
        pull = self.at @ (self.a @ (q * m) - self.y)
        found = self.gram * -(m + q * slope)
        found *= m[:, None]
        found.flat[:: q.size + 1] -= pull * slope
        return found

    def done(self, q: np.ndarray) -> bool:
        residual = self.a @ (q * self.product(q)[0]) - self.y
        return bool(residual @ residual <= self.goal**2)

    def beta(self, q: np.ndarray) -> np.ndarray:
        """rho = q M; the coefficients of a diagonal network."""
        return self.signs * q * self.product(q)[0]


def find_end(run: Curves, patience: float) -> bool:
    """Set the run's end: the time at which a stepped LSODA meets the stop rule; whether it does within our patience.

    From then on the rule is a hundred times as strict, so that it does not bound the accuracy of a rival.
    """
    found = integrate(run, "LSODA", 1e-6, 1e-6 * run.unit, patience)
    run.end, run.calls, run.goal = (found.time if found.finished else np.inf), 0, run.goal / 100
    return found.finished


def lsoda(late: float, share: float) -> Rival:
    """odeint to `late` times the end, in one go: begun anew halfway its steps would again be those of a start.

    The absolute tolerance is `share` of rtol.
    """

    def run_to_end(run: Curves, rtol: float, patience: float) -> Ended:
        begin = time.perf_counter()
        run.deadline = begin + patience
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                states, facts = scipy.integrate.odeint(
                    run.velocity, run.start, [0.0, late * run.end], Dfun=run.jacobian, tfirst=True,
                    rtol=rtol, atol=share * rtol * run.unit, mxstep=10_000_000, full_output=True,
                )  # fmt: skip
        except OutOfTimeError:
            return Ended(False, run.start, 0, time.perf_counter() - begin, np.nan)
        finally:
            run.deadline = np.inf
        finished = facts["message"] == "Integration successful."
        return Ended(finished, states[-1], int(facts["nst"][-1]), time.perf_counter() - begin, late * run.end)

    return run_to_end


def stepped(method: str) -> Rival:
    """A solver class of scipy's, to the stop rule or twice the end."""

    def run_to_end(run: Curves, rtol: float, patience: float) -> Ended:
        return integrate(run, method, rtol, rtol * run.unit, patience, 2 * run.end)

    return run_to_end


RIVALS: dict[str, tuple[str, Rival]] = {
    "LSODA to the end": ("LSODA", lsoda(1.0, 1.0)),
    "LSODA to twice the end": ("LSODA", lsoda(2.0, 0.1)),
    "BDF": ("BDF", stepped("BDF")),
    "Radau": ("Radau", stepped("Radau")),
}
"""name -> (family, rival)."""
