"""Drawn networks, runs and their ends."""

from typing import Any

import numpy as np
import pytest

from kernels.data.kinds import Dataset
from kernels.networks.base import Architecture
from kernels.networks.table import ARCHITECTURES
from kernels.spec import RunSpec
from kernels.validate import canonicalise
from tests.networks import parameters

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("fully_connected", {"width": 5}),
    ("fully_connected", {"width": 3}),
    ("diagonal", {}),
    ("convolutional", {}),
    ("convolutional", {"filter": 2}),
    ("signed_diagonal", {}),
    ("multichannel_convolutional", {"width": 3, "filter": 2}),
    ("walsh", {}),
    ("odeco", {"width": 6}),
    ("group_convolutional", {}),
    ("tensor", {}),
]
DIM = 6
"""The group of 6 elements that is not abelian is the smallest."""


@pytest.fixture(params=NETWORKS, ids=lambda network: _name(network))
def network(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param


QUICK = {"diagonal"}
"""Networks whose programs the default suite compiles; the slow suite compiles all."""


def _name(network: tuple[str, dict[str, Any]]) -> str:
    return "-".join(map(str, [network[0], *network[1].values()]))


@pytest.fixture(
    params=[
        pytest.param(network, marks=[] if _name(network) in QUICK else pytest.mark.slow, id=_name(network))
        for network in NETWORKS
    ]
)
def compiled(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param


@pytest.fixture(params=[1, 2, 3, 4])
def architecture(network: tuple[str, dict[str, Any]], request: pytest.FixtureRequest) -> Architecture:
    name, sizes = network
    dim = DIM if name == "group_convolutional" else 4
    return ARCHITECTURES[name](dim=dim, depth=request.param, **sizes, **parameters(name, dim, request.param))


def spec_of(dataset: Dataset, **axes: Any) -> RunSpec:
    """The canonical run of these axes on a data set given as arrays."""
    points = {"points": {"x": dataset.x.tolist(), "y": dataset.y.tolist()}}
    return canonicalise({"data": points, **axes}, dataset.x.shape[1])


def regression_data(samples: int = 3, dim: int = 8, seed: int = 0) -> Dataset:
    rng = np.random.default_rng([seed, 2])
    x = rng.standard_normal((samples, dim))
    return Dataset("regression", x, x @ rng.standard_normal(dim))


def classification_data(samples: int = 4, dim: int = 8, seed: int = 0) -> Dataset:
    rng = np.random.default_rng([seed, 2])
    x = rng.standard_normal((samples, dim))
    return Dataset("classification", x, np.sign(x @ rng.standard_normal(dim)))
