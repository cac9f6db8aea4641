"""The runs of a grid, one at a time: a product is never held in memory, what repeats is computed once."""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from kernels.networks.table import ARCHITECTURES, architecture_class
from kernels.room import compile_key
from kernels.spec import AXES, DEFAULTS, InputError, RunSpec, canonical_json, fragment, run_id
from kernels.validate import canonicalise, check_parts, check_reach, reach_varies
from sweep.grid.blocks import MISSING, Block, Factor, Filter
from sweep.grid.catalogue import Catalogue, Entry, description_key
from sweep.grid.checks import LEAST_SCALE, is_at_rest
from sweep.grid.grid import Grid
from sweep.grid.mistakes import Mistakes
from sweep.grid.source import Place
from sweep.grid.values import MAPPINGS

INNER = tuple(name for name, axis in AXES.items() if axis.inner)
OPTIONAL = tuple(name for name, axis in AXES.items() if axis.optional)

AT_REST = f"alpha: alpha^(depth - 1) is below {LEAST_SCALE:g}, which has no square in double precision; write more"

CACHE = 50_000
"""Structures remembered at most."""


@dataclass(frozen=True)
class Structure:
    """Everything of a run but its alpha and seed.

    Attributes:
        spec: a run with this structure.
        entry: its data set.
        fragments: parts of the identity; alpha and seed are filled in per run.
        drawn: whether anything is drawn from the seed.
        ignored: for each axis that was written but that this structure lacks, the rule by which it is dropped.
        names: values of names in expressions; alpha and seed are filled in per run.
        key: the compile key, as JSON.
        narrow: whether it depends on the seed if the network can fit or separate the data.
    """

    spec: RunSpec
    entry: Entry
    fragments: dict[str, str]
    drawn: bool
    ignored: Mapping[str, str]
    names: dict[str, Any]
    key: str
    narrow: bool

    @property
    def seed_rule(self) -> str:
        return f"seed: nothing is drawn by {self.spec.architecture_name} with init {self.spec.init_name}"


class Candidate(NamedTuple):
    """One combination that is a run; several may be the same run."""

    structure: Structure
    alpha: float
    alpha_fragment: str
    seed: int
    seed_fragment: str

    @property
    def spec(self) -> RunSpec:
        return replace(self.structure.spec, alpha=self.alpha, seed=self.seed)

    @property
    def run_id(self) -> str:
        """As `spec.run_id`, from fragments that are computed once."""
        parts = self.structure.fragments
        parts["alpha"], parts["seed"] = self.alpha_fragment, self.seed_fragment
        return run_id(parts)


class Dead(NamedTuple):
    """A row of a factor of which no combination can run, and why the first one cannot."""

    place: Place
    axes: tuple[str, ...]
    message: str


@dataclass
class Audit:
    """What an enumeration dropped, by rule, and the mistakes that only combinations show."""

    dropped: Counter[str] = field(default_factory=Counter)
    mistakes: Mistakes = field(default_factory=Mistakes)
    alive: set[tuple[Place, int]] = field(default_factory=set)
    dead: dict[tuple[Place, int], Dead] = field(default_factory=dict)
    owned: set[tuple[Place, str]] = field(default_factory=set)
    idle: dict[tuple[Place, str], str] = field(default_factory=dict)
    faults: set[str] = field(default_factory=set)
    """Why combinations cannot be judged, each a mistake noted at its own place: they speak against no other value."""


