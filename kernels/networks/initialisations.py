"""Initialisations: the layers v_1(0), ..., v_L(0), as a function of the scale alpha and the seed. Imports no JAX."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition
from kernels.networks.fully_connected import FullyConnected
from kernels.spec import DEFAULTS, InputError, RunSpec

Layers = tuple[np.ndarray, ...]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Initialisation:
    """One way to draw the layers at t = 0.

    Attributes:
        draw: (architecture, parameters, rng) -> layers at scale alpha = 1; raises InputError where it cannot.
        defaults: its parameters and their defaults.
        random: whether these parameters make it depend on the seed.
    """

    draw: Callable[[Architecture, Parameters, np.random.Generator], Layers]
    defaults: Parameters
    random: Callable[[Parameters], bool]


def structured(architecture: Architecture, parameters: Parameters, rng: np.random.Generator) -> Layers:
    """U_l^T v_l = eta for l < L and v_L = 0: the start of the regression theorem (Yun et al., arXiv:2010.02501).

    eta = 1, or uniform in [0.5, 1.5] from the seed. Where the decomposition is complex, a drawn eta is made symmetric
    in frequency, because layers are real.
    """
    decomposition = _decomposition(architecture, "structured")
    m = decomposition.s.shape[0]
    eta = np.asarray(rng.uniform(0.5, 1.5, m) if parameters["eta"] == "uniform" else np.ones(m))
    hidden = tuple(decomposition.layer(index, eta) for index in range(architecture.depth - 1))
    return (*hidden, np.zeros(architecture.shapes[-1]))


def gaussian(architecture: Architecture, parameters: Parameters, rng: np.random.Generator) -> Layers:
    """Entries N(0, 1); in fully connected layers they are divided by the square root of the fan-in."""
    layers = (rng.standard_normal(shape) for shape in architecture.shapes)
    if isinstance(architecture, FullyConnected):
        return tuple(layer / np.sqrt(layer.shape[0]) for layer in layers)
    return tuple(layers)


def orthogonal(architecture: Architecture, parameters: Parameters, rng: np.random.Generator) -> Layers:
    """W_1 W_1^T = I, W_l orthogonal for 1 < l < L, and w_L = 0, for fully connected networks of width >= dim."""
    if not isinstance(architecture, FullyConnected):
        raise InputError("init: orthogonal starts only fully_connected networks; write structured or gaussian")
    if architecture.depth > 1 and architecture.shapes[0][1] < architecture.dim:
        raise InputError(
            f"init: orthogonal needs width >= dim so that W_1 W_1^T = alpha^2 I; "
            f"width is {architecture.shapes[0][1]}, dim is {architecture.dim}"
        )
    hidden = (np.linalg.qr(rng.standard_normal(shape[::-1]))[0].T for shape in architecture.shapes[:-1])
    return (*hidden, np.zeros(architecture.shapes[-1]))


def balanced(architecture: Architecture, parameters: Parameters, rng: np.random.Generator) -> Layers:
    """W_l = u_{l-1} u_l^T for l < L and w_L = u_{L-1}, with u_l uniform on unit spheres, for fully connected networks.

    At scale alpha, W_l^T W_l = W_{l+1} W_{l+1}^T of rank one and singular value alpha^2, and beta = alpha^L u_0.
    """
    if not isinstance(architecture, FullyConnected):
        raise InputError("init: balanced starts only fully_connected networks; write structured or gaussian")
    drawn = [rng.standard_normal(shape[0]) for shape in architecture.shapes]
    units = [vector / np.linalg.norm(vector) for vector in drawn]
    return (*(np.outer(left, right) for left, right in itertools.pairwise(units)), units[-1])


def ordered(architecture: Architecture, parameters: Parameters, rng: np.random.Generator) -> Layers:
    """1 <= |[U_l^T v_l]_j| < 1.5 for l < L and |[U_L^T v_L]_j| < 0.5: a start of the classification theorem.

    Phases (signs, in a real decomposition) are those of a transformed Gaussian vector.
    """
    decomposition = _decomposition(architecture, "ordered")
    layers = []
    for index, (basis, shape) in enumerate(zip(decomposition.bases, architecture.shapes, strict=True)):
        phases, moduli = (basis.T @ rng.standard_normal(shape) for _ in range(2))
        spread = 0.5 * np.tanh(np.abs(moduli))
        size = spread + float(index < architecture.depth - 1)
        layers.append(decomposition.layer(index, size * phases / np.abs(phases)))
    return tuple(layers)


def given(architecture: Architecture, parameters: Parameters, rng: np.random.Generator) -> Layers:
    """The arrays written in the grid."""
    layers = tuple(np.asarray(layer, dtype=float) for layer in parameters["arrays"])
    shapes = tuple(layer.shape for layer in layers)
    if shapes != architecture.shapes:
        raise InputError(f"init: layers have shapes {shapes}; this network needs {architecture.shapes}")
    return layers


INITIALISATIONS: dict[str, Initialisation] = {
    "structured": Initialisation(structured, {"eta": "ones"}, lambda p: p["eta"] != "ones"),
    "gaussian": Initialisation(gaussian, {}, lambda p: True),
    "orthogonal": Initialisation(orthogonal, {}, lambda p: True),
    "balanced": Initialisation(balanced, {}, lambda p: True),
    "ordered": Initialisation(ordered, {}, lambda p: True),
    "layers": Initialisation(given, {"arrays": None}, lambda p: False),
}


def initial_layers(spec: RunSpec, architecture: Architecture) -> Layers:
    """v_l(0), one array a layer. Raises InputError where initialisation and architecture do not go together."""
    return tuple(spec.alpha * layer for layer in unit_layers(spec, architecture))


def unit_layers(spec: RunSpec, architecture: Architecture) -> Layers:
    """v_l(0) at scale alpha = 1."""
    rng = np.random.default_rng([spec.seed, 0])
    return INITIALISATIONS[spec.init_name].draw(architecture, spec.init[spec.init_name], rng)


def seeded(spec: RunSpec) -> bool:
    """Whether the initial layers of a given network depend on the seed."""
    return INITIALISATIONS[spec.init_name].random(spec.init[spec.init_name])


def canonical_init(init: Any) -> dict[str, Any]:
    """{name: every parameter} from a name, {name: parameters} or {layers: [v_1, ..., v_L]}. Raises InputError."""
    if isinstance(init, str):
        init = {init: {}}
    if not (isinstance(init, Mapping) and len(init) == 1):
        raise InputError(f"init: {init!r} is not a name or {{name: parameters}}; write one of {_names()}")
    ((name, parameters),) = init.items()
    if name not in INITIALISATIONS:
        raise InputError(f"init: unknown {name!r}; write one of {_names()}")
    if name == "layers" and isinstance(parameters, list | tuple):
        parameters = {"arrays": parameters}
    defaults = INITIALISATIONS[name].defaults
    unknown = set(parameters) - set(defaults)
    if unknown:
        raise InputError(f"init: {name} has no {sorted(unknown)}; it takes {sorted(defaults) or 'no parameters'}")
    merged = {**defaults, **parameters}
    if name == "structured" and merged["eta"] not in ("ones", "uniform"):
        raise InputError(f"init: eta is {merged['eta']!r}; write ones or uniform")
    if name == "layers":
        merged["arrays"] = _arrays(merged["arrays"])
    return {name: merged}


def _arrays(arrays: Any) -> list[Any]:
    try:
        layers = [np.asarray(layer, dtype=float) for layer in arrays]
    except (TypeError, ValueError) as error:
        raise InputError("init: layers must be a list of numeric arrays, one a layer") from error
    if not all(np.isfinite(layer).all() for layer in layers):
        raise InputError("init: layers hold a number that is not finite")
    return [layer.tolist() for layer in layers]


def _names() -> str:
    return ", ".join(INITIALISATIONS)


def _decomposition(architecture: Architecture, init: str) -> Decomposition:
    decomposition = architecture.decomposed
    if decomposition is None:
        instead = "gaussian, orthogonal or balanced" if isinstance(architecture, FullyConnected) else "gaussian"
        default = " (the default)" if init == DEFAULTS["init"] else ""
        network = type(architecture).__name__
        raise InputError(
            f"init: {init}{default} needs an orthogonally decomposable network, which {network} is not; write {instead}"
        )
    return decomposition
