"""A problem: a run before its flow, as theory and the integrator see it. Imports no JAX."""

import functools
import weakref
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Inexact

from kernels.data.kinds import Dataset
from kernels.losses import LOSSES, Loss
from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition
from kernels.networks.initialisations import initial_layers, seeded, unit_layers
from kernels.networks.keys import key
from kernels.networks.table import ARCHITECTURES, build, parameters_given
from kernels.spec import Descriptions, RunSpec

T = TypeVar("T")


class Shared:
    """Results that the problems of one batch share: each is computed once, and kept as long as one of them is."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._each: defaultdict[Hashable, Any] = defaultdict(weakref.WeakKeyDictionary)

    def once(self, make: Callable[..., T], *arguments: Hashable) -> T:
        """make(*arguments), computed once for equal arguments; data sets and networks are compared by identity."""
        return self.keep((make, *arguments), functools.partial(make, *arguments))

    def keep(self, asked: Hashable, make: Callable[[], T]) -> T:
        """make(), called once for each key `asked`."""
        if asked not in self._known:
            self._known[asked] = make()
        found: T = self._known[asked]
        return found

    def each(self, make: Callable[[list["Problem"]], list[T]], problems: Sequence["Problem"]) -> list[T]:
        """make(problems), one result a problem. It is called with those problems alone whose result is not known."""
        known = self._each[make]
        missing = [problem for problem in problems if problem not in known]
        if missing:
            known.update(zip(missing, make(missing), strict=True))
        return [known[problem] for problem in problems]


@dataclass(frozen=True, eq=False)
class Problem:
    """A run before its flow. Problems are compared by identity, so that what is derived from one can be kept."""

    spec: RunSpec
    dataset: Dataset
    architecture: Architecture
    """One object for all problems of a batch that have equal networks."""
    layers: tuple[np.ndarray, ...]
    """The layers at t = 0."""
    shared: Shared = field(default_factory=Shared, repr=False)
    """One object for all problems of a batch."""

    @property
    def loss(self) -> Loss:
        """The row of the run's loss."""
        return LOSSES[self.spec.loss]

    @property
    def regression(self) -> bool:
        """Whether the flow ends where X beta = y: the forces of its samples vanish there and nowhere else."""
        return self.loss.labels == "real"

    @property
    def exponential_tail(self) -> bool:
        """Whether forces tend to e^{-margin} as margins grow, which theory's limits in time assume."""
        return self.loss.tail is not None

    @property
    def depth(self) -> int:
        return self.architecture.depth

    @property
    def decomposition(self) -> Decomposition | None:
        """The network's orthogonal decomposition, shared by all problems of one network."""
        return self.architecture.decomposed

    @functools.cached_property
    def coordinates(self) -> Inexact[np.ndarray, "L m"] | None:
        """w_l(0) = U_l^T v_l(0), one row a layer; None without a decomposition."""
        return None if self.decomposition is None else np.array(self.decomposition.transform(self.layers))

    @functools.cached_property
    def scale(self) -> Float[np.ndarray, " m"] | None:
        """c, shape (m,), of a structured start: |w_l(0)| = c > 0 for l < L and w_L(0) = 0; None for other starts.

        c_j = alpha |eta_j| for `init: structured`. Signs of the hidden w_l do not matter, because rho = w_1 * ... * w_L
        moves on the same curve. Where the decomposition is complex, the values w_l(0) must be real.
        """
        return None if self.coordinates is None else _scales(self.coordinates[None])[0]

    @functools.cached_property
    def signs(self) -> Float[np.ndarray, " m"] | None:
        """Signs that rho_j keeps, shape (m,), for a start that one number c_j a coordinate describes; else None.

        There are two such starts. In a structured one (`scale`) no sign is kept: 0. In the other all layers are real
        and have one modulus, |w_l(0)| = c for all l: then rho_j keeps the sign that it starts with.
        """
        return None if self.coordinates is None else _signs(self.coordinates[None], [self.scale])[0]

    @functools.cached_property
    def eta(self) -> Float[np.ndarray, " m"] | None:
        """eta = c / alpha, shape (m,), for a start that one number a coordinate describes, as `signs`; else None.

        Mantissas are rounded to 12 decimals, so that eta is equal to the bit at every alpha.
        """
        if self.coordinates is None or self.signs is None:
            return None
        return rounded(np.abs(self.coordinates[0]), self.spec.alpha)

    @functools.cached_property
    def moves(self) -> bool:
        """Whether every coordinate can move: one in which two layers are zero rests for ever."""
        w = self.coordinates
        return w is not None and bool(((w == 0).sum(axis=0) <= 1).all())


def rounded(scale: Float[np.ndarray, "*b m"], alpha: float | Float[np.ndarray, "b 1"]) -> Float[np.ndarray, "*b m"]:
    mantissa, exponent = np.frexp(scale / alpha)
    return np.ldexp(np.round(mantissa, 12), exponent)


