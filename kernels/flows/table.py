"""The flows of all tasks, by name."""

from kernels.flows.base import Flow
from kernels.flows.classification import ClassificationFlow
from kernels.flows.regression import RegressionFlow

FLOWS: dict[str, type[Flow]] = {"regression": RegressionFlow, "classification": ClassificationFlow}
