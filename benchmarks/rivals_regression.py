"""Regression for scipy, with one number a coordinate: dq/dt = -[A^T (A rho - y)] M, rho = q M (rivals.py).

Its Jacobian is -diag(M) A^T A diag(rho') - diag(A^T r M'), M' = M q sum_l 1 / (q^2 + delta_l), rho' = M + q M'. Past
the end a loose solver corrects what it has got wrong, almost for nothing: rivals may go to twice the end.
"""

import numpy as np

from benchmarks.rivals import Curves, Rival, integrate, lsoda, on_time, stepped


class Fit:
    """One run: states q, one a coordinate.

    The unit of absolute tolerances is the least of the scale of the start and of the q at which rho has the size of
    |y| / |A|; with large weights q hardly moves.
    """

    def __init__(self, a: np.ndarray, y: np.ndarray, w: np.ndarray, residual: float = 1e-10):
        self.curves = Curves(w)
        self.start = self.curves.start
        self.a, self.y = np.ascontiguousarray(a * self.curves.signs), y
        self.at, self.gram = np.ascontiguousarray(self.a.T), self.a.T @ self.a
        self.goal = residual * float(np.linalg.norm(y))
        size = float(np.linalg.norm(y) / np.linalg.norm(a, 2) / np.sqrt(w.shape[1]))
        rest = float(self.curves.product(self.start)[0].max())
        self.unit = min(self.curves.least, size / rest if rest else np.inf)
        self.end, self.deadline, self.calls = np.inf, np.inf, 0

    def velocity(self, t: float, q: np.ndarray) -> np.ndarray:
        on_time(self)
        m = self.curves.product(q)[0]
        return (self.at @ (self.y - self.a @ (q * m))) * m

    def jacobian(self, t: float, q: np.ndarray) -> np.ndarray:
        m, squares = self.curves.product(q)
        slope = m * q * self.curves.summed(1 / squares)
        pull = self.at @ (self.a @ (q * m) - self.y)
        found = self.gram * -(m + q * slope)
        found *= m[:, None]
        found.flat[:: q.size + 1] -= pull * slope
        return found

    def residual(self, q: np.ndarray) -> np.ndarray:
        """A rho - y."""
        return self.a @ (q * self.curves.product(q)[0]) - self.y

    def done(self, q: np.ndarray) -> bool:
        residual = self.residual(q)
        return bool(residual @ residual <= self.goal**2)

    def beta(self, q: np.ndarray) -> np.ndarray:
        """rho = q M; the coefficients of a diagonal network."""
        return self.curves.signs * q * self.curves.product(q)[0]

    def log_loss(self, q: np.ndarray) -> float:
        residual = self.residual(q)
        return float(np.log(0.5 * residual @ residual))


def find_end(run: Fit, patience: float) -> bool:
    """Set the run's end: the time at which a stepped LSODA meets the stop rule; whether it does within our patience.

    From then on the rule is a hundred times as strict, so that it does not bound the accuracy of a rival.
    """
    found = integrate(run, "LSODA", 1e-6, patience, 1e300)
    run.end, run.calls, run.goal = (found.time if found.finished else np.inf), 0, run.goal / 100
    return found.finished


RIVALS: dict[str, tuple[str, Rival]] = {
    "LSODA to the end": ("LSODA", lsoda()),
    "LSODA to twice the end": ("LSODA", lsoda(late=2.0, share=0.1)),
    "BDF": ("BDF", stepped("BDF", late=2.0)),
    "Radau": ("Radau", stepped("Radau", late=2.0)),
}
"""name -> (family, rival)."""
