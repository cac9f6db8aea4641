"""A store's results for scripts and notebooks: its views as polars frames, any SQL, every chart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from analysis.charts import Look, find
from analysis.charts.facets import Facets
from analysis.charts.theme import Drawing
from analysis.errors import BadFilter
from analysis.frames.frame import EVERY_RUN
from db.errors import QueryError, TooMuch
from db.statements import check_condition
from db.store import Store

AXES = "task, architecture, depth, init, alpha, seed, run_id"
"""The order of rows."""


def load(store: str | Path, *, wait: float = 30.0) -> "Results":
    """The results in a store, which may be read while a sweep is running: every call asks the file anew.

    Args:
        store: path of the DuckDB file.
        wait: seconds to wait for it while others write.

    Raises StoreError where there is no store of this version.
    """
    found = Store(store, timeout=wait)
    found.query("SELECT 1")
    return Results(found)


class Results:
    """What a store holds. Frames are polars'; `.to_pandas()` makes them pandas', where that is installed.

    `where` is one SQL condition on the columns of the view, as "depth = 3 AND alpha < 0.1".
    """

    def __init__(self, store: Store):
        self._store = store

    @property
    def path(self) -> Path:
        return self._store.path

    def runs(self, where: str = EVERY_RUN) -> pl.DataFrame:
        """One row a run: its axes, how it ended, where (`beta`), and what it cost. Raises AnalysisError."""
        return self._view("runs", where, AXES)

    def convergence(self, where: str = EVERY_RUN) -> pl.DataFrame:
        """One row a run and prediction: `distance` of the end from what theory says, its `certificate`, every axis.

        Raises AnalysisError for a condition that is none.
        """
        return self._view("convergence", where, f"{AXES}, prediction")

    def orbits(self, where: str = EVERY_RUN) -> pl.DataFrame:
        """One row a run and recorded point: `log_time`, `residual`, `beta` and more, and every axis.

        Raises AnalysisError for a condition that is none.
        """
        return self._view("orbits", where, f"{AXES}, point")

    def sql(self, query: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> pl.DataFrame:
        """The answer to one SELECT, which sees the store and nothing else; `?` and `$name` stand for parameters.

        Raises QueryError.
        """
        return pl.DataFrame(self._store.query(query, parameters))

    def chart(
        self,
        name: str,
        where: str = EVERY_RUN,
        *,
        color: str | None = None,
        row: str | None = None,
        column: str | None = None,
        dash: str | None = None,
        title: str | None = None,
        width: int | None = None,
        height: int | None = None,
        font: str | None = None,
        theme: str = "paper",
    ) -> Drawing:
        """One of the charts of `sweep chart`, of the runs that meet a condition on the columns of `runs`.

        A notebook shows it; `.save(file)` writes it (a PNG for print with `scale_factor=2`). Its data are in it,
        whatever their number. `color`, `row`, `column` and `dash` are axes for charts along the run; `title`,
        `width` and `height` (of every panel, in pixels) and `font` stand instead of the chart's own; `theme` is paper,
        dark or slides.
        Raises AnalysisError (unknown name or axis, no data, a condition that is none).
        """
        chart = Facets(name, color, row, column, dash).of(find(name))
        return Look(title, width, height=height, font=font, theme=theme).apply(chart.drawing(name, self._store, where))

    def __repr__(self) -> str:
        counted = self.sql("SELECT status, count(*) AS runs FROM runs GROUP BY ALL ORDER BY ALL").rows()
        said = ", ".join(f"{runs} {status}" for status, runs in counted) or "no runs yet"
        return f"{self.path}: {said}"

    def _view(self, name: str, where: str, order: str) -> pl.DataFrame:
        try:
            check_condition(where)
            return self.sql(f"SELECT * FROM {name} WHERE ({where}) ORDER BY {order}")
        except TooMuch:
            raise
        except QueryError as error:
            columns = self._store.query(f"SELECT * FROM {name} LIMIT 0").column_names
            raise BadFilter(where, str(error).splitlines()[0], columns, name) from error
