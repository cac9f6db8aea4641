"""Gradient flow of the exponential loss sum_i exp(-y_i f(x_i))."""

from typing import final

from kernels.flows.classification import ClassificationFlow
from kernels.flows.parametrisation import Forces


@final
class ExponentialFlow(ClassificationFlow):
    """l(z) = e^{-z}, where l = -l' = l'': p = softmax(-kappa q), each sample's share of the loss."""

    def log_values(self, z: Forces) -> Forces:
        return -z

    def log_forces(self, z: Forces) -> Forces:
        return -z

    def log_curvatures(self, z: Forces) -> Forces:
        return -z
