"""scipy on the flow of a real decomposable network with one number a coordinate, as a user could write it.

dw_l/dt = [A^T g]_j prod_{k != l} w_k keeps w_l^2 - w_k^2 in each coordinate. With q the layer of least modulus at t = 0
and gaps delta_l = w_l(0)^2 - q(0)^2 >= 0 the others are w_l = s_l sqrt(q^2 + delta_l), and the whole flow is

    dq/dt = [A^T g] M,   M = prod_{l: others} w_l,   rho = q M,

the same flow as that of all layers, in m states instead of L m. The signs of M go into the columns of A.

LSODA runs in its own compiled loop (odeint), which is two to three times as fast as any loop in Python; BDF and Radau
are solver classes, stepped by hand, which spares them solve_ivp's bookkeeping. All get the analytic Jacobian and the
time at which the flow ends.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.integrate


class System(Protocol):
    """One run's differential equation.

    Attributes:
        start: the state at 0.
        end: the time at which the flow has got to its end, which rivals are told.
        deadline: processor time at which velocities raise OutOfTimeError.
        calls: evaluations of the velocity so far.
    """

    start: np.ndarray
    end: float
    deadline: float
    calls: int

    @property
    def unit(self) -> float | np.ndarray:
        """What absolute tolerances are relative to, one for all states or one each."""

    def velocity(self, t: float, z: np.ndarray) -> np.ndarray:
        """dz/dt."""

    def jacobian(self, t: float, z: np.ndarray) -> np.ndarray:
        """d velocity / dz."""

    def done(self, z: np.ndarray) -> bool:
        """Whether the flow has got to its end."""

    def beta(self, z: np.ndarray) -> np.ndarray:
        """The linear coefficients; of classification up to a factor."""

    def log_loss(self, z: np.ndarray) -> float:
        """log Loss."""


class OutOfTimeError(Exception):
    """Raised from within a velocity, because odeint cannot be stopped otherwise."""


def on_time(run: System) -> None:
    """Count an evaluation; raise OutOfTimeError after the deadline."""
    run.calls += 1
    if time.process_time() > run.deadline:
        raise OutOfTimeError


class Curves:
    """The curves of the coordinates: what the other layers are, given q.

    Attributes:
        start: q(0).
        gaps: delta of the other layers, shape (L - 1, m).
        signs: of the product of the other layers.
        alike: whether they start alike, so that one of them tells of all.
    """

    def __init__(self, w: np.ndarray):
        """w: the layers at 0, shape (L, m)."""
        depth, m = w.shape
        least = np.abs(w).argmin(axis=0)
        others = w.T[~(np.arange(depth)[:, None] == least).T].reshape(m, depth - 1).T
        self.start = w[least, np.arange(m)].copy()
        self.gaps, self.signs = others**2 - self.start**2, np.sign(others).prod(axis=0)
        self.alike = bool((self.gaps == self.gaps[0]).all())
        self.gap = self.gaps[0] if self.alike else self.gaps
        self.least = float(np.abs(others).min())

    def product(self, q: np.ndarray, shrink: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """|M| and the squares of the other layers; of one of them, where all are alike. Gaps are `shrink` times."""
        squares = q * q + (self.gap if shrink == 1.0 else shrink * self.gap)
        return half_power(squares, len(self.gaps)) if self.alike else np.sqrt(squares.prod(axis=0)), squares

    def summed(self, values: np.ndarray) -> np.ndarray:
        """Sum over the other layers of numbers that go with `squares`."""
        return len(self.gaps) * values if self.alike else values.sum(axis=0)


def half_power(s: np.ndarray, k: int) -> np.ndarray:
    """s^{k/2} by products and at most one root: a general power costs ten times that."""
    found = np.sqrt(s) if k % 2 else s
    for _ in range((k - 1) // 2):
        found = found * s
    return found


@dataclass(frozen=True)
class Ended:
    """How one run ended: to its end or not, at what state, after how many steps and processor seconds, and when."""

    finished: bool
    z: np.ndarray
    steps: int
    seconds: float
    time: float


Rival = Callable[[System, float, float], Ended]
"""(run, rtol, patience in seconds) -> how it ended."""


def integrate(run: System, method: str, rtol: float, patience: float, until: float) -> Ended:
    """Step a solver class of scipy's until the flow is done, its time is up, it fails or our patience is over."""
    begin = time.process_time()
    make = getattr(scipy.integrate, method)
    solver = make(run.velocity, 0.0, run.start, until, rtol=rtol, atol=rtol * run.unit, jac=run.jacobian)
    steps, done = 0, False
    while not done and solver.status == "running" and time.process_time() - begin < patience:
        solver.step()
        steps += 1
        done = run.done(solver.y)
    spent = time.process_time() - begin
    return Ended(done or solver.status == "finished", solver.y.copy(), steps, spent, float(solver.t))


def lsoda(late: float = 1.0, share: float = 1.0) -> Rival:
    """odeint to `late` times the end, in one go: begun anew halfway its steps would again be those of a start.

    The absolute tolerance is `share` of rtol.
    """

    def run_to_end(run: System, rtol: float, patience: float) -> Ended:
        begin = time.process_time()
        run.deadline = begin + patience
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                states, facts = scipy.integrate.odeint(
                    run.velocity, run.start, [0.0, late * run.end], Dfun=run.jacobian, tfirst=True,
                    rtol=rtol, atol=share * rtol * run.unit, mxstep=10_000_000, full_output=True,
                )  # fmt: skip
        except OutOfTimeError:
            return Ended(False, run.start, 0, time.process_time() - begin, np.nan)
        finally:
            run.deadline = np.inf
        finished = facts["message"] == "Integration successful."
        return Ended(finished, states[-1], int(facts["nst"][-1]), time.process_time() - begin, late * run.end)

    return run_to_end


def stepped(method: str, late: float = 1.0) -> Rival:
    """A solver class of scipy's, to where the flow is done, at most to `late` times the end."""

    def run_to_end(run: System, rtol: float, patience: float) -> Ended:
        return integrate(run, method, rtol, patience, late * run.end)

    return run_to_end
