"""Names for people: of networks, predictions and kinds, in titles, legends and axes of every chart and table.

Rows of a store have identifiers. What stands in no table, such as the network of a user, keeps its identifier.
"""

import json
import math
from collections.abc import Iterable, Mapping

import polars as pl

ARCHITECTURES: Mapping[str, str] = {
    "fully_connected": "Fully connected",
    "diagonal": "Diagonal",
    "signed_diagonal": "Signed diagonal",
    "convolutional": "Convolutional",
    "multichannel_convolutional": "Multichannel convolutional",
    "walsh": "Walsh",
    "odeco": "Orthogonally decomposable",
    "group_convolutional": "Group convolutional",
    "tensor": "Tensor",
}
PREDICTIONS: Mapping[str, str] = {
    "minimum_q_norm": "minimum Q norm",
    "minimum_bregman": "minimum Bregman divergence",
    "weighted_l1": "weighted ℓ1 limit",
    "weighted_l2": "weighted ℓ2 limit",
    "saddle_sequence": "last saddle",
    "minimum_l2_norm": "minimum ℓ2 norm",
    "two_layer_one_sample": "two layers, one sample",
    "balanced": "balanced layers",
    "lasso_path": "lasso path",
    "parameter_kkt": "KKT point of parameters",
    "singular_vectors": "singular vectors",
    "max_margin_l2": "ℓ2 max margin",
    "max_margin_bridge": "ℓ2/L max margin",
    "max_margin_schatten": "Schatten 2/L max margin",
    "finite_margin": "finite margin",
    "loss_rate": "loss rate",
}
KINDS: Mapping[str, str] = {
    "exact": "exact",
    "limit alpha->0": "limit α→0",
    "limit alpha->inf": "limit α→∞",
    "limit t->inf": "limit t→∞",
}
NAMES: Mapping[str, str] = {**ARCHITECTURES, **PREDICTIONS, **KINDS}
"""Every identifier that has a name; no two tables share one."""

RAISED: Mapping[int, int] = str.maketrans("0123456789+-−()L", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ᴸ")


def named(identifier: str) -> str:
    """The name of an identifier, or itself."""
    return NAMES.get(identifier, identifier)


def shown(column: str) -> pl.Expr:
    """A column of identifiers as names."""
    return pl.col(column).replace(dict(NAMES))


def listed(identifiers: Iterable[str]) -> str:
    """Names, sorted and separated by commas."""
    return ", ".join(named(each) for each in sorted(set(identifiers)))


def label_expression(identifiers: Iterable[str]) -> str:
    """A Vega expression for the labels of a legend or axis whose values are identifiers."""
    known = {each: NAMES[each] for each in identifiers if each in NAMES}
    return f"{json.dumps(known, ensure_ascii=False)}[datum.label] || datum.label" if known else "datum.label"


def raised(power: str) -> str:
    """An exponent of digits, signs, brackets and L in superscripts: 2-L is ²⁻ᴸ."""
    return power.translate(RAISED)


def number(value: float) -> str:
    """A number for a label, in the same manner as the axes."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if 0.01 <= abs(value) < 1000:
        return f"{value:.3g}".replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0').replace('-', '−')}e{int(exponent)}"


def told_apart(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a column `about`: the task, and the loss where a task has several in the frame."""
    several = pl.col("loss").n_unique().over("task") > 1
    return frame.with_columns(about=pl.when(several).then(pl.format("{}, {} loss", "task", "loss")).otherwise("task"))