class Expansion:
    """The runs of a grid in a fixed order, as often as they are asked for."""

    def __init__(self, grid: Grid):
        self.grid = grid
        self.catalogue = Catalogue(grid.source.base, grid.code)
        self._checked: dict[tuple[Hashable, ...], str | None] = {}

    def candidates(self, audit: Audit | None = None) -> Iterator[Candidate]:
        """Every combination that passes the filters. Raises GridError at the end if the audit finds mistakes."""
        audit = audit or Audit()
        for block in self.grid.blocks:
            for filtered in block.filters:
                audit.dropped[filtered.rule] += 0
            yield from self._block(block, audit)
        self._report(audit)
        audit.mistakes.check()

    def _block(self, block: Block, audit: Audit) -> Iterator[Candidate]:
        outer = [factor for factor in block.factors if not set(factor.axes) <= set(INNER)]
        inner = [factor for factor in block.factors if set(factor.axes) <= set(INNER)]
        size = math.prod(map(len, inner))
        cheap = [f for f in block.filters if not f.expression.names & set(INNER)]
        costly = [f for f in block.filters if f.expression.names & set(INNER)]
        cache: dict[tuple[Hashable, ...], Structure | str] = {}
        keys = [_keys(factor) for factor in outer]
        reasons: list[str] = []
        kept = 0
        for rows in itertools.product(*(range(len(factor)) for factor in outer)):
            key = tuple(column(row) for column, row in zip(keys, rows, strict=True))
            found = cache.get(key)
            raw: dict[str, Any] = {}
            if found is None or len(inner) < len(INNER):
                raw = _raw(outer, rows)
            if found is None:
                if len(cache) >= CACHE:
                    cache.clear()
                with self.grid.code.found():
                    found = cache[key] = self._structure(raw, block, audit)
            _mark(outer, rows, found, audit)
            if isinstance(found, str):
                audit.dropped[found] += size
                reasons.append(found) if len(reasons) < 3 else None
                kept += found in audit.faults
                continue
            kept += 1
            rule = next((f.rule for f in cheap if not self._passes(f, found.names, audit)), None)
            yield from self._inner(found, raw, inner, costly, audit) if rule is None else _drop(audit, rule, size)
        if not kept and not any(dead.place[: len(block.place)] == block.place for dead in audit.dead.values()):
            where = self.grid.source.where(block.place)
            audit.mistakes.add(where, f"no combination of this block can run: {'; '.join(dict.fromkeys(reasons))}")

    def _inner(
        self, structure: Structure, raw: Mapping[str, Any], inner: Sequence[Factor], filters: Any, audit: Audit
    ) -> Iterator[Candidate]:
        """Every alpha and seed of one structure."""
        names = structure.names
        spec = structure.spec
        for alpha, seed in _alphas_and_seeds(structure, raw, inner, audit):
            if is_at_rest(spec.task, spec.depth, alpha):
                audit.dropped[AT_REST] += 1
                continue
            if not structure.drawn:
                seed = 0
            if structure.narrow:
                with self.grid.code.found():
                    problem = self._reach(replace(spec, seed=seed), structure.entry)
                if problem is not None:
                    audit.dropped[problem] += 1
                    continue
            names["alpha"], names["seed"] = alpha, seed
            for filtered in filters:
                if not self._passes(filtered, names, audit):
                    audit.dropped[filtered.rule] += 1
                    break
            else:
                yield Candidate(structure, alpha, _fragment("alpha", alpha), seed, _fragment("seed", seed))

    def _passes(self, filtered: Filter, names: Mapping[str, Any], audit: Audit) -> bool:
        """Whether a filter lets a combination through; one that cannot be evaluated is a mistake."""
        try:
            return filtered.expression.holds(names) != (filtered.kind == "exclude")
        except InputError as error:
            audit.mistakes.add(self.grid.source.where(filtered.place), f"{filtered.kind}: {error}")
            return False

    def _structure(self, raw: Mapping[str, Any], block: Block, audit: Audit) -> Structure | str:
        """The structure of one combination, or the rule by which it is dropped."""
        axes = {axis: value for axis, value in raw.items() if axis not in INNER}
        try:
            entry = self.catalogue.entry(axes["task"], axes["data"], description_key(axes["data"]))
        except InputError as error:
            audit.mistakes.add(self.grid.source.where(_place(block, "data", axes["data"])), str(error))
            audit.faults.add(str(error))
            return str(error)
        try:
            spec = canonicalise({**axes, "data": entry.data, "alpha": 1.0, "seed": 1}, entry.dim)
            problem = self._check(spec, entry)
            narrow = problem is None and reach_varies(spec, entry.dim)
            if problem is None and not narrow:
                problem = self._reach(spec, entry)
        except InputError as error:
            problem = str(error)
        if problem is not None:
            return problem
        names = {**spec.to_dict(), "init": spec.init_name, "data": entry.label}
        names.update(architecture=spec.architecture_name, dataset=entry.name, dim=entry.dim, samples=entry.samples)
        fragments = {
            axis: entry.fragment if axis == "data" else fragment(axis, value) for axis, value in spec.identity().items()
        }
        ignored = {
            axis: _lacking(axis, spec)
            for axis in OPTIONAL
            if axes.get(axis, MISSING) not in (MISSING, None) and getattr(spec, axis) is None
        }
        key = canonical_json(list(compile_key(spec, entry.dim, entry.samples)))
        return Structure(spec, entry, fragments, spec.seed == 1, ignored, names, key, narrow)

    def _check(self, spec: RunSpec, entry: Entry) -> str | None:
        """Why network and initialisation do not go together, if so; once per distinct combination."""
        return self._found((*_parts(spec), entry.dim, entry.samples), lambda: check_parts(spec, entry.dim))

    def _reach(self, spec: RunSpec, entry: Entry) -> str | None:
        """Why the network cannot fit or separate the data from its start, if so; once per distinct combination."""
        key = (*_parts(spec), entry.fragment, spec.seed)
        return self._found(key, lambda: check_reach(spec, self.catalogue.dataset(entry)))

    def _found(self, key: tuple[Hashable, ...], check: Callable[[], None]) -> str | None:
        """The message of a check, kept."""
        if key not in self._checked:
            if len(self._checked) >= CACHE:
                self._checked.clear()
            try:
                check()
                self._checked[key] = None
            except InputError as error:
                self._checked[key] = str(error)
        return self._checked[key]

    def _report(self, audit: Audit) -> None:
        """Values of which no combination can run, and axes that no architecture of their block has."""
        source = self.grid.source
        reasons: dict[str, Dead] = {}
        for key, dead in audit.dead.items():
            if key not in audit.alive:
                named = dead.message.partition(":")[0] in dead.axes
                reasons[dead.message] = dead if named else reasons.get(dead.message, dead)
        for message, dead in reasons.items():
            audit.mistakes.add(source.where(dead.place), message)
        for (place, axis), rule in audit.idle.items():
            if (place, axis) not in audit.owned:
                having = [name for name, network in ARCHITECTURES.items() if axis in network.uses]
                audit.mistakes.add(source.where(place), f"{rule}; remove it, or add one of {', '.join(having)}")


