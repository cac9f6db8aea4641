"""The flow of every loss, as the loss's row names it."""

import importlib

from kernels.flows.base import Flow
from kernels.losses import LOSSES


def flow_class(loss: str) -> type[Flow]:
    """The class of a loss's gradient flow."""
    module, _, name = LOSSES[loss].flow.partition(":")
    found: type[Flow] = getattr(importlib.import_module(module), name)
    return found
