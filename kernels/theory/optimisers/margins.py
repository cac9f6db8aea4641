"""Margin problems, min ||rho||_p subject to Z rho >= 1, z_i = y_i S x_i: p = 2, p = 1, and upper bounds for p < 1."""

from dataclasses import dataclass

import clarabel
import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Inexact, Int
from scipy.optimize import linprog

from kernels.theory.optimisers import certificates, simplex

DEPENDENT = 1e-13
"""A unit vector depends on others if it is at most this far from their span: rounding hides its direction."""
SOLVED = 1e-11
"""Largest certificate with which an answer of the dual simplex method is taken; HiGHS solves the others."""
LARGEST_TABLEAU = 2_000_000
"""n^2 m up to which the dual simplex method, whose tableau is dense, is taken; at 3e6 HiGHS is as fast."""


@dataclass(frozen=True)
class Margin:
    """A minimiser with margin 1, its multipliers mu >= 0, objective and the residual of its optimality conditions."""

    solution: Inexact[np.ndarray, " m"]
    multipliers: Float[np.ndarray, " n"]
    objective: float
    certificate: float


def least_norm(signed: Float[np.ndarray, "n d"]) -> Margin:
    """min ||beta|| subject to Z beta >= 1, the hard-margin SVM, for samples of any norms and angles.

    With z_i = ||z_i|| u_i the constraints are U beta >= b, b_i = 1 / ||z_i||. Clarabel's interior-point method proposes
    the active samples, and a dual active-set method goes on from there (`_least_norm`).
    """
    size = np.linalg.norm(signed, axis=1)
    if not size.all():
        return Margin(np.full(signed.shape[1], np.nan), np.zeros(len(signed)), np.inf, np.inf)
    units, bounds = signed / size[:, None], size.min() / size
    reduced = scipy.linalg.qr(units.T, mode="r", pivoting=True)
    rows = np.empty((len(units), min(units.shape)))
    rows[reduced[1]] = reduced[0][: rows.shape[1]].T
    count = rows.shape[1]
    _, dual = solve_conic(
        scipy.sparse.identity(count, format="csc"),
        np.zeros(count),
        -rows,
        -bounds,
        [clarabel.NonnegativeConeT(len(units))],
    )
    beta, mu = _least_norm(units, bounds, np.flatnonzero(dual > 1e-6 * dual.max()))
    beta, mu = beta / size.min(), mu / (size * size.min())
    return Margin(beta, mu, float(np.linalg.norm(beta)), certificates.margin_norm(signed, beta, mu))


def _least_norm(
    units: Float[np.ndarray, "n d"], bounds: Float[np.ndarray, " n"], proposed: Int[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " n"]]:
    """(x, mu) of min 1/2 ||x||^2 subject to U x >= b, rows of unit length. NaN where no x has these margins.

    By the dual active-set method of Goldfarb and Idnani (1983): x is the point of least norm with U_A x = b_A, and
    mu >= 0. The most violated row enters A; rows whose multipliers reach zero on the way leave. U_A^T is factorised by
    QR, never U_A U_A^T, which would square the condition, so that angles down to 1e-13 are told from zero.

    Args:
        proposed: indices of rows that are thought to be active.
    """
    active, mu = _consistent(units, bounds, proposed.tolist())
    for _ in range(8 * len(units) + 50):
        x = units[active].T @ mu
        if active:
            q, r = scipy.linalg.qr(units[active].T, mode="economic")
            x = q @ scipy.linalg.solve_triangular(r, bounds[active], trans=1)
        noise = 1e-14 * bounds + 4 * np.finfo(float).eps * (np.abs(units) @ np.abs(x))
        short = bounds - units @ x
        short[active] = -np.inf
        entering = int(np.argmax(short - noise))
        if not short[entering] > noise[entering]:
            break
        gained = 0.0
        while True:  # a full step, or a partial one to the next multiplier that vanishes
            row = units[entering]
            along, rates = row, np.zeros(0)
            if active:
                q, r = scipy.linalg.qr(units[active].T, mode="economic")
                inner = q.T @ row
                along = row - q @ inner
                along = along - q @ (q.T @ along)
                rates = scipy.linalg.solve_triangular(r, inner)
            steps = np.where(rates > 0, mu / np.where(rates > 0, rates, 1), np.inf)
            leaving = int(np.argmin(steps)) if len(steps) else -1
            partial = float(steps[leaving]) if len(steps) else np.inf
            square = float(along @ along)
            full = float(bounds[entering] - row @ x) / square if square > DEPENDENT**2 else np.inf
            step = min(partial, full)
            if not np.isfinite(step):
                return np.full(units.shape[1], np.nan), np.zeros(len(units))  # no x has these margins
            mu, gained = mu - step * rates, gained + step
            if np.isfinite(full):
                x = x + step * along
            if step == full:
                active, mu = [*active, entering], np.append(mu, gained)
                break
            del active[leaving]
            mu = np.delete(mu, leaving)
        active, mu = _consistent(units, bounds, active)
    multipliers = np.zeros(len(units))
    multipliers[active] = mu
    return x, multipliers


