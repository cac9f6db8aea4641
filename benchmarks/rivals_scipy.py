"""The same flows as scipy is used: one run at a time, steps of its solver classes, right-hand sides in numpy.

The solvers are stepped by hand and the stop rule is looked at after each step, which spares them solve_ivp's dense
output and event search. Decomposable networks are integrated in their own coordinates w_l = U_l^T v_l, where the flow
is cheapest; the coordinates are orthogonal, so the flow and its errors are the same.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.integrate

from kernels.integrator.systems import linear_system
from kernels.problem import Problem

METHODS = ("LSODA", "BDF", "Radau", "DOP853", "RK45")


class System(Protocol):
    """One run's differential equation."""

    start: np.ndarray

    def velocity(self, t: float, z: np.ndarray) -> np.ndarray:
        """dz/dt."""

    def jacobian(self, t: float, z: np.ndarray) -> np.ndarray:
        """d velocity / dz."""

    def done(self, z: np.ndarray) -> bool:
        """Whether the stop rule is met."""

    def beta(self, z: np.ndarray) -> np.ndarray:
        """The linear coefficients."""


def others(w: np.ndarray) -> np.ndarray:
    """prod_{k != l} w_k for each l, shape (L, m)."""
    before, after = np.ones_like(w), np.ones_like(w)
    np.cumprod(w[:-1], axis=0, out=before[1:])
    np.cumprod(w[:0:-1], axis=0, out=after[-2::-1])
    return before * after


def products_without_two(w: np.ndarray) -> np.ndarray:
    """prod over layers other than k and l, shape (L, L, m); zero on the diagonal k = l."""
    depth = len(w)
    found = np.zeros((depth, *w.shape))
    for pair in itertools.combinations(range(depth), 2):
        found[pair] = found[pair[::-1]] = np.prod(np.delete(w, pair, axis=0), axis=0)
    return found


class Distance:
    """The project's stop rule for regression: distance to the solutions of A rho = y over the least norm."""

    def __init__(self, a: np.ndarray, y: np.ndarray, problem: Problem):
        self.whitener = linear_system(a).whitener
        self.goal = problem.spec.stop["residual"] * float(np.linalg.norm(self.whitener @ y))

    def met(self, residual: np.ndarray) -> bool:
        """Whether A rho - y is small enough."""
        distance = self.whitener @ residual
        return bool(distance @ distance <= self.goal**2)


class Decomposed:
    """Regression on a network with a real orthogonal decomposition: dw_l/dt = -(A^T r) prod_{k != l} w_k."""

    def __init__(self, problem: Problem):
        decomposition, w = problem.decomposition, problem.coordinates
        assert decomposition is not None
        assert w is not None
        self.s, self.a, self.y = decomposition.s, problem.dataset.x @ decomposition.s.T, problem.dataset.y
        self.shape, self.start = w.shape, w.ravel().copy()
        self.stop = Distance(self.a, self.y, problem)

    def velocity(self, t: float, z: np.ndarray) -> np.ndarray:
        rest = others(z.reshape(self.shape))
        residual = self.a @ (rest[0] * z[: self.shape[1]]) - self.y
        return (-(residual @ self.a) * rest).ravel()

    def jacobian(self, t: float, z: np.ndarray) -> np.ndarray:
        w = z.reshape(self.shape)
        depth, m = self.shape
        rest = others(w)
        pull = (self.a @ (rest[0] * w[0]) - self.y) @ self.a
        b = (self.a[:, None, :] * rest).reshape(len(self.y), -1)
        bend = (-pull * products_without_two(w)).transpose(0, 1, 2)
        found = (-(b.T @ b)).reshape(depth, m, depth, m)
        diagonal = np.arange(m)
        found[:, diagonal, :, diagonal] += bend.transpose(2, 0, 1)
        return found.reshape(depth * m, depth * m)

    def done(self, z: np.ndarray) -> bool:
        return self.stop.met(self.a @ z.reshape(self.shape).prod(axis=0) - self.y)

    def beta(self, z: np.ndarray) -> np.ndarray:
        return z.reshape(self.shape).prod(axis=0) @ self.s


