"""Recorded points of an orbit in the coordinates of a real decomposition, for predictions about the whole path."""

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from kernels.networks.base import Architecture
from kernels.problem import Problem
from kernels.theory.optimisers import stacked
from kernels.theory.optimisers.curves import Curve, GeneralCurve, StraightCurve, StructuredCurve

POINTS, FEWEST = 16, 4
"""Most points of an orbit that are compared, and how many are compared where problems are large."""
ENTRIES = 1 << 15
"""Entries of A times points of an orbit above which fewer points are compared."""


def on_curves(problem: Problem) -> bool:
    """Whether every coordinate of a real decomposition moves on a curve with a potential, and the orbit is recorded."""
    decomposition, w = problem.decomposition, problem.coordinates
    if not problem.spec.record or decomposition is None or w is None or not decomposition.real:
        return False
    return len(w) == 1 or problem.moves


@np.errstate(all="ignore")
def curves(problems: Sequence[Problem]) -> Curve:
    """The curves of all coordinates of these problems, which must have one shape, depth and kind of start."""
    w = np.array([problem.coordinates for problem in problems])
    if w.shape[1] == 1:
        return StraightCurve(w[:, 0])
    scales = [problem.scale for problem in problems]
    if scales[0] is not None:
        return StructuredCurve(np.array(scales), problems[0].depth)
    return GeneralCurve(w.transpose(1, 0, 2))


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
    basis, triangle, place = problem.shared.once(_factors, problem.architecture)
    target = scipy.linalg.solve_triangular(triangle, beta[:, place[: len(triangle)]].T, trans=1).T
    rows = np.ascontiguousarray(basis.T)
    if rows.shape[0] == rows.shape[1]:
        return np.asarray(target @ rows)
    curve = curves([problem] * len(beta))
    if curve.depth == 1:
        origin = curve.at(np.zeros_like(curve.start)).rho
        return np.asarray(origin + (target - origin @ basis) @ rows)
    found = stacked.minimise(curve, [rows] * len(beta), target)
    return np.where((found.residual <= 1e-9)[:, None], found.rho, np.nan)


def _factors(
    network: Architecture,
) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r r"], Int[np.ndarray, " d"]]:
    """(Q, R, P) with S P = Q R up to rounding: orthonormal columns Q, R of full rank r, P a permutation."""
    decomposition = network.decomposed
    assert decomposition is not None
    q, r, order = scipy.linalg.qr(decomposition.s, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    rank = int((size > 1e-12 * size[0]).sum())
    return q[:, :rank], r[:rank, :rank], order
