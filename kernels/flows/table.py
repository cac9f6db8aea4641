"""From the name of a loss to the class of its flow, which the loss's row in LOSSES names."""

import importlib

from kernels.flows.base import Flow
from kernels.losses import LOSSES


def flow_class(loss: str) -> type[Flow]:
    """The class of a loss's gradient flow."""
    module, _, name = LOSSES[loss].flow.partition(":")
    found: type[Flow] = getattr(importlib.import_module(module), name)
    return found