def _parts(spec: RunSpec) -> tuple[Hashable, ...]:
    """What network and start are made of."""
    network, init = fragment("architecture", spec.architecture), fragment("init", spec.init)
    return (network, spec.depth, spec.width, spec.filter, init, spec.loss)


def _drop(audit: Audit, rule: str, size: int) -> Iterator[Candidate]:
    audit.dropped[rule] += size
    return iter(())


def _raw(factors: Sequence[Factor], rows: Sequence[int]) -> dict[str, Any]:
    return {
        axis: column[row]
        for factor, row in zip(factors, rows, strict=True)
        for axis, column in zip(factor.axes, factor.columns, strict=True)
        if column[row] is not MISSING
    }


def _keys(factor: Factor) -> Any:
    """Row of a factor -> key: two rows with equal keys give the same structure (all axes but alpha and seed)."""
    columns = [column for axis, column in zip(factor.axes, factor.columns, strict=True) if axis not in INNER]
    mapped = [column for axis, column in zip(factor.axes, factor.columns, strict=True) if axis in MAPPINGS]
    if any(isinstance(value, Mapping) for column in mapped for value in column):
        return lambda row: row
    return lambda row: tuple(column[row] for column in columns)


def _alphas_and_seeds(
    structure: Structure, raw: Mapping[str, Any], inner: Sequence[Factor], audit: Audit
) -> Iterator[tuple[float, int]]:
    """Pairs in order; where nothing is drawn, one seed stands for all."""
    columns: dict[str, Sequence[Any]] = {axis: [raw.get(axis, DEFAULTS[axis])] for axis in INNER}
    for factor in inner:
        if len(factor.axes) == 2:
            pairs = dict(zip(factor.axes, factor.columns, strict=True))
            for alpha, seed in zip(pairs["alpha"], pairs["seed"], strict=True):
                yield _number(alpha, "alpha"), _number(seed, "seed")
            return
        columns[factor.axes[0]] = factor.columns[0]
    seeds = columns["seed"]
    if not structure.drawn and len(seeds) > 1:
        audit.dropped[structure.seed_rule] += (len(seeds) - 1) * len(columns["alpha"])
        seeds = seeds[:1]
    for alpha in columns["alpha"]:
        value = _number(alpha, "alpha")
        for seed in seeds:
            yield value, _number(seed, "seed")


def _number(value: Any, axis: str) -> Any:
    value = DEFAULTS[axis] if value is MISSING else value
    return float(value) if axis == "alpha" else value


@functools.lru_cache(maxsize=1 << 17)
def _fragment(axis: str, value: float) -> str:
    return fragment(axis, value)


def _lacking(axis: str, spec: RunSpec) -> str:
    if axis in architecture_class(spec.architecture_name).uses:
        return f"{axis}: no hidden layer at depth {spec.depth}"
    return f"{axis}: not an axis of {spec.architecture_name}"


def _place(block: Block, axis: str, value: Any) -> Place:
    """Where a value of an axis was written."""
    for factor in block.factors:
        if axis in factor.axes:
            column = factor.columns[factor.axes.index(axis)]
            return factor.place(next((n for n, other in enumerate(column) if other is value), 0))
    return block.place


def _mark(factors: Sequence[Factor], rows: Sequence[int], found: Structure | str, audit: Audit) -> None:
    """Note which rows take part in a run, and which optional axes a network has."""
    good, unknown = not isinstance(found, str), isinstance(found, str) and found in audit.faults
    for factor, row in zip(factors, rows, strict=True):
        key = (factor.places[0], row)
        if good or unknown:
            if not factor.drawn:
                audit.alive.add(key)
        elif not factor.drawn:
            audit.dead.setdefault(key, Dead(factor.place(row), factor.axes, str(found)))
        for axis, column in zip(factor.axes, factor.columns, strict=True):
            if good and axis in OPTIONAL and column[row] not in (MISSING, None):
                assert isinstance(found, Structure)
                if axis in found.ignored:
                    audit.idle.setdefault((factor.places[0], axis), found.ignored[axis])
                else:
                    audit.owned.add((factor.places[0], axis))


__all__ = ["Audit", "Candidate", "Expansion", "Structure"]
