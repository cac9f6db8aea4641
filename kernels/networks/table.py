"""The networks, by name; one of a user's own by "module:Class". Imports no JAX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernels import own_code
from kernels.networks.base import Architecture, Diagonal, Parameters
from kernels.networks.checks import check_class
from kernels.networks.convolutional import Convolutional, MultichannelConvolutional
from kernels.networks.decomposable import Odeco, SignedDiagonal, Walsh
from kernels.networks.fully_connected import FullyConnected
from kernels.networks.group_convolutional import GroupConvolutional
from kernels.networks.tensor import Tensor
from kernels.spec import InputError, RunSpec, architecture_name

ARCHITECTURES: dict[str, type[Architecture]] = {
    "fully_connected": FullyConnected,
    "diagonal": Diagonal,
    "signed_diagonal": SignedDiagonal,
    "convolutional": Convolutional,
    "multichannel_convolutional": MultichannelConvolutional,
    "walsh": Walsh,
    "odeco": Odeco,
    "group_convolutional": GroupConvolutional,
    "tensor": Tensor,
}


def canonical_architecture(architecture: Any) -> str | dict[str, Any]:
    """A name, or {name: every parameter} where one differs from its default. Raises InputError."""
    mapping = isinstance(architecture, Mapping) and len(architecture) == 1
    name, given = next(iter(architecture.items())) if mapping else (architecture, {})
    if not isinstance(name, str) or not isinstance(given, Mapping | None):
        raise InputError(
            f"architecture: {architecture!r} is not a name or {{name: parameters}}; write one of "
            f"{', '.join(ARCHITECTURES)}, module:Class, or for example {{odeco: {{s: [[1, 0], [0, 1]]}}}}"
        )
    network = architecture_class(name)
    merged = network.canonical(given or {})
    return name if merged == dict(network.defaults) else {name: merged}


def located(architecture: Any, base: Path) -> Any:
    """The value of a grid's architecture, with the paths of its files made absolute from `base`."""
    if isinstance(architecture, Mapping) and len(architecture) == 1:
        ((name, given),) = architecture.items()
        if name in ARCHITECTURES and isinstance(given, Mapping):
            return {name: ARCHITECTURES[name].located(given, base)}
    return architecture


def parameters_given(architecture: str | Parameters) -> Parameters:
    """The parameters in a canonical name (none) or {name: parameters}."""
    return {} if isinstance(architecture, str) else architecture[architecture_name(architecture)]


def architecture_class(name: str) -> type[Architecture]:
    """The class of a name in ARCHITECTURES, or of "module:Class". Raises InputError."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if ":" not in name:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"architecture: unknown {name!r}; write one of {known}, or module:Class")
    try:
        found = own_code.attribute(name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"architecture: {name!r} cannot be imported ({error}); is it on PYTHONPATH?") from error
    if not (isinstance(found, type) and issubclass(found, Architecture)):
        raise InputError(f"architecture: {name!r} is not a subclass of kernels.networks.Architecture")
    check_class(name, found)
    return found


def build(spec: RunSpec, dim: int) -> Architecture:
    """The network of a run. Raises InputError if there is none in `dim` dimensions."""
    network, given = architecture_class(spec.architecture_name), parameters_given(spec.architecture)
    return network(dim, spec.depth, spec.width, spec.filter, spec.seed, **given)
