"""Drawn problems, and their gradient flows by scipy, which shares nothing with the flow of kernels/."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from kernels.data.kinds import Dataset
from kernels.networks.initialisations import initial_layers
from kernels.networks.table import build
from kernels.problem import Problem
from kernels.theory.base import Endpoint
from kernels.validate import canonicalise


def regression_data(samples: int = 3, dim: int = 8, seed: int = 0) -> Dataset:
    rng = np.random.default_rng([seed, 9])
    return Dataset(f"drawn-{seed}", rng.standard_normal((samples, dim)), rng.standard_normal(samples))


def classification_data(samples: int = 4, dim: int = 8, seed: int = 0) -> Dataset:
    """Separable, since dim >= samples."""
    rng = np.random.default_rng([seed, 9])
    x = rng.standard_normal((samples, dim))
    return Dataset(f"labels-{seed}", x, np.where(np.arange(samples) % 2, 1.0, -1.0))


def problem(dataset: Dataset, **axes: Any) -> Problem:
    spec = canonicalise({"data": {"points": {}}, **axes}, dataset.x.shape[1])
    architecture = build(spec, dataset.x.shape[1])
    return Problem(spec, dataset, architecture, initial_layers(spec, architecture))


def endpoint_at(beta: np.ndarray, layers: Sequence[np.ndarray] = ()) -> Endpoint:
    """An endpoint that only its coefficients (and layers) matter of."""
    return Endpoint(tuple(layers), beta, np.zeros((1, 1)), 0.0, 0.0, 0.0)


def decomposed_limit(a: np.ndarray, y: np.ndarray, w0: np.ndarray) -> np.ndarray:
    """rho at the end of dw_l/dt = -(A^H r) conj(prod_{k != l} w_k), r = Re(A rho) - y, by LSODA."""
    shape, kind = w0.shape, w0.dtype

    def residual(state: np.ndarray) -> np.ndarray:
        return (a @ state.view(kind).reshape(shape).prod(axis=0)).real - y

    def velocity(t: float, state: np.ndarray) -> np.ndarray:
        w = state.view(kind).reshape(shape)
        force = -(a.conj().T @ residual(state))
        others = [np.delete(w, layer, axis=0).prod(axis=0) for layer in range(len(w))]
        return (force * np.conj(np.array(others))).ravel().view(float)

    return _limit(velocity, residual, y, w0.ravel().view(float)).view(kind).reshape(shape).prod(axis=0)


def connected_limit(dataset: Dataset, layers: Sequence[np.ndarray]) -> np.ndarray:
    """beta at the end of the flow of W_1 W_2 ... w_L, by LSODA."""
    shapes = [layer.shape for layer in layers]
    cuts = np.cumsum([layer.size for layer in layers])[:-1]

    def matrices(state: np.ndarray) -> list[np.ndarray]:
        parts = [part.reshape(shape) for part, shape in zip(np.split(state, cuts), shapes, strict=True)]
        return [*parts[:-1], parts[-1][:, None]]

    def beta(state: np.ndarray) -> np.ndarray:
        return np.linalg.multi_dot([*matrices(state), np.ones((1, 1))])[:, 0]

    def residual(state: np.ndarray) -> np.ndarray:
        return dataset.x @ beta(state) - dataset.y

    def velocity(t: float, state: np.ndarray) -> np.ndarray:
        parts = matrices(state)
        force = -(dataset.x.T @ residual(state))[:, None]
        lefts, rights = [np.eye(len(force))], [np.eye(1)]
        for left, right in zip(parts[:-1], reversed(parts[1:]), strict=True):
            lefts.append(lefts[-1] @ left)
            rights.append(right @ rights[-1])
        slopes = [left.T @ force @ right.T for left, right in zip(lefts, reversed(rights), strict=True)]
        return np.concatenate([np.ravel(slope) for slope in slopes])

    return beta(_limit(velocity, residual, dataset.y, np.concatenate([np.ravel(layer) for layer in layers])))


def _limit(velocity: Any, residual: Any, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    def fitted(t: float, state: np.ndarray) -> float:
        return float(np.linalg.norm(residual(state)) - 1e-11 * np.linalg.norm(y))

    fitted.terminal = True
    answer = solve_ivp(velocity, (0, 1e12), start, "LSODA", rtol=1e-11, atol=1e-14 * np.abs(start).max(), events=fitted)
    assert answer.status == 1
    return np.array(answer.y[:, -1])