def _consistent(
    units: Float[np.ndarray, "n d"], bounds: Float[np.ndarray, " n"], active: list[int]
) -> tuple[list[int], Float[np.ndarray, " k"]]:
    """(A, mu): rows of `active` that are independent and have mu > 0, where x = U_A^T mu and U_A x = b_A.

    The other rows are dropped one by one.
    """
    if active:
        _, r, order = scipy.linalg.qr(units[active].T, mode="economic", pivoting=True)
        rank = int((np.abs(np.diag(r)) > DEPENDENT).sum())
        active = [active[place] for place in sorted(order[:rank].tolist())]
    while active:
        r = scipy.linalg.qr(units[active].T, mode="r")[0][: len(active)]
        mu = scipy.linalg.solve_triangular(r, scipy.linalg.solve_triangular(r, bounds[active], trans=1))
        if mu.min() > 0:
            return active, mu
        del active[int(np.argmin(mu))]
    return [], np.zeros(0)


def least_sum(signed: Inexact[np.ndarray, "n m"], weights: Float[np.ndarray, " m"] | None = None) -> Margin:
    """min sum_j w_j |rho_j| subject to Re(Z rho) >= 1, by HiGHS (a linear program) or, if complex, Clarabel."""
    w = np.ones(signed.shape[1]) if weights is None else weights
    scaled = signed / w
    if np.iscomplexobj(signed):
        size = float(np.abs(scaled).max())
        rho, mu = _complex_sum(scaled / size)
        rho, mu = rho / size, mu / size
    else:
        rho, mu = _real_sum(scaled)
    certificate = certificates.margin_modulus(scaled, rho, mu)
    return Margin(rho / w, mu, float(np.abs(rho).sum()), certificate)


def least_euclidean(signed: Inexact[np.ndarray, "n m"]) -> Margin:
    """min ||rho||_2 subject to Re(Z rho) >= 1, as a real problem in (Re rho, Im rho)."""
    if not np.iscomplexobj(signed):
        return least_norm(signed)
    found = least_norm(np.hstack([signed.real, -signed.imag]))
    real, imaginary = np.split(found.solution, 2)
    return Margin(real + 1j * imaginary, found.multipliers, found.objective, found.certificate)


