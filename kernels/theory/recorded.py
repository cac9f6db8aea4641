"""Recorded points of an orbit in the coordinates of a real decomposition, for predictions about the whole path."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from kernels.networks.base import Architecture
from kernels.networks.decomposition import dense
from kernels.problem import Problem
from kernels.theory.optimisers import stacked
from kernels.theory.optimisers.curves import Curve, GeneralCurve, StraightCurve, StructuredCurve

POINTS, FEWEST = 16, 4
"""Most points of an orbit that are compared, and how many are compared where problems are large."""
ENTRIES = 1 << 15
"""Entries of A times points of an orbit above which fewer points are compared."""
REACHED = 1e-9
"""Largest residual of a minimum that counts as found."""


def on_curves(problem: Problem) -> bool:
    """Whether every coordinate of a real decomposition moves on a curve with a potential, and the orbit is recorded."""
    decomposition, w = problem.decomposition, problem.coordinates
    if not problem.spec.record or decomposition is None or w is None or not decomposition.real:
        return False
    return len(w) == 1 or problem.moves


def curves(problems: Sequence[Problem]) -> Curve:
    """The curves of all coordinates of these problems, which must have one shape, depth and kind of start."""
    scales = [problem.scale for problem in problems]
    w = np.array([problem.coordinates for problem in problems]).transpose(1, 0, 2)
    return _curves(w, None if scales[0] is None else np.array(scales))


@np.errstate(all="ignore")
def _curves(w: Float[np.ndarray, "L b m"], scales: Float[np.ndarray, "b m"] | None) -> Curve:
    if len(w) == 1:
        return StraightCurve(w[0])
    return GeneralCurve(w) if scales is None else StructuredCurve(scales, len(w))


def thinned(places: Int[np.ndarray, " k"], entries: int) -> Int[np.ndarray, " p"]:
    """Evenly chosen places, the last one always among them; the larger A, the fewer.

    Args:
        entries: number of entries of A.
    """
    most = int(np.clip(ENTRIES // max(entries, 1), FEWEST, POINTS))
    if len(places) <= most:
        return places
    return places[np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]


def products_at(problem: Problem, beta: Float[np.ndarray, "p d"]) -> Float[np.ndarray, "p m"]:
    """rho with S^T rho = beta at each point, shape (p, m).

    If there are several, it is the one that the flow is at: nu(rho) = S X^T lambda lies in the range of S, so that rho
    is argmin D(rho) subject to S^T rho = beta.
    """
    network = problem.architecture
    separate = problem.shared.once(_separate, network)
    if separate is not None:
        return _products_of_entries(problem, beta, separate)
    basis, triangle, place = problem.shared.once(_factors, network)
    target = scipy.linalg.solve_triangular(triangle, beta[:, place[: len(triangle)]].T, trans=1).T
    rows = np.ascontiguousarray(basis.T)
    if rows.shape[0] == rows.shape[1]:
        return np.asarray(target @ rows)
    curve = curves([problem] * len(beta))
    if curve.depth == 1:
        origin = curve.at(np.zeros_like(curve.start)).rho
        return np.asarray(origin + (target - origin @ basis) @ rows)
    found = stacked.minimise(curve, [rows] * len(beta), target)
    return np.where((found.residual <= REACHED)[:, None], found.rho, np.nan)


class _Separate(NamedTuple):
    """S with one entry in each row, and equally many in each column.

    Attributes:
        places: the rows of S with an entry in each column, shape (d, k).
        entries: these entries, shape (d, k).
    """

    places: Int[np.ndarray, "d k"]
    entries: Float[np.ndarray, "d k"]


def _separate(network: Architecture) -> _Separate | None:
    """The entries of S where every coordinate acts on one coefficient, and as many on each; else None."""
    decomposition = network.decomposed
    assert decomposition is not None
    rows, columns = decomposition.s.nonzero()
    size, dim = decomposition.s.shape
    if len(rows) != size or len(np.unique(rows)) != size or len(set(np.bincount(columns, minlength=dim).tolist())) > 1:
        return None
    places = rows[np.argsort(columns, kind="stable")].reshape(dim, -1)
    return _Separate(places, dense(decomposition.s[places, np.arange(dim)[:, None]]))


def _products_of_entries(problem: Problem, beta: Float[np.ndarray, "p d"], s: _Separate) -> Float[np.ndarray, "p m"]:
    """`products_at` where each coefficient has coordinates of its own: p d small problems."""
    rho = np.empty((len(beta), s.places.size))
    if s.places.shape[1] == 1:
        rho[:, s.places[:, 0]] = beta / s.entries[:, 0]
        return rho
    w, (count, (dim, size)) = problem.coordinates, (len(beta), s.places.shape)
    assert w is not None
    starts = np.tile(w[:, s.places], (1, count, 1))
    scales = None if problem.scale is None else np.tile(problem.scale[s.places], (count, 1))
    norms = np.linalg.norm(s.entries, axis=1)
    rows, target = np.tile(s.entries / norms[:, None], (count, 1)), (beta / norms).reshape(-1)
    curve = _curves(starts, scales)
    if curve.depth == 1:
        origin = starts[0]
        found = origin + (target - (origin * rows).sum(axis=1))[:, None] * rows
    else:
        minima = stacked.minimise(curve, list(rows[:, None, :]), target[:, None])
        found = np.where((minima.residual <= REACHED)[:, None], minima.rho, np.nan)
    rho[:, s.places] = found.reshape(count, dim, size)
    return rho


def _factors(
    network: Architecture,
) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r r"], Int[np.ndarray, " d"]]:
    """(Q, R, P) with S P = Q R up to rounding: orthonormal columns Q, R of full rank r, P a permutation."""
    decomposition = network.decomposed
    assert decomposition is not None
    q, r, order = scipy.linalg.qr(dense(decomposition.s), mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    rank = int((size > 1e-12 * size[0]).sum())
    return q[:, :rank], r[:rank, :rank], order
