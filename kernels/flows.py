"""The flows of all tasks, by name."""

from kernels.classification_flow import ClassificationFlow
from kernels.flow import Flow
from kernels.regression_flow import RegressionFlow

FLOWS: dict[str, type[Flow]] = {"regression": RegressionFlow, "classification": ClassificationFlow}
