"""Ends of regression against 160-digit arithmetic: no run from small weights is wrong, and none is silent about it."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.integrator.ensemble import End
from kernels.integrator.passage import integrate
from kernels.observables import OBSERVABLES
from kernels.problem import Problem, grouped, problems_of
from kernels.results import RunResult
from kernels.room import Room
from kernels.simulate import simulate
from kernels.spec import InputError, RunSpec
from kernels.validate import check_compatible
from tests.kernels.conftest import spec_of
from tests.kernels.limits import context, exact, limit_of

pytestmark = pytest.mark.slow
RUNS = 400
COMPLEX_RUNS = 60
TOLERANCE = 1e-6
KLEIN = {"group_convolutional": {"group": {"product": [{"cyclic": 2}, {"cyclic": 2}]}}}
ROOMS = [Room(8, size, 6) for size in (8, 20, 40)]


def test_no_run_from_small_weights_is_wrong_or_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all networks with a real decomposition: converged and right, or imprecise where the limit is a tie."""
    runs = [drawn(number) for number in range(RUNS)]
    statuses = Counter[str]()
    for room, some in in_rooms(runs):
        ends: dict[int, End] = {}
        monkeypatch.setattr("kernels.simulate.integrate", lambda *given, ends=ends: kept(ends, *given))
        results = simulate(some, room)
        for number, (result, problem) in enumerate(zip(results, problems_of(some), strict=True)):
            statuses[result.status] += 1
            right = truth(problem, ends[number])
            distance = np.linalg.norm(result.beta - right) / np.linalg.norm(right)
            said = (problem.spec.to_dict(), problem.dataset.name, result.status, result.message, distance)
            assert result.status in ("converged", "imprecise"), said
            assert result.status == "imprecise" or distance < TOLERANCE, said
            for made in result.predictions:
                if made.kind == "exact" and made.beta is not None:
                    apart = np.linalg.norm(made.beta - right) / np.linalg.norm(right)
                    assert apart < TOLERANCE, (made.prediction, made.certificate, apart, *said)
    assert statuses["imprecise"] < RUNS / 20


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_from_1e_8_every_entry_has_eight_digits(depth: int) -> None:
    """Entries of 1e-22 that grew to order one and came back, too."""
    dataset = Dataset("saddles", np.array([[1, 0.5, 0.7, 0], [0.5, 1, 0.1, 0.7]]), np.array([1.0, 0.0]))
    axes = {"task": "regression", "architecture": "diagonal", "init": "structured", "record": False}
    (problem,) = problems_of([(spec_of(dataset, depth=depth, alpha=1e-8, rtol=1e-10, **axes), dataset)])
    (end,) = integrate([problem])
    np.testing.assert_allclose(end.final[len(OBSERVABLES) :], truth(problem, end), rtol=1e-8)


