"""Gradient flow of the exponential loss sum_i exp(-y_i f(x_i))."""

from typing import final

from kernels.flows.classification import ClassificationFlow
from kernels.flows.parametrisation import Forces


@final
class ExponentialFlow(ClassificationFlow):
    """l(z) = e^{-z} is its own force and curvature: shares p = softmax(-kappa q) of the loss, of sum one."""

    def log_values(self, z: Forces) -> Forces:
        return -z

    def log_forces(self, z: Forces) -> Forces:
        return -z

    def log_curvatures(self, z: Forces) -> Forces:
        return -z
