"""What every benchmark shares: one core, timing, where results go and what is written beside them."""

import argparse
import itertools
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("jax", "jaxlib", "diffrax", "equinox", "lineax", "optimistix", "numpy", "scipy", "ray", "duckdb", "pyarrow")
ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",  # XLA's thread pool
    "JAX_PLATFORMS": "cpu",
    "EQX_ON_ERROR": "nan",  # no callbacks in diffrax's compiled loops
}


def options(description: str | None, *more: Callable[[argparse.ArgumentParser], Any]) -> argparse.Namespace:
    """The command line: --quick, --output and what a benchmark adds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds; its numbers mean nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of NAME.json and NAME.md")
    for add in more:
        add(parser)
    return parser.parse_args()


def one_core() -> None:
    """Start this process again, bound to one core and with one thread in every library, unless that was done.

    Every method of a comparison then has the same single core: a ratio is one of work, not of threads.
    """
    if os.environ.get("BENCHMARK_ONE_CORE") == "1":
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ.update(ONE_CORE | {"BENCHMARK_ONE_CORE": "1"})
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def fix(seconds: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{seconds:.4g}")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """(wall seconds, result) of one call."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def best(work: Callable[[], T], budget: float = 2.0, most: int = 3) -> tuple[float, T]:
    """The fastest of up to `most` calls that fit into `budget` seconds; at least one. The same for every method."""
    spent, result = timed(work)
    fastest, calls = spent, 1
    while calls < most and spent + fastest <= budget:
        seconds, result = timed(work)
        fastest, spent, calls = min(fastest, seconds), spent + seconds, calls + 1
    return fastest, result


def spread(total: int, wanted: int) -> list[int]:
    """`wanted` of 0 .. total-1 (all of them, if there are no more), evenly spaced."""
    if wanted >= total:
        return list(range(total))
    return [round((k + 0.5) * total / wanted - 0.5) for k in range(wanted)]


def rate_at(rows: Iterable[Mapping[str, Any]], target: float) -> float | None:
    """Runs per second of one method at a worst error of `target`; None if its ladder does not reach it."""
    ladder = sorted((r for r in rows if not r.get("unfinished") and r["worst_error"] > 0), key=lambda r: -r["setting"])
    good = [r for r in ladder if r["worst_error"] <= target]
    if not good:
        return None
    rates = [r["runs_per_second"] for r in good]
    for loose, tight in itertools.pairwise(ladder):
        if loose["worst_error"] > target >= tight["worst_error"]:
            x0, x1 = np.log(loose["worst_error"]), np.log(tight["worst_error"])
            y0, y1 = np.log(loose["runs_per_second"]), np.log(tight["runs_per_second"])
            rates.append(float(np.exp(y1 + (y0 - y1) * (np.log(target) - x1) / (x0 - x1))))
    return max(rates)


def versions() -> dict[str, str]:
    """Installed versions of the packages that make a difference."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Where the numbers were taken; its name is nobody's business."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_used": usable,
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _commit() -> str | None:
    """The commit of the code, with a + where files differ from it."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@dataclass
class Report:
    """What a benchmark found, written after every section so that an interrupted one leaves what it has.

    Attributes:
        name: of the benchmark and its files.
        folder: where they go.
        quick: whether this is a smoke run.
        about: what is compared and how, for people.
        tables: title -> rows.
        summary: numbers that a reader looks for first.
    """

    name: str
    folder: Path
    quick: bool
    about: str
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.header = {
            "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_without_output(sys.argv[1:])]),
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "quick": self.quick,
            "device": os.environ.get("JAX_PLATFORMS", "default"),
            **machine(),
            "commit": _commit(),
            "versions": versions(),
        }
        self._begin = time.monotonic()

    def add(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows to a table, print them and write everything so far."""
        self.tables.setdefault(title, []).extend(dict(row) for row in rows)
        print(f"\n{title}\n{table(rows)}", flush=True)
        self.write()

    def conclude(self, **summary: Any) -> None:
        """Add to the summary, print and write."""
        self.summary |= summary
        print("\n".join(f"{name}: {value}" for name, value in summary.items()), flush=True)
        self.write()

    def write(self) -> None:
        """NAME.json and NAME.md."""
        self.header["seconds"] = round(time.monotonic() - self._begin, 1)
        self.folder.mkdir(parents=True, exist_ok=True)
        found = {**self.header, "summary": self.summary, "tables": self.tables}
        text = json.dumps(_plain(found), indent=1, allow_nan=False) + "\n"
        (self.folder / f"{self.name}.json").write_text(text, encoding="utf-8")
        (self.folder / f"{self.name}.md").write_text("\n".join(self._markdown()) + "\n", encoding="utf-8")

    def _markdown(self) -> Iterable[str]:
        yield f"# {self.name}\n\n{self.about.strip()}\n"
        if self.quick:
            yield "**A smoke run: these numbers mean nothing.**\n"
        if self.summary:
            yield "## Summary\n\n" + table([{"what": k, "value": v} for k, v in self.summary.items()]) + "\n"
        for title, rows in self.tables.items():
            yield f"## {title}\n\n{table(rows)}\n"
        facts = {**self.header, "versions": ", ".join(f"{k} {v}" for k, v in self.header["versions"].items())}
        yield "## Where and when\n\n" + "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _without_output(words: Sequence[str]) -> list[str]:
    """The command line without the folder of the results."""
    kept, skip = [], False
    for word in words:
        if not skip and not word.startswith("--output"):
            kept.append(word)
        skip = word == "--output"
    return kept


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as Markdown; every column that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e3 or abs(value) >= 1e6 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    """As JSON: numbers of numpy as Python's, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return fix(value) if np.isfinite(value) else None
    return value
