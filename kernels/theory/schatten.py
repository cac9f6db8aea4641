"""The max-margin problem of convolution over a group: Schatten norms of Fourier coefficients."""

from itertools import pairwise
from typing import final

import numpy as np
from jaxtyping import Float

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.networks.group_convolutional import GroupConvolutional
from kernels.networks.groups import Group
from kernels.problem import Problem
from kernels.results import PredictionRecord
from kernels.theory.base import Endpoint, Forecast, Kind, RunByRun, direction_record, unit, weights
from kernels.theory.classification import ACTIVE
from kernels.theory.optimisers.blocks import Blocks, schatten
from kernels.theory.optimisers.margins import Margin
from kernels.theory.optimisers.nuclear import least_nuclear, outside
from kernels.theory.optimisers.schatten import nearby, stationarity


@final
class MaxMarginSchatten(RunByRun):
    """beta / ||beta|| tends to a stationary point of min sum_r w_r ||F_r||_{2/L}^{2/L} subject to y_i x_i.beta >= 1.

    F_r = sum_g beta(g) r(g) are the Fourier coefficients of beta, one block for every irreducible representation r of
    the group; w_r is its dimension, twice that where r stands for its conjugate, too; ||.||_p is the Schatten
    quasi-norm, (sum of p-th powers of singular values)^{1/p}. The sum is n / L times the least sum_l ||v_l||^2 of
    layers that give beta.

    L = 2 is convex, the nuclear norm. Its optimum is predicted; if it is not unique, compare objective_reached with
    objective. For L >= 3 the flow may rightly end in any stationary point. The prediction is the one next to the end,
    which Newton's method finds from the end's ranks and active samples; its certificate says that it is one, of margins
    at least 1. Where none is found, there is neither beta nor distance. detail's stationarity is the residual at the
    end itself, which needs no threshold on ranks (optimisers/schatten.py).

    With p = 2/L, objective is the sum's 1/p-th power at the prediction, objective_reached that at the end. For L = 2
    detail has off_support_dual, the largest singular value of the dual outside the spans of F_r, below 1. Where it is
    near 1, what lies outside these spans decays slowly.

    Applies: losses with an exponential tail and networks `group_convolutional` of L >= 2 layers, if no conserved
    quantity is degenerate at the start: blocks that are numbers have one layer of strictly least modulus, as for
    max_margin_bridge, and for other blocks no A_l^* A_l - A_{l+1} A_{l+1}^* is singular, A_l being the layer's
    block. Gaussian starts are such with probability one. Kind: limit t->infinity.
    Certificate: L = 2 duality gap; L >= 3 residual of the stationary point's conditions, after the run.
    Reference: Lawrence, Georgiev, Dienes, Kiani, arXiv:2110.06084, the results on linear group convolutions; for
    abelian groups, where it is max_margin_bridge, Gunasekar et al., arXiv:1806.00468.

    Two entries of one row of the representation of dimension 2 of the dihedral group of 8 elements are two data of unit
    norm; F = 2 (-1, 1) in that row has nuclear norm 2 sqrt 2, and weighs twice, so that the least sum is 4 sqrt 2:

    >>> from kernels.theory.table import forecast_of
    >>> x = [[0.5, 0, -0.5, 0, 0.5, 0, -0.5, 0], [0, -0.5, 0, 0.5, 0, 0.5, 0, -0.5]]
    >>> group = {"group_convolutional": {"group": {"dihedral": 4}}}
    >>> axes = {"task": "classification", "architecture": group, "init": "gaussian"}
    >>> round(forecast_of("max_margin_schatten", x, [-1, 1], **axes).objective / 2**0.5, 9)
    4.0
    """

    name = "max_margin_schatten"
    meaning = "the max-margin problem of Schatten norms of Fourier coefficients"

    def kind(self, problem: Problem) -> Kind:
        return "limit t->inf"

    def applies(self, problem: Problem) -> bool:
        network = problem.architecture
        if not (problem.exponential_tail and isinstance(network, GroupConvolutional) and problem.depth > 1):
            return False
        parts = [blocks_of(network.group).transform(layer) for layer in problem.layers]
        return all(map(_decided, zip(*parts, strict=True)))

    def forecast(self, problem: Problem) -> Forecast | None:
        if problem.depth > 2:
            return Forecast(None, None)
        network = problem.architecture
        found = problem.shared.once(_least, problem.dataset, network)
        blocks, signed = _blocks(network), _signed(problem.dataset)
        detail = {"off_support_dual": outside(blocks, signed, found)}
        return Forecast(unit(found.solution), found.certificate, found.objective, detail)

    def compare(self, problem: Problem, forecast: Forecast | None, endpoint: Endpoint) -> PredictionRecord:
        assert forecast is not None
        blocks, signed, power = _blocks(problem.architecture), _signed(problem.dataset), 2 / problem.depth
        detail = {"objective_reached": schatten(blocks, signed, endpoint.beta, power)}
        if problem.depth == 2:
            return direction_record(self, problem, forecast, endpoint, detail)
        active = weights(problem, endpoint, signed @ endpoint.beta) >= ACTIVE
        found = nearby(blocks, signed, endpoint.beta, active, power)
        detail["stationarity"] = stationarity(blocks, signed[active], endpoint.beta, power)
        objective = schatten(blocks, signed, found.beta, power)
        made = Forecast(unit(found.beta), found.certificate, objective, detail)
        return direction_record(self, problem, made, endpoint)


def _decided(layers: tuple[np.ndarray, ...]) -> bool:
    """Whether no conserved quantity of one block is degenerate, so that no two layers are tied.

    Args:
        layers: the block of every layer.
    """
    if layers[0].shape == (1, 1):
        least, second = np.sort([abs(layer.item()) ** 2 for layer in layers])[:2]
        return bool(second - least > 1e-12 * second)
    for a, b in pairwise(layers):
        values = np.abs(np.linalg.eigvalsh(a.conj().T @ a - b @ b.conj().T))
        if not values.min() > 1e-12 * values.max():
            return False
    return True


def blocks_of(group: Group) -> Blocks:
    """The Fourier transform of a group's functions, block by block."""
    return Blocks(tuple(each.matrices for each in group.irreps), tuple(each.weight for each in group.irreps))


def _blocks(network: Architecture) -> Blocks:
    assert isinstance(network, GroupConvolutional)
    return blocks_of(network.group)


def _signed(dataset: Dataset) -> Float[np.ndarray, "n d"]:
    return dataset.y[:, None] * dataset.x


def _least(dataset: Dataset, network: Architecture) -> Margin:
    return least_nuclear(_blocks(network), _signed(dataset))