class Connected:
    """Regression on a fully connected network; for implicit methods the Gauss-Newton part -B^T B of the Jacobian."""

    def __init__(self, problem: Problem):
        self.x, self.y = problem.dataset.x, problem.dataset.y
        self.shapes = problem.architecture.shapes
        self.cuts = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        self.start = np.concatenate([np.ravel(layer) for layer in problem.layers])
        self.stop = Distance(self.x, self.y, problem)

    def layers(self, z: np.ndarray) -> list[np.ndarray]:
        return [part.reshape(shape) for part, shape in zip(np.split(z, self.cuts), self.shapes, strict=True)]

    def ends(self, layers: list[np.ndarray]) -> list[np.ndarray]:
        """W_l ... w_L for each l, the first being beta."""
        return list(itertools.accumulate(reversed(layers), lambda right, left: left @ right))[::-1]

    def velocity(self, t: float, z: np.ndarray) -> np.ndarray:
        layers = self.layers(z)
        ends = self.ends(layers)
        left = -(self.x @ ends[0] - self.y) @ self.x
        parts = []
        for layer, end in zip(layers[:-1], ends[1:], strict=True):
            parts.append(np.outer(left, end).ravel())
            left = left @ layer
        return np.concatenate([*parts, left])

    def jacobian(self, t: float, z: np.ndarray) -> np.ndarray:
        layers = self.layers(z)
        ends = self.ends(layers)
        left, parts = self.x, []
        for layer, end in zip(layers[:-1], ends[1:], strict=True):
            parts.append((left[:, :, None] * end).reshape(len(left), -1))
            left = left @ layer
        b = np.concatenate([*parts, left], axis=1)
        return -(b.T @ b)

    def done(self, z: np.ndarray) -> bool:
        return self.stop.met(self.x @ self.beta(z) - self.y)

    def beta(self, z: np.ndarray) -> np.ndarray:
        return self.ends(self.layers(z))[0]


def system(problem: Problem) -> System:
    """The differential equation of a regression run."""
    return Connected(problem) if problem.decomposition is None else Decomposed(problem)


@dataclass(frozen=True)
class Ended:
    """How one run ended: by its stop rule or time or not, at what state, after how many steps and seconds, and when."""

    finished: bool
    z: np.ndarray
    steps: int
    seconds: float
    time: float


Watch = Callable[[np.ndarray, int, float], None]
"""Sees (state, steps so far, seconds so far) after each step."""


def integrate(
    run: System,
    method: str,
    rtol: float,
    atol: float,
    seconds: float,
    time_bound: float = 1e300,
    watch: Watch | None = None,
) -> Ended:
    """Step until the stop rule is met, the flow's time is up, the solver fails or our patience is over."""
    begin = time.perf_counter()
    implicit: dict[str, Any] = {"jac": run.jacobian} if method in ("LSODA", "BDF", "Radau") else {}
    make = getattr(scipy.integrate, method)
    solver = make(run.velocity, 0.0, run.start, time_bound, rtol=rtol, atol=atol, **implicit)
    steps, done = 0, False
    while not done and solver.status == "running" and time.perf_counter() - begin < seconds:
        solver.step()
        steps += 1
        done = run.done(solver.y)
        if watch is not None:
            watch(solver.y, steps, time.perf_counter() - begin)
    spent = time.perf_counter() - begin
    return Ended(done or solver.status == "finished", solver.y.copy(), steps, spent, float(solver.t))


def sample(
    systems: list[System],
    method: str,
    rtol: float,
    atols: np.ndarray,
    times: np.ndarray,
    budget: float,
    least: int = 4,
) -> list[Ended]:
    """Runs in their order until `budget` seconds are spent; one takes at most budget / least of them."""
    found: list[Ended] = []
    for run, atol, bound in zip(systems, atols, times, strict=True):
        if sum(end.seconds for end in found) >= budget:
            break
        found.append(integrate(run, method, rtol, float(atol), budget / least, float(bound)))
    return found
