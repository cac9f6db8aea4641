"""Extrapolated linearly implicit Euler for gradient systems driven by few forces."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS, AbstractSolver, AbstractTerm, LocalLinearInterpolation
from jaxtyping import Array, Float, Int

from kernels.x64 import jax

SMALL_CONTRACTION = 4096
"""Multiplications up to which a product of matrices is written out."""

_NOISE = 30
"""Times what one rounding of each force gives the error estimate; substeps and products add theirs. More is error."""

Damps = Literal["parameters", "forces"]
Vector = Float[Array, " P"]
Forces = Float[Array, " n"]
Push = Callable[[Forces], Vector]
Move = Callable[[Float[Array, "r P"], Float[Array, " r"], Int[Array, " r"]], Float[Array, "r P"]]


class Stiffness(NamedTuple):
    """What the solver freezes over a step, at its start.

    Attributes:
        curvature: C with -dg/d(outputs) = C^T C.
        jacobian: J, of the outputs.
        bend: (v, g) -> (half the second derivative of the outputs along v, derivative of J J^T g along v with g held).
        rounding: size of the errors that rounding leaves in g.
    """

    curvature: Float[Array, "m n"]
    jacobian: Float[Array, "n P"]
    bend: Callable[[Vector, Forces], tuple[Forces, Forces]]
    rounding: Any


class ExtrapolatedEuler(AbstractSolver[Vector]):
    """Linearly implicit Euler with 1, 2, ..., K substeps, extrapolated to order K, for flows driven by few forces.

    For dy/dt = J(y)^T g(y) + (what is not stiff) on flat vectors, with n << P forces g that answer to the outputs of
    which J is the Jacobian: the stiff part of the right-hand side's Jacobian is -J^T D J, with D = C^T C >= 0 of shape
    (n, n). C and J are frozen over the step, and a substep of length c damps what is stiff in one of two places:

        parameters:  y + c (I + c J_0^T D J_0)^{-1} J(y)^T g(y)
        forces:      y + c J(y)^T (I + c D J_0 J_0^T)^{-1} (g(y) - c D (c a + t b))

    The first is a W-method. It damps rounding too where large forces all but cancel in J^T g: near saddles. The second
    lets the stiff directions turn within the step, and takes from the forces what the outputs will do while they do:
    half their second derivative a, and the drift b of J J^T g, both along the velocity. That counts where two-layer
    networks classify to -log Loss = 1e6 and on (a test holds how much of the error it takes). Either substep is a
    consistent one-step method, smooth in c, whatever is frozen:
    so the order is K. One eigendecomposition of C J_0 J_0^T C^T a step serves all substeps, and no P x P matrix is
    formed: O(K^2 n P) time a step by the first, K^2 times what one gradient costs by the second. The error estimate is
    the difference of the last two entries of the extrapolation table, less what rounding must leave in it.

    The solver's state is f(t0, y0).

    Reference: Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.9 (SEULEX), with the harmonic
    sequence; for the expansion in c, theorem II.8.1 of volume I.

    Attributes:
        force: (t, y, args) -> (g, push) with f(t, y) = push(g), push affine.
        stiffness: (t, y, args) -> Stiffness.
        damps: "forces" or "parameters".
        columns: K >= 2.
    """

    force: Callable[[Any, Vector, Any], tuple[Forces, Push]]
    stiffness: Callable[[Any, Vector, Any], Stiffness]
    damps: Damps = "parameters"
    columns: int = 8

    term_structure: ClassVar = AbstractTerm
    interpolation_cls: ClassVar[Callable[..., LocalLinearInterpolation]] = LocalLinearInterpolation

    def __check_init__(self) -> None:
        if self.columns < 2:
            raise ValueError(f"columns is {self.columns}; an error estimate needs 2 or more")

    def order(self, terms: Any) -> int:
        return self.columns

    def init(self, terms: Any, t0: Any, t1: Any, y0: Vector, args: Any) -> Vector:
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Vector, args: Any, solver_state: Vector, made_jump: Any
    ) -> tuple[Vector, Vector, dict[str, Vector], Vector, Any]:
        lengths = (t1 - t0) / jnp.arange(1.0, self.columns + 1)
        stiff = self.stiffness(t0, y0, args)
        factor = stiff.curvature @ stiff.jacobian
        eigenvalues, rotation = jnp.linalg.eigh(_contract(factor, factor))
        eigenvalues = jnp.maximum(eigenvalues, 0)
        spectrum = _Spectrum(lengths, eigenvalues, rotation, rotation.T @ factor)
        if self.damps == "forces":
            move, firsts = self._by_forces(stiff, spectrum, t0, y0, args)
        else:
            move, firsts = self._by_parameters(spectrum, t0, y0, args, solver_state)
        schedule = _schedule(self.columns)

        # increments, not states: the table's weights, of order e^K, then amplify the rounding of the change alone
        def substep(z: Float[Array, "r P"], row: tuple[Any, ...]) -> tuple[Float[Array, "r P"], Float[Array, "r P"]]:
            column, number = row
            z = jnp.where((number == 1)[:, None], firsts[column], z)
            z = z + move(z, number.astype(float) * lengths[column], column)
            return z, z

        _, history = jax.lax.scan(substep, firsts[schedule.column[0]], (schedule.column, schedule.number))
        increment, error = _extrapolate([firsts[0], *(history[place] for place in schedule.ends)])
        y1 = y0 + increment
        noise = _NOISE * np.linalg.norm(_weights(self.columns)) * stiff.rounding * _spread(spectrum)
        error = jnp.sign(error) * jnp.maximum(jnp.abs(error) - noise, 0)
        return y1, error, {"y0": y0, "y1": y1}, terms.vf(t1, y1, args), RESULTS.successful

    def _by_parameters(
        self, spectrum: "_Spectrum", t0: Any, y0: Vector, args: Any, velocity: Vector
    ) -> tuple[Move, Float[Array, "K P"]]:
        """(increments of substeps, first increment of each column) of the W-method."""
        lengths, basis = spectrum.lengths, spectrum.basis

        def damp(slopes: Float[Array, "r P"], column: Int[Array, " r"]) -> Float[Array, "r P"]:
            right = lengths[column][:, None] * slopes
            return right - _contract(_contract(right, basis) * spectrum.damping[column], basis.T)

        def slope(z: Vector, elapsed: Any) -> Vector:
            g, push = self.force(t0 + elapsed, y0 + z, args)
            return push(g)

        firsts = damp(jnp.broadcast_to(velocity, (self.columns, y0.size)), jnp.arange(self.columns))
        return lambda z, elapsed, column: damp(jax.vmap(slope)(z, elapsed), column), firsts

    def _by_forces(
        self, stiff: Stiffness, spectrum: "_Spectrum", t0: Any, y0: Vector, args: Any
    ) -> tuple[Move, Float[Array, "K P"]]:
        """(increments of substeps, first increment of each column) of the method that lets stiff directions turn."""
        lengths = spectrum.lengths
        left = stiff.curvature.T @ spectrum.rotation
        right = _contract(spectrum.basis, stiff.jacobian)

        def damp(g: Forces, damping: Float[Array, " m"]) -> Forces:
            return g - _apply(left, damping * _apply(right, g))

        g0, push0 = self.force(t0, y0, args)
        steady = damp(g0, spectrum.damping[0])
        answers = (stiff.curvature.T @ (stiff.curvature @ part) for part in stiff.bend(push0(steady), steady))
        lag, drift = (jax.vmap(functools.partial(damp, answer))(spectrum.damping) for answer in answers)

        def first(column: Any) -> Vector:
            return lengths[column] * push0(damp(g0, spectrum.damping[column]) - lengths[column] ** 2 * lag[column])

        def move(z: Vector, elapsed: Any, column: Any) -> Vector:
            g, push = self.force(t0 + elapsed, y0 + z, args)
            ahead = lengths[column] * (lengths[column] * lag[column] + elapsed * drift[column])
            return lengths[column] * push(damp(g, spectrum.damping[column]) - ahead)

        return jax.vmap(move), jax.vmap(first)(jnp.arange(self.columns))

    def func(self, terms: Any, t0: Any, y0: Vector, args: Any) -> Vector:
        return terms.vf(t0, y0, args)


class _Spectrum(NamedTuple):
    """C J J^T C^T = Q diag(lambda) Q^T, the basis Q^T C J of what is stiff, and lengths h / 1, ..., h / K."""

    lengths: Float[Array, " K"]
    eigenvalues: Float[Array, " m"]
    rotation: Float[Array, "m m"]
    basis: Float[Array, "m P"]

    @property
    def damping(self) -> Float[Array, "K m"]:
        """c / (1 + c lambda) for every length c."""
        return self.lengths[:, None] / (1 + self.lengths[:, None] * self.eigenvalues[None, :])


def _spread(spectrum: _Spectrum) -> Vector:
    """What unit errors of the forces come to in each entry of y over the shortest substep."""
    return jnp.sqrt(jnp.sum((spectrum.damping[-1][:, None] * spectrum.basis) ** 2, axis=0))


class _Schedule(NamedTuple):
    """Which substep each row takes when: columns of j + 1 and of K - j substeps share a row, so that none idles.

    Attributes:
        column: column that row r works on in iteration i, shape (i, r).
        number: substeps of it done before, shape (i, r); 1 where the column starts (its first is shared by all).
        ends: (iteration, row) in which columns 1, 2, ... end.
    """

    column: Int[np.ndarray, "i r"]
    number: Int[np.ndarray, "i r"]
    ends: tuple[tuple[int, int], ...]


@functools.cache
def _schedule(columns: int) -> _Schedule:
    last = columns - 1
    pairs = [(column, last - column) for column in range(last, (last - 1) // 2, -1)]
    rows = [[column] if other in (0, column) else [column, other] for column, other in pairs]
    work = [[(column, number) for column in row for number in range(1, column + 1)] for row in rows]
    # a row with nothing left repeats its last substep, which nobody reads
    padded = np.array([row + row[-1:] * (last - len(row)) for row in work])
    place = {step: (i, r) for r, row in enumerate(work) for i, step in enumerate(row)}
    ends = tuple(place[column, column] for column in range(1, columns))
    return _Schedule(padded[:, :, 0].T, padded[:, :, 1].T, ends)


def _contract(left: Float[Array, "i k"], right: Float[Array, "j k"]) -> Float[Array, "i j"]:
    """left right^T; small ones as multiply and sum, which XLA fuses where it would call GEMM for each of a batch."""
    if left.shape[1] * right.size < SMALL_CONTRACTION:
        return jnp.sum(left[:, None, :] * right[None, :, :], axis=-1)
    return left @ right.T


def _apply(matrix: Float[Array, "i k"], vector: Float[Array, " k"]) -> Float[Array, " i"]:
    """matrix vector; small ones as `_contract`."""
    if matrix.size < SMALL_CONTRACTION:
        return jnp.sum(matrix * vector[None, :], axis=-1)
    return matrix @ vector


def _extrapolate(ends: list[Any]) -> tuple[Any, Any]:
    """Aitken-Neville to zero substep length; the last entry and its difference from the one before."""
    table, last = list(ends), ends[-1]
    for order in range(1, len(ends)):
        last = table[-1]
        table = [table[i + 1] + (table[i + 1] - table[i]) * ((i + 1) / order) for i in range(len(table) - 1)]
    return table[0], table[0] - last


def _weights(columns: int) -> Float[np.ndarray, " K"]:
    """Weights of the columns in the error estimate."""
    weights: Float[np.ndarray, " K"] = _extrapolate(list(np.eye(columns)))[1]
    return weights
