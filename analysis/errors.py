"""What can go wrong between a store and a figure: each error says what is missing and what to write or run."""

# ruff: noqa: N818 - each name says what is the matter

import difflib
import re
from collections.abc import Iterable


class AnalysisError(ValueError):
    """No figure or report can be made; the message says why and what to do."""


class UnknownChart(AnalysisError):
    """The name is not one of CHARTS."""

    def __init__(self, name: str, known: Iterable[str]):
        names = list(known)
        super().__init__(f"chart: unknown {name!r}{_nearest(name, names)}; write one of {', '.join(names)}")


class UnknownAxis(AnalysisError):
    """The name is not that of an axis that runs can be told apart by."""

    def __init__(self, name: str, known: Iterable[str]):
        names = list(known)
        super().__init__(f"axis: unknown {name!r}{_nearest(name, names)}; write one of {', '.join(names)}")


class NoAxes(AnalysisError):
    """The chart cannot be drawn along these axes."""


class BadLook(AnalysisError):
    """A figure cannot look so."""


class UnknownFormat(AnalysisError):
    """The suffix of the output is not one that can be written."""

    def __init__(self, output: str, suffix: str, known: Iterable[str]):
        wrong = f"has the suffix {suffix!r}" if suffix else "has no suffix"
        super().__init__(f"output: {output} {wrong}; write one of {', '.join(f'.{each}' for each in known)}")


class NoData(AnalysisError):
    """The store holds nothing that this chart could show."""

    def __init__(self, chart: str, needs: str, run: str):
        copied = " (`sweep examples` copies that grid)" if " examples/" in run else ""
        super().__init__(
            f"no data for the chart {chart!r}, because the store holds no {needs}; run `{run}` first{copied}"
        )


class NoRun(NoData):
    """No run of the store meets the condition."""

    def __init__(self, chart: str, where: str, absent: Iterable[str]):
        why = "".join(f"; {each}" for each in absent)
        AnalysisError.__init__(
            self, f"no data for the chart {chart!r}, because no run of the store meets {where!r}{why}"
        )


class EndedEarly(NoData):
    """The runs ended before the chart's clock starts."""

    def __init__(self, chart: str, runs: int):
        AnalysisError.__init__(
            self,
            f"no data for the chart {chart!r}, which starts at -log Loss = 1: none of the {runs} classification runs "
            "with a recorded path went far enough beyond it; lower stop.log_loss or raise stop.max_steps",
        )


class BadFilter(AnalysisError):
    """The condition on runs is not one that the store understands."""

    def __init__(self, where: str, reason: str, columns: Iterable[str] = (), of: str = "runs"):
        unknown = re.search(r'column "([^"]+)" not found', reason)
        near = difflib.get_close_matches(unknown[1].lower(), list(columns), n=3, cutoff=0.5) if unknown else []
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"where: {where!r} is no condition on the columns of `{of}`: {reason}{hint}")


class CannotWrite(AnalysisError):
    """The output cannot be written."""

    def __init__(self, output: str, reason: str):
        super().__init__(f"output: {output} cannot be written ({reason})")


def _nearest(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""
