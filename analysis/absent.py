"""Values that a filter asks for and no run has: a table or chart may be empty for a slip of the pen."""

import difflib
from collections.abc import Iterable

from analysis.frames.frame import Source
from db.statements import equalities

MOST_VALUES = 12


def absent_values(store: Source, sql: str) -> list[str]:
    """One sentence for each value that a statement compares a column with and that no run has, with those there are."""
    of_runs, of_both = (store.query(f"SELECT * FROM {name} LIMIT 0").column_names for name in ("runs", "convergence"))
    found = []
    for name, value in dict.fromkeys(equalities(sql)):
        if name not in (*of_runs, *of_both):
            continue
        table = "runs" if name in of_runs else "convergence"
        answer = store.query(f'SELECT DISTINCT "{name}" AS v FROM {table} WHERE v IS NOT NULL ORDER BY v LIMIT 1000')
        values = answer["v"].to_pylist()
        if values and value not in values:
            shown = f"{value!r}" if isinstance(value, str) else value
            found.append(f"no run has {name} = {shown}{_near(str(value), map(str, values))}")
    return found


def _near(value: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    more = ", ..." if len(names) > MOST_VALUES else ""
    listed = f"; there is {', '.join(names[:MOST_VALUES])}{more}"
    return (f" (did you mean {near[0]}?)" if near else "") + listed
