"""Checks of networks of the user's own, at random layers, before anything runs. Imports no JAX."""

import traceback
from pathlib import Path
from typing import Any

import numpy as np

from kernels.networks.base import Architecture
from kernels.networks.decomposition import Decomposition, unit_matrix
from kernels.spec import InputError

LINEAR_TOLERANCE = 1e-8
"""Largest relative distance from linearity in a layer that counts as rounding."""


def check_class(name: str, network: type[Architecture]) -> None:
    """Raise InputError where a class lacks a part of a network."""
    missing = sorted(getattr(network, "__abstractmethods__", ()))
    if missing:
        raise InputError(
            f"architecture: {name} lacks {', '.join(missing)}; a network has the property shapes and the methods "
            "coefficients, decomposition and invariants"
        )
    if callable(network.shapes):
        raise InputError(f"architecture: shapes of {name} is a method; write @property above it")


def check_network(network: Architecture) -> None:
    """Raise InputError where shapes, coefficients, invariants or decomposition of a user's network do not agree."""
    _check_shapes(network)
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal(shape) for shape in network.shapes]
    own = _coefficients(network, layers)
    _check_constants(network, layers, own)
    _check_multilinear(network, layers, own, rng)
    _check_invariants(network, layers)
    _check_decomposition(network, layers, own)


def _check_shapes(network: Architecture) -> None:
    shapes = network.shapes
    tuples = isinstance(shapes, tuple | list) and all(isinstance(shape, tuple) for shape in shapes)
    if not tuples or len(shapes) != network.depth:
        raise InputError(
            f"architecture: shapes of {type(network).__name__} at depth {network.depth} is {shapes!r}; write one tuple "
            "for each layer, such as ((3, 2), (2,))"
        )


def _coefficients(network: Architecture, layers: list[Any]) -> Any:
    """beta at these layers. Raises InputError where it is not one real number for each input."""
    own, name = np.asarray(_tried(network, "coefficients", layers)), type(network).__name__
    if own.shape != (network.dim,) or own.dtype.kind != "f":
        raise InputError(
            f"architecture: coefficients of {name} returns {own.dtype} of shape {own.shape}; inputs of dimension "
            f"{network.dim} need real numbers of shape {(network.dim,)}"
        )
    return own


def _check_constants(network: Architecture, layers: list[Any], own: Any) -> None:
    """Raise InputError where coefficients depend on parameters otherwise than through `constants`.

    They may not, because a program is compiled for the class without its parameters, and serves all networks of one
    shape.
    """
    name = type(network).__name__
    advice = (
        "the coefficients of a network may depend on its parameters and its seed through self.constants alone: set it "
        "in check, as in self.constants = (np.asarray(scale),), and read it in coefficients"
    )
    try:
        bare = type(network)(network.dim, network.depth, network.width, network.filter)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InputError(f"architecture: {name} cannot be made without its parameters ({said}); {advice}") from error
    theirs = np.asarray(_tried(bare.with_constants(network.constants), "coefficients", layers))
    if theirs.shape != own.shape or not np.allclose(own, theirs, rtol=0, atol=_rounding(own) * np.abs(own).max()):
        raise InputError(
            f"architecture: {name} computes {own[:3]}... with its parameters and {theirs[:3]}... with its constants "
            f"alone; {advice}"
        )


def _check_multilinear(network: Architecture, layers: list[Any], own: Any, rng: np.random.Generator) -> None:
    """Raise InputError where the coefficients are not linear in one of the layers."""
    for place, layer in enumerate(layers):
        v = f"v_{place + 1}"
        other = rng.standard_normal(layer.shape)
        multiple, theirs, both = (
            _coefficients(network, [*layers[:place], changed, *layers[place + 1 :]])
            for changed in (-3 * layer, other, layer + other)
        )
        for found, wanted, words in (
            (multiple, -3 * own, f"at -3 {v} they are not -3 times those at {v}"),
            (both, own + theirs, f"at {v} + u they are not the sum of those at {v} and at u"),
        ):
            scale = max(float(np.abs(each).max()) for each in (own, theirs, wanted, found))
            gap = float(np.abs(found - wanted).max()) / (scale or 1.0)
            if not gap <= max(LINEAR_TOLERANCE, _rounding(own)):
                raise InputError(
                    f"architecture: coefficients of {type(network).__name__} are not linear in layer {place + 1}: "
                    f"{words}, but differ by {gap:.1e} of their size; write a map that is multilinear in the layers"
                )


def _check_invariants(network: Architecture, layers: list[Any]) -> None:
    found = _tried(network, "invariants", layers)
    if not isinstance(found, list | tuple):
        raise InputError(
            f"architecture: invariants of {type(network).__name__} returns {type(found).__name__}; write a list of "
            "arrays, [] if nothing is known to be conserved"
        )


def _rounding(own: Any) -> float:
    """Relative difference that rounding explains, by the type of the coefficients: it may be single precision."""
    return 1e4 * float(np.finfo(own.dtype).eps)


def _tried(network: Architecture, method: str, *arguments: Any) -> Any:
    """What a user's method returns. Raises InputError where the method raises anything."""
    try:
        return getattr(network, method)(*arguments)
    except Exception as error:
        last, said = traceback.extract_tb(error.__traceback__)[-1], str(error).partition("\n")[0]
        raise InputError(
            f"architecture: {method} of {type(network).__name__} raised {type(error).__name__}: {said} "
            f"({Path(last.filename).name}, line {last.lineno})"
        ) from error


def _check_decomposition(network: Architecture, layers: list[Any], own: Any) -> None:
    """Raise InputError where a user's decomposition is not one, or not that of the coefficients."""
    decomposition, name = _tried(network, "decomposition"), type(network).__name__
    if decomposition is None:
        return
    if not isinstance(decomposition, Decomposition):
        raise InputError(
            f"architecture: decomposition of {name} returns {type(decomposition).__name__}; write a Decomposition "
            "of kernels.networks, or None"
        )
    m, bases = decomposition.s.shape[0], decomposition.bases
    wanted = [(*shape, m) for shape in network.shapes]
    if decomposition.s.shape != (m, network.dim) or [basis.shape for basis in bases] != wanted:
        raise InputError(
            f"architecture: the decomposition of {name} has s of shape {decomposition.s.shape} and bases of shapes "
            f"{[basis.shape for basis in bases]}; inputs of dimension {network.dim} and its layers need "
            f"{(m, network.dim)} and {wanted}"
        )
    for number, basis in enumerate(bases, start=1):
        gap = float(np.abs(basis.conj().T @ basis - unit_matrix(m)).max())
        if gap > 1e-10:
            raise InputError(
                f"architecture: U_{number} in the decomposition of {name} is not orthonormal: U^* U differs from the "
                f"identity by {gap:.1e}; normalise its columns, and put the factor into s"
            )
    theirs = decomposition.s.T @ np.prod(decomposition.transform(layers), axis=0)
    if not np.allclose(own, theirs, rtol=0, atol=_rounding(own) * float(np.abs(own).max())):
        raise InputError(
            f"architecture: coefficients and decomposition of {name} disagree: at random layers they give {own[:3]}... "
            f"and {theirs[:3]}...; correct one of them, or let decomposition return None"
        )