def _scales(w: Inexact[np.ndarray, "b L m"]) -> list[Float[np.ndarray, " m"] | None]:
    c = np.abs(w[:, 0])
    if w.shape[1] < 2:
        return [None] * len(w)
    hidden = (np.abs(np.abs(w[:, :-1]) - c[:, None]) <= 1e-10 * c[:, None]).all(axis=(1, 2))
    structured: Bool[np.ndarray, " b"] = hidden & (c.min(axis=1) > 0) & (np.abs(w[:, -1]) <= 1e-12 * c).all(axis=1)
    if np.iscomplexobj(w):
        structured &= (np.abs(w.imag) <= 1e-10 * c[:, None]).all(axis=(1, 2))
    return [row if right else None for row, right in zip(c, structured, strict=True)]


def _signs(
    w: Inexact[np.ndarray, "b L m"], scales: Sequence[Float[np.ndarray, " m"] | None]
) -> list[Float[np.ndarray, " m"] | None]:
    found = [None if scale is None else np.zeros(len(scale)) for scale in scales]
    if w.shape[1] < 2 or np.iscomplexobj(w):
        return found
    c = np.abs(w[:, 0])
    tied = (c.min(axis=1) > 0) & (np.abs(np.abs(w) - c[:, None]) <= 1e-10 * c[:, None]).all(axis=(1, 2))
    for place in np.flatnonzero(tied).tolist():
        found[place] = np.prod(np.sign(w[place]), axis=0)
    return found


def problem_of(spec: RunSpec, dataset: Dataset) -> Problem:
    """The problem of one run: its network and initial layers beside spec and data."""
    architecture = build(spec, dataset.x.shape[1])
    return Problem(spec, dataset, architecture, initial_layers(spec, architecture))


def problems_of(runs: Sequence[tuple[RunSpec, Dataset]]) -> list[Problem]:
    """The problems of one batch. Networks, draws and what is derived are made once for all runs that share them."""
    shared = Shared()
    networks = _networks(runs)
    problems: list[Problem | None] = [None] * len(runs)
    for architecture, indices in grouped(networks):
        specs = [runs[index][0] for index in indices]
        alphas = np.array([spec.alpha for spec in specs])
        units = _units(specs, architecture)
        layers = [alphas.reshape(-1, *(1,) * np.ndim(layer[0])) * np.array(layer) for layer in zip(*units, strict=True)]
        made = [
            Problem(*runs[index], architecture, each, shared)
            for index, each in zip(indices, zip(*layers, strict=True), strict=True)
        ]
        _prepare(made, architecture.decomposed, layers, alphas)
        for index, problem in zip(indices, made, strict=True):
            problems[index] = problem
    return [problem for problem in problems if problem is not None]


def grouped(keys: Iterable[T]) -> list[tuple[T, list[int]]]:
    """Each distinct key with the positions where it stands, in the order in which they first do."""
    places: dict[T, list[int]] = {}
    for place, value in enumerate(keys):
        places.setdefault(value, []).append(place)
    return list(places.items())


def _networks(runs: Sequence[tuple[RunSpec, Dataset]]) -> list[Architecture]:
    """The network of each run, one object for all that are equal."""
    known: dict[Hashable, Architecture] = {}
    distinct: dict[Hashable, Architecture] = {}
    texts, found = Descriptions(), []
    for spec, dataset in runs:
        name, dim = spec.architecture_name, dataset.x.shape[1]
        given = parameters_given(spec.architecture)
        # a user's own network is built for every seed, because its checks may look at the seed
        seed = spec.seed if name not in ARCHITECTURES or ARCHITECTURES[name].draws(given) else 0
        asked = (name, texts.json(given) if given else "", dim, spec.depth, spec.width, spec.filter, seed)
        if asked not in known:
            architecture = build(spec, dim)
            known[asked] = distinct.setdefault(key(architecture), architecture)
        found.append(known[asked])
    return found


def _units(specs: Sequence[RunSpec], architecture: Architecture) -> list[tuple[np.ndarray, ...]]:
    """Layers at scale 1, drawn once for runs that differ in alpha alone."""
    known: dict[Hashable, tuple[np.ndarray, ...]] = {}
    texts, found = Descriptions(), []
    for spec in specs:
        asked = (texts.json(spec.init), spec.seed if seeded(spec) else 0)
        if asked not in known:
            known[asked] = unit_layers(spec, architecture)
        found.append(known[asked])
    return found


def _prepare(
    problems: Sequence[Problem],
    decomposition: Decomposition | None,
    layers: Sequence[Float[np.ndarray, "b ..."]],
    alphas: Float[np.ndarray, " b"],
) -> None:
    """Fill the cached properties of problems of one network, computed for all at once."""
    if decomposition is None:
        return
    w = np.stack([v.astype(basis.dtype) @ basis for v, basis in zip(layers, decomposition.bases, strict=True)], axis=1)
    scales, moves = _scales(w), ((w == 0).sum(axis=1) <= 1).all(axis=1).tolist()
    signs, etas = _signs(w, scales), rounded(np.abs(w[:, 0]), alphas[:, None])
    for problem, *values in zip(problems, w, scales, moves, signs, etas, strict=True):
        vars(problem).update(zip(("coordinates", "scale", "moves", "signs", "eta"), values, strict=True))
        if problem.signs is None:
            vars(problem)["eta"] = None
