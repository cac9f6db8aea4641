"""Every prediction by name. A new one is a class in this folder and a line here."""

from kernels.data.kinds import Dataset
from kernels.problem import Problem, problem_of
from kernels.results import PredictionRecord
from kernels.spec import RunSpec
from kernels.theory.base import Prediction
from kernels.theory.classification import LossRate, MaxMarginBridge, MaxMarginL2, ParameterKKT, SingularVectors
from kernels.theory.regression import (
    MinimumBregman,
    MinimumL2Norm,
    MinimumQNorm,
    TwoLayerOneSample,
    WeightedL1,
    WeightedL2,
)

PREDICTIONS: dict[str, Prediction] = {
    "minimum_q_norm": MinimumQNorm(),
    "minimum_bregman": MinimumBregman(),
    "weighted_l1": WeightedL1(),
    "weighted_l2": WeightedL2(),
    "minimum_l2_norm": MinimumL2Norm(),
    "two_layer_one_sample": TwoLayerOneSample(),
    "parameter_kkt": ParameterKKT(),
    "singular_vectors": SingularVectors(),
    "max_margin_l2": MaxMarginL2(),
    "max_margin_bridge": MaxMarginBridge(),
    "loss_rate": LossRate(),
}


def applicable(problem: Problem) -> list[Prediction]:
    """The predictions whose assumptions hold for this problem, in the order of PREDICTIONS."""
    return [prediction for prediction in PREDICTIONS.values() if prediction.applies(problem)]


def forecasts(spec: RunSpec, dataset: Dataset) -> tuple[PredictionRecord, ...]:
    """What theory predicts without a flow; distance is None."""
    problem = problem_of(spec, dataset)
    pairs = ((prediction, prediction.forecast(problem)) for prediction in applicable(problem))
    return tuple(
        PredictionRecord(
            prediction=prediction.name,
            kind=prediction.kind(problem),
            distance=None,
            certificate=forecast.certificate,
            objective=forecast.objective,
            beta=forecast.beta,
            detail=forecast.detail,
        )
        for prediction, forecast in pairs
        if forecast is not None
    )
