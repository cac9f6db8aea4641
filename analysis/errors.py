"""What can go wrong between a store and a figure: each error says what is missing and what to write or run."""

# ruff: noqa: N818 - each name says what is the matter

import difflib
from collections.abc import Iterable


class AnalysisError(ValueError):
    """No figure or report can be made; the message says why and what to do."""


class UnknownChart(AnalysisError):
    """The name is not one of CHARTS."""

    def __init__(self, name: str, known: Iterable[str]):
        names = list(known)
        super().__init__(f"chart: unknown {name!r}{_nearest(name, names)}; write one of {', '.join(names)}")


class UnknownFormat(AnalysisError):
    """The suffix of the output is not one that can be written."""

    def __init__(self, output: str, suffix: str, known: Iterable[str]):
        wrong = f"has the suffix {suffix!r}" if suffix else "has no suffix"
        super().__init__(f"output: {output} {wrong}; write one of {', '.join(f'.{each}' for each in known)}")


class NoData(AnalysisError):
    """The store holds nothing that this chart could show."""

    def __init__(self, chart: str, needs: str, run: str):
        super().__init__(f"no data for the chart {chart!r}, because the store holds no {needs}; run `{run}` first")


class BadFilter(AnalysisError):
    """The condition on runs is not one that the store understands."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"where: {where!r} is no condition on the columns of `runs`: {reason}")


class CannotWrite(AnalysisError):
    """The output cannot be written."""

    def __init__(self, output: str, reason: str):
        super().__init__(f"output: {output} cannot be written ({reason})")


def _nearest(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""