def _real_sum(signed: Float[np.ndarray, "n m"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """(rho, mu) of the real program, with rows and columns scaled to largest entries of one.

    The solver's tolerances are absolute, and margins b_i = 1 / ||z_i|| of samples of very different norms may lie below
    them. So the residuals of constraints and costs are magnified and the program is solved again for them (iterative
    refinement; Gleixner, Steffy and Wolter, 2016). Two or three rounds reach the last digit.
    """
    count, size = signed.shape
    heights = np.abs(signed).max(axis=1)
    if not heights.all():
        return np.full(size, np.nan), np.zeros(count)
    rows = signed / heights[:, None]
    widths = np.abs(rows).max(axis=0)
    widths = np.where(widths > 0, widths, 1.0)
    rows, bounds, costs = rows / widths, heights.min() / heights, np.tile(widths.min() / widths, 2)
    both = np.hstack([rows, -rows])
    x, mu, up, out = np.zeros(2 * size), np.zeros(count), 1.0, 1.0
    for turn in range(6):
        short, slack = bounds - both @ x, costs - both.T @ mu
        if turn:
            primal = max(float(short.max()), float((-x).max()))
            dual = max(float((-slack).max()), abs(float(x @ slack)) / float(costs @ x))
            up, out = min(1 / max(primal, 1e-300), 1e6 * up), min(1 / max(dual, 1e-300), 1e6 * out)
        answer = linprog(
            out * slack,
            A_ub=-both,
            b_ub=-up * short,
            bounds=np.column_stack([-up * x, np.full(2 * size, np.inf)]),
            method="highs-ds",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if answer.x is None:
            break
        x, mu = x + answer.x / up, mu - answer.ineqlin.marginals / out
        gap = abs(float(costs @ x) - float(bounds @ mu)) / float(costs @ x)
        if max(gap, float(((bounds - both @ x) / bounds).max()), float((-(costs - both.T @ mu) / costs).max())) < 1e-12:
            break
    if not x.any():
        return np.full(size, np.nan), np.zeros(count)
    positive, negative = np.split(np.maximum(x, 0), 2)
    return (positive - negative) / widths / heights.min(), mu / heights / widths.min()


def _complex_sum(signed: Inexact[np.ndarray, "n m"]) -> tuple[Inexact[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """(rho, mu) of the complex program: min sum_j t_j with (t_j, Re rho_j, Im rho_j) in second-order cones."""
    count, size = signed.shape
    margins = np.zeros((count, size, 3))
    margins[:, :, 1], margins[:, :, 2] = -signed.real, signed.imag
    constraint = scipy.sparse.vstack(
        [scipy.sparse.csc_matrix(margins.reshape(count, -1)), -scipy.sparse.identity(3 * size)], format="csc"
    )
    cones = [clarabel.NonnegativeConeT(count), *[clarabel.SecondOrderConeT(3)] * size]
    found, dual = solve_conic(
        scipy.sparse.csc_matrix((3 * size, 3 * size)),
        np.tile([1.0, 0.0, 0.0], size),
        constraint,
        np.concatenate([-np.ones(count), np.zeros(3 * size)]),
        cones,
    )
    _, real, imaginary = found.reshape(size, 3).T
    return real + 1j * imaginary, dual[:count]


def solve_conic(
    quadratic: scipy.sparse.csc_matrix,
    linear: Float[np.ndarray, " k"],
    constraint: scipy.sparse.csc_matrix | Float[np.ndarray, "c k"],
    right: Float[np.ndarray, " c"],
    cones: list[object],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " c"]]:
    """The primal and the dual solution of min 1/2 x.P x + q.x subject to b - A x in the cones, by Clarabel.

    Args:
        quadratic, linear: P and q.
        constraint, right: A and b.
    """
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solver = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix(quadratic), linear, scipy.sparse.csc_matrix(constraint), right, cones, settings
    )
    answer = solver.solve()
    return np.array(answer.x), np.array(answer.z)


def best_known(signed: Inexact[np.ndarray, "n m"], power: float, starts: int) -> Margin:
    """The least ||rho||_p, p < 1, that reweighted least sums find from `starts` weights of a fixed seed.

    Each step solves min sum_j w_j |rho_j| with w_j = (|rho_j| + e)^{p-1} of the step before; |.|^p is concave and lies
    below its tangent, so that ||rho||_p falls. The problem is not convex, so that the result is an upper bound of the
    optimum. 32 starts, of weights over three decades, found the best vertex in all of 36 problems that were small
    enough to try every vertex.
    """
    rng = np.random.default_rng(0)
    size = signed.shape[1]
    drawn = [10.0 ** rng.uniform(-3, 0, (size,)) if start else np.ones(size) for start in range(starts)]
    searches = [_Reweighted(signed, power, weights) for weights in drawn]
    while waiting := [search for search in searches if not search.done]:
        for search, found in zip(waiting, _least_sums(signed, [each.weights for each in waiting]), strict=True):
            search.take(found)
    best = searches[0]
    for search in searches:
        if not search.value >= best.value:
            best = search
    assert best.best is not None
    return Margin(best.best.solution, best.best.multipliers, best.value, best.best.certificate)


class _Reweighted:
    """The least sums from one start, each with the weights that the one before asks for.

    Attributes:
        weights: of the next least sum.
        best, value: the last solution of which ||rho||_p fell, and that.
        done: whether it no longer falls.
    """

    def __init__(self, signed: Inexact[np.ndarray, "n m"], power: float, weights: Float[np.ndarray, " m"]):
        self.signed, self.power, self.weights = signed, power, weights
        self.best: Margin | None = None
        self.value, self.done, self._step = np.inf, False, 0

    def take(self, found: Margin) -> None:
        objective = quasi_norm(self.signed, found.solution, self.power)
        if self.best is not None and not objective < self.value * (1 - 1e-9):
            self.done = True
            return
        self.best, self.value, self._step = found, objective, self._step + 1
        if not np.isfinite(found.solution).all() or self._step == 8:
            self.done = True
            return
        modulus = np.abs(found.solution)
        weights = (modulus / modulus.max() + 10.0**-self._step) ** (self.power - 1)
        self.weights = weights / weights.max()


def _least_sums(signed: Inexact[np.ndarray, "n m"], weights: list[Float[np.ndarray, " m"]]) -> list[Margin]:
    """`least_sum` for each of the weights; real ones together by the dual simplex method, as far as it solves them."""
    samples, size = signed.shape
    if np.iscomplexobj(signed) or samples * samples * size > LARGEST_TABLEAU:
        return [least_sum(signed, each) for each in weights]
    found = []
    for each, rho, mu in zip(weights, *simplex.least_sums(signed, np.array(weights)), strict=True):
        certificate = certificates.margin_modulus(signed / each, rho * each, mu)
        if certificate <= SOLVED:
            found.append(Margin(rho, mu, float(each @ np.abs(rho)), certificate))
        else:
            found.append(least_sum(signed, each))
    return found


def quasi_norm(signed: Inexact[np.ndarray, "n m"], rho: Inexact[np.ndarray, " m"], power: float) -> float:
    """(sum_j |rho_j|^p)^{1/p} of rho scaled to minimum margin 1; inf if its margin is not positive."""
    margin = float((signed @ rho).real.min())
    if not margin > 0:
        return float("inf")
    modulus = np.abs(rho)
    largest = float(modulus.max())
    return float(largest / margin * ((modulus / largest) ** power).sum() ** (1 / power))