def test_no_complex_run_is_wrong_or_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of convolutional networks of full length, whose limit is known where all inputs are parallel.

    The force on coordinate j keeps the phase of conj(a_j), so that moduli obey the real equations with |a_j|.
    """
    statuses = Counter[str]()
    runs = [drawn_spectrum(number) for number in range(COMPLEX_RUNS)]
    for result, problem, end in ended(runs, monkeypatch):
        statuses[result.status] += 1
        right = complex_truth(problem, end)
        distance = np.linalg.norm(result.beta - right) / np.linalg.norm(right)
        said = (problem.spec.to_dict(), result.status, result.message, distance)
        assert result.status in ("converged", "imprecise"), said
        assert result.status == "imprecise" or distance < TOLERANCE, said
        exact_ones = [made for made in result.predictions if made.kind == "exact" and made.beta is not None]
        assert exact_ones, said
        for made in exact_ones:
            assert np.linalg.norm(made.beta - right) < TOLERANCE * np.linalg.norm(right), (made.certificate, *said)
    assert statuses["converged"] > COMPLEX_RUNS / 2


def ended(
    runs: list[tuple[RunSpec, Dataset]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RunResult, Problem, End]]:
    """The result of each run and the state in which it ended; runs of one shape are integrated together."""
    for _, places in grouped((spec.depth, data.x.shape) for spec, data in runs):
        ends: dict[int, End] = {}
        some = [runs[place] for place in places]
        monkeypatch.setattr("kernels.simulate.integrate", lambda *given, ends=ends: kept(ends, *given))
        results = simulate(some)
        for number, (result, problem) in enumerate(zip(results, problems_of(some), strict=True)):
            yield result, problem, ends[number]


def drawn_spectrum(number: int) -> tuple[RunSpec, Dataset]:
    """Two parallel samples in five or eight dimensions, two to four layers from a structured start."""
    rng = np.random.default_rng([number, 78])
    dim = int(rng.choice([5, 8]))
    x = np.outer(rng.standard_normal(2), rng.standard_normal(dim))
    dataset = Dataset("parallel", x, x @ rng.standard_normal(dim))
    axes = {"task": "regression", "architecture": "convolutional", "init": "structured", "record": False}
    depth, alpha = int(rng.integers(2, 5)), 10 ** rng.uniform(-3, 0)
    return spec_of(dataset, depth=depth, alpha=alpha, seed=number, **axes), dataset


def complex_truth(problem: Problem, end: End) -> np.ndarray:
    """beta at the end of the exact flow of moduli, each with its phase conj(a_j) / |a_j|."""
    decomposition, start = problem.decomposition, problem.coordinates
    assert decomposition is not None
    assert start is not None
    a = problem.dataset.x @ decomposition.s.T
    lead = a[np.abs(problem.dataset.y).argmax()]
    phases = np.conj(lead) / np.abs(lead)
    w = np.array([[problem.spec.alpha]] * (problem.depth - 1) + [[0.0]]).repeat(len(lead), axis=1)
    layers = np.array(decomposition.transform(problem.architecture.split(end.theta)))
    rho = limit_of((a * phases).real, problem.dataset.y, w, (layers[-1] / phases).real)
    return np.asarray(((rho * phases) @ decomposition.s).real)


def kept(ends: dict[int, End], *given: Any) -> Iterator[End]:
    for end in integrate(*given):
        ends[end.index] = end
        yield end


def in_rooms(runs: list[tuple[RunSpec, Dataset]]) -> Iterator[tuple[Room, list[tuple[RunSpec, Dataset]]]]:
    """The runs of each of three programs."""
    sizes = [np.shape(problem.coordinates)[1] for problem in problems_of(runs)]
    for smaller, room in zip([0, *(room.coordinates for room in ROOMS)], ROOMS, strict=False):
        yield room, [run for run, size in zip(runs, sizes, strict=True) if smaller < size <= room.coordinates]


def drawn(number: int) -> tuple[RunSpec, Dataset]:
    """A network with a real decomposition, data and a start; whatever planning refuses is drawn again."""
    rng = np.random.default_rng([number, 77])
    while True:
        name = str(rng.choice(["diagonal", "signed_diagonal", "walsh", "odeco", "convolutional", "klein"]))
        dim = {"walsh": int(rng.choice([4, 8, 16])), "convolutional": 2, "klein": 4}.get(name, int(rng.integers(4, 21)))
        samples = 1 if name == "convolutional" else min(dim, int(rng.integers(1, 9)))
        dataset = drawn_data(rng, str(rng.choice(["gaussian", "signed", "scaled", "twins"])), samples, dim)
        depth = int(rng.integers(2, 7))
        init = rng.choice(["structured", "uniform", "gaussian", "ordered", "equal"])
        starts: dict[str, Any] = {
            "uniform": {"structured": {"eta": "uniform"}},
            "equal": {"layers": [[1.0] * 2 * dim] * depth},
        }
        axes = {"width": dim + int(rng.integers(0, 5))} if name == "odeco" else {}
        if not dataset.y.any():
            continue
        try:
            spec = spec_of(
                dataset, task="regression", architecture=KLEIN if name == "klein" else name, depth=depth,
                init=starts.get(init, str(init)), alpha=10 ** rng.uniform(-8, -4), seed=number, record=False, **axes,
            )  # fmt: skip
            check_compatible(spec, dataset)
        except InputError:
            continue
        return spec, dataset


def drawn_data(rng: np.random.Generator, kind: str, samples: int, dim: int) -> Dataset:
    """Targets of sparse coefficients; `signed` inputs of -1, 0 and 1 have ties, `twins` columns equal up to sign."""
    x, beta = rng.standard_normal((samples, dim)), rng.standard_normal(dim) * (rng.random(dim) < 0.5)
    if kind == "signed":
        x, beta = rng.choice([-1.0, 0.0, 1.0], (samples, dim)), np.round(2 * beta)
    elif kind == "scaled":
        x *= 10.0 ** rng.uniform(-1, 1, dim)
    elif kind == "twins":
        half = dim // 2
        x[:, half : 2 * half] = x[:, :half] * rng.choice([-1, 1], half)
    beta[0] = beta[0] or 1.0
    return Dataset(kind, x, x @ beta)


def truth(problem: Problem, end: End) -> np.ndarray:
    """beta at the end of the exact flow; S of Walsh functions and characters and structured starts are not rounded."""
    decomposition = problem.decomposition
    assert decomposition is not None
    assert problem.coordinates is not None
    a: Any = problem.dataset.x @ decomposition.s.T
    w: Any = problem.coordinates
    if problem.spec.architecture_name in ("walsh", "group_convolutional"):
        with localcontext(context(70)):
            scale = Decimal(problem.architecture.dim) ** (problem.depth - 2)
            a = exact(problem.dataset.x) @ (exact(np.sign(decomposition.s.T)) * scale.sqrt())
    if problem.spec.init == {"structured": {"eta": "ones"}}:
        w = np.array([[problem.spec.alpha]] * (problem.depth - 1) + [[0.0]]).repeat(w.shape[1], axis=1)
    return np.asarray(limit_of(a, problem.dataset.y, w, least_layer(problem, end)) @ decomposition.s)


def least_layer(problem: Problem, end: End) -> np.ndarray:
    """Of each coordinate the layer of least modulus at the start, times the signs of the others."""
    decomposition, start = problem.decomposition, problem.coordinates
    assert decomposition is not None
    assert start is not None
    least = np.abs(start).argmin(axis=0)[None]
    others = np.where(np.arange(len(start))[:, None] == least, 1.0, np.where(start < 0, -1.0, 1.0)).prod(axis=0)
    layers = np.array(decomposition.transform(problem.architecture.split(end.theta)))
    return np.asarray(np.take_along_axis(layers, least, axis=0)[0] * others)
