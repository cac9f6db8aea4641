"""Least squares on sets of columns that change by one column at a time, many sets at once.

For the columns A_S of one set the pseudo-inverse N = A_S^+ is kept. A column a joins by its part q h, ||q|| = 1, that
is orthogonal to the others: N loses (N a) q^T / h and gains the row q^T / h. A column leaves by its own row of N, which
is orthogonal to the others: they lose their parts along it. So every change costs one product with N, where a new
factorisation would cost as many as there are columns. What rounding has done to N is mended in two ways. Each fit is
refined once with N. That takes away errors along the columns, but where rows of N have left the span of the columns, as
after a nearly dependent column has come and gone, the residual that it ends at is not orthogonal to them. So N is
computed again where the step of refinement is not small, and where the refined residual still pulls at a column. While
columns are nearly dependent no N in doubles has its rows in the span; there the factorisation that gave the new N also
makes the residual orthogonal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

DEPENDENT = 1e-8
"""Columns of which at most this share of the largest is orthogonal to the others are judged by singular values."""

SMALL = 1e-3
"""Residuals below this share of what they are computed from are computed in extended precision."""

ROUGH = 1e-8
"""A refinement that changes the residual by more than this share of what is fitted asks for a new pseudo-inverse."""

PULL = 1e-12
"""So does a refined residual r with |a_j^T r| above this share of ||a_j|| times what is fitted, for an a_j held."""


class _Fit(NamedTuple):
    """k in the slots, y - A k, and ||r_0||^2 (`ColumnFits`)."""

    values: Float[np.ndarray, "a s"]
    residual: Float[np.ndarray, "a n"]
    whole: Float[np.ndarray, " a"]


@dataclass
class ColumnFits:
    """argmin ||A k - y|| over k that is zero off a set, one set a row. Columns of a set stand in slots.

    Where little of y is left, as where targets are rounded, y - A k in doubles has few correct digits. So what is
    fitted is r_0 = y - A k_0, computed in extended precision (where numpy has it) from an earlier fit k_0.

    Attributes:
        a, y: A and y, the same for all rows.
        norms: the norms of the columns of A, and 0 at m, for free slots.
        place: coordinate in each slot, m where the slot is free, shape (b, s).
        columns: the columns in the slots, zero where free, shape (b, s, n).
        inverse: N, zero rows where free, shape (b, s, n).
        origin, left: k_0 and r_0, shapes (b, s) and (b, n).
        rounding: the rounding of r_0 by extended precision, absolute; 0 where k_0 = 0. Shape (b,).
        longest: the largest norm of a column that the row has held, shape (b,).
    """

    a: Float[np.ndarray, "n m"]
    y: Float[np.ndarray, " n"]
    norms: Float[np.ndarray, " m+1"]
    place: Int[np.ndarray, "b s"]
    columns: Float[np.ndarray, "b s n"]
    inverse: Float[np.ndarray, "b s n"]
    origin: Float[np.ndarray, "b s"]
    left: Float[np.ndarray, "b n"]
    rounding: Float[np.ndarray, " b"]
    longest: Float[np.ndarray, " b"]

    @classmethod
    def empty(cls, a: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], count: int) -> "ColumnFits":
        """`count` rows without columns."""
        (samples, size), slots = a.shape, min(a.shape)
        return cls(
            a, y, np.append(np.sqrt(_square(a.T)), 0.0), np.full((count, slots), size),
            np.zeros((count, slots, samples)), np.zeros((count, slots, samples)),
            np.zeros((count, slots)), np.repeat(y[None], count, axis=0), np.zeros(count), np.zeros(count),
        )  # fmt: skip

    def of(self, index: Int[np.ndarray, " a"]) -> "ColumnFits":
        """Some of the rows."""
        rows = (self.place, self.columns, self.inverse, self.origin, self.left, self.rounding, self.longest)
        return ColumnFits(self.a, self.y, self.norms, *(values[index] for values in rows))

    @property
    def held(self) -> Bool[np.ndarray, "b s"]:
        """Which slots hold a column."""
        return self.place < self.a.shape[1]

    def at_slots(self, values: Float[np.ndarray, "b m"]) -> Float[np.ndarray, "b s"]:
        """The values of the coordinates in the slots; 0 where a slot is free."""
        padded = np.concatenate([values, np.zeros((len(values), 1))], axis=1)
        return np.take_along_axis(padded, self.place, axis=1)

    def at_coordinates(self, values: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b m"]:
        """The values in the slots at their coordinates; 0 elsewhere."""
        padded = np.zeros((len(values), self.a.shape[1] + 1))
        np.put_along_axis(padded, self.place, values, axis=1)
        return padded[:, :-1]

    def join(self, coordinates: Int[np.ndarray, " b"]) -> Bool[np.ndarray, " b"]:
        """Add a column to each row. False where it depends on the others or finds no slot: such a row must be `set`."""
        free, each = ~self.held, np.arange(len(self.place))
        slot = free.argmax(axis=1)
        some = slice(int(slot.max()) + 1)
        columns, inverse, new = self.columns[:, some], self.inverse[:, some], self.a.T[coordinates]
        along = _times(inverse, new)
        apart = new - _combined(columns, along)
        again = _times(inverse, apart)  # twice is enough (Kahan; Parlett, The Symmetric Eigenvalue Problem, 6.9)
        along, apart = along + again, apart - _combined(columns, again)
        height = _square(apart)
        self.longest = np.maximum(self.longest, self.norms[coordinates])
        sound: Bool[np.ndarray, " b"] = free[each, slot] & (height > (DEPENDENT * self.longest) ** 2)
        row = apart / np.where(sound, height, 1.0)[:, None]
        inverse -= np.einsum("bs,bn->bsn", along, row)
        self.inverse[each, slot], self.columns[each, slot] = row, new
        self.place[each, slot], self.origin[each, slot] = coordinates, 0.0
        return sound

    def leave(
        self, rows: Int[np.ndarray, " a"], slot: Int[np.ndarray, " a"], values: Float[np.ndarray, "a s"]
    ) -> Float[np.ndarray, "a s"]:
        """Take the column in one slot of each of these rows away: their fits from those with it, not refined."""
        each = np.arange(len(rows))
        own, inverse = self.inverse[rows, slot], self.inverse[rows]
        along = _times(inverse, own) / _square(own)[:, None]
        self.inverse[rows] = inverse - np.einsum("as,an->asn", along, own)
        self.left[rows] += self.origin[rows, slot][:, None] * self.columns[rows, slot]
        self.inverse[rows, slot], self.columns[rows, slot] = 0.0, 0.0
        self.place[rows, slot], self.origin[rows, slot] = self.a.shape[1], 0.0
        rest = values - along * values[each, slot, None]
        rest[each, slot] = 0.0
        return rest

    def set(self, row: int, coordinates: Sequence[int] | Int[np.ndarray, " k"]) -> None:
        """Give one row these columns, which must be independent."""
        count = len(coordinates)
        self.place[row], self.columns[row], self.origin[row] = self.a.shape[1], 0.0, 0.0
        self.place[row, :count], self.columns[row, :count] = coordinates, self.a.T[coordinates]
        self.left[row], self.rounding[row] = self.y, 0.0
        self._invert(row)

    def fit(self, rows: Int[np.ndarray, " a"]) -> tuple[Float[np.ndarray, "a s"], Float[np.ndarray, "a n"]]:
        """(k in the slots, y - A k) of these rows; y - A k is 0 where as many columns as samples fit all."""
        values, residual, whole = self._refined(rows)
        fitted = self.held[rows].sum(axis=1) == len(self.y)
        small = (_square(residual) <= SMALL**2 * whole) & ~fitted
        if small.any():
            again = rows[small]
            self._begin_at(again, values[small])
            values[small], residual[small], _ = self._refined(again)
        if fitted.any():
            residual[fitted] = 0.0
        return values, residual

    def _refined(self, rows: Int[np.ndarray, " a"]) -> "_Fit":
        found, rough = self._solved(rows)
        if rough.any():
            bases = {place: self._invert(int(rows[place])) for place in np.flatnonzero(rough).tolist()}
            found, _ = self._solved(rows)
            for place, basis in bases.items():
                along = basis @ (basis.T @ found.residual[place])
                found.values[place] += self.inverse[rows[place]] @ along
                found.residual[place] -= along
        return found

    def _solved(self, rows: Int[np.ndarray, " a"]) -> tuple["_Fit", Bool[np.ndarray, " a"]]:
        """The fits, and whether N is not good enough: refinement changed much, or the residual pulls at a column."""
        columns, inverse, left, place = self.columns, self.inverse, self.left, self.place
        if len(rows) < len(left):
            columns, inverse, left, place = columns[rows], inverse[rows], left[rows], place[rows]
        change = _times(inverse, left)
        residual = left - _combined(columns, change)
        more = _times(inverse, residual)
        moved, whole = _combined(columns, more), _square(left)
        found = _Fit(self.origin[rows] + (change + more), residual - moved, whole)
        pulls = np.abs(_times(columns, found.residual)) > self.norms[place] * (PULL * np.sqrt(whole))[:, None]
        return found, (_square(moved) > ROUGH**2 * whole) | pulls.any(axis=1)

    def _begin_at(self, rows: Int[np.ndarray, " a"], values: Float[np.ndarray, "a s"]) -> None:
        """Let k_0 be these values."""
        columns = self.columns[rows]
        fitted = (values.astype(np.longdouble)[:, None, :] @ columns.astype(np.longdouble))[:, 0, :]
        exact = self.y.astype(np.longdouble) - fitted
        terms = np.sqrt(_square(np.abs(self.y) + _combined(np.abs(columns), np.abs(values))))
        self.origin[rows], self.left[rows] = values, exact.astype(float)
        self.rounding[rows] = np.finfo(np.longdouble).eps * terms

    def _invert(self, row: int) -> Float[np.ndarray, "n k"]:
        """Compute N of one row again; an orthonormal basis of its columns."""
        held = self.held[row]
        basis, triangle = np.linalg.qr(self.columns[row, held].T)
        self.inverse[row] = 0.0
        self.inverse[row, held] = np.linalg.solve(triangle, basis.T)
        return basis


def _times(matrix: Float[np.ndarray, "b s n"], vectors: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b s"]:
    return np.asarray((matrix @ vectors[:, :, None])[:, :, 0])


def _combined(columns: Float[np.ndarray, "b s n"], values: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b n"]:
    """A_S k of each row."""
    return np.asarray((values[:, None, :] @ columns)[:, 0, :])


def _square(vectors: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
    """||v||^2 of each row."""
    return np.asarray(np.vecdot(vectors, vectors))
